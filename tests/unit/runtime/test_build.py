"""What `drplan version` and `drplan_build_info` say of the build."""

import platform
import tomllib
from importlib.metadata import version

import pytest

from app.runtime import metrics
from app.runtime.build import COMMIT_VARIABLE
from drplan.main import main
from tests.support.cluster import REPOSITORY

VERSION = version("drplan")


@pytest.fixture
def commit(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(COMMIT_VARIABLE, "0123abc")
    return "0123abc"


def test_the_version_is_the_one_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_version_prints_all(capsys: pytest.CaptureFixture[str], commit: str) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"drplan {VERSION} (commit {commit}, Python {platform.python_version()})\n"


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_commit_is_unknown(
    value: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(COMMIT_VARIABLE, value)
    assert main(["version"]) == 0
    assert "(commit unknown," in capsys.readouterr().out


def test_short_prints_the_version_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--short"]) == 0
    assert capsys.readouterr().out == f"{VERSION}\n"


def test_metrics_say_the_same(commit: str) -> None:
    metrics.publish_build_info()
    labels = {"version": VERSION, "commit": commit, "python": platform.python_version()}
    assert metrics.REGISTRY.get_sample_value("drplan_build_info", labels) == 1
