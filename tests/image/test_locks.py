"""The locks of the image: the same pins as the developers', and no more than it needs."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.cluster import REPOSITORY

DEVELOPERS = "requirements.lock"
OURS = ("requirements-runtime.lock", "requirements-build.lock")
_PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?: ; [^\\]*)?(?P<hashes>(?: \\\n    --hash=\S+)+)$", re.MULTILINE
)


@cache
def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of each package."""
    text = (REPOSITORY / lock).read_text()
    found: dict[str, tuple[str, frozenset[str]]] = {
        canonicalize_name(item["name"]): (item["version"], frozenset(re.findall(r"--hash=(\S+)", item["hashes"])))
        for item in _PIN.finditer(text)
    }
    assert len(found) == text.count("==") - len(re.findall(r" ; .*==", text)), "every line with a pin was read"
    return found


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", OURS)
def test_every_pin_is_the_developers(lock: str) -> None:
    assert pins(lock)
    assert {name: pins(DEVELOPERS).get(name) for name in pins(lock)} == pins(lock)


@pytest.mark.parametrize("lock", [DEVELOPERS, *OURS])
def test_no_lock_names_an_address(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    assert "://" not in text
    assert "--index" not in text


def test_the_image_has_what_the_project_asks_for() -> None:
    asked = [*project()["project"]["dependencies"], *project()["project"]["optional-dependencies"]["otel"]]
    for text in asked:
        requirement = Requirement(text)
        version, _ = pins("requirements-runtime.lock")[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), text


def test_the_image_has_no_tools_of_developers() -> None:
    dev = {canonicalize_name(Requirement(text).name) for text in project()["project"]["optional-dependencies"]["dev"]}
    assert dev.isdisjoint(pins("requirements-runtime.lock"))


def test_the_build_has_what_the_build_system_asks_for() -> None:
    requires = project()["build-system"]["requires"]
    assert project()["dependency-groups"]["build"] == requires
    names = {canonicalize_name(Requirement(text).name) for text in requires}
    assert names <= set(pins("requirements-build.lock"))
