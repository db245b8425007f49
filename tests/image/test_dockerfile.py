"""What the Dockerfile says, without building it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime.build import COMMIT_VARIABLE
from app.runtime.settings import CommonSettings, WebhookSettings
from supply.base_image import TAG
from tests.chart.support import container, one, render
from tests.image.dockerfile import DOCKERFILE, Stage, arguments_before, context, stages

COMPONENTS = ("controller", "webhook")


@pytest.fixture
def final() -> Stage:
    return stages()[-1]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    answer = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_hadolint_would_find_something() -> None:
    spoiled = DOCKERFILE.read_text().replace("WORKDIR /src", "WORKDIR src")
    command = [Path(sys.executable).with_name("hadolint"), "-"]
    answer = subprocess.run(command, input=spoiled, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert "DL3000" in answer.stdout


def test_all_stages_begin_with_the_one_slim_base() -> None:
    assert {stage.image for stage in stages()} == {"${PYTHON_IMAGE}"}
    assert re.fullmatch(r"python:3\.11-slim-\w+", TAG)


def test_no_base_image_is_taken_by_a_tag_alone(final: Stage) -> None:
    assert "PYTHON_IMAGE" in arguments_before()
    assert arguments_before()["PYTHON_IMAGE"] == ""
    assert final.pairs("LABEL")["org.opencontainers.image.base.name"] == "${PYTHON_IMAGE}"


def test_nothing_for_development_is_in_the_image() -> None:
    copied = {source for item in stages()[0].instructions if item.name == "COPY" for source in item.words[:-1]}
    assert not copied & {"devcluster", "bench", "tests", "examples", "supply"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_user_is_the_charts(component: str, final: Stage) -> None:
    deployment = one(render(), "Deployment", f"drplan-{component}")
    security = deployment["spec"]["template"]["spec"]["securityContext"]
    assert final.values("USER") == [f"{security['runAsUser']}:{security['runAsGroup']}"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_chart_leaves_the_entry_point_to_the_image(component: str, final: Stage) -> None:
    main = container(render(), component)
    assert "command" not in main
    assert main["args"][0] == component
    assert [json.loads(value) for value in final.values("ENTRYPOINT")] == [["/opt/drplan/bin/drplan"]]
    assert final.values("CMD") == []


def test_the_ports_are_the_defaults_of_the_settings(final: Stage) -> None:
    fields = {**CommonSettings.model_fields, **WebhookSettings.model_fields}
    ports = {str(field.default) for name, field in fields.items() if name.endswith("_port")}
    [exposed] = final.values("EXPOSE")
    assert set(exposed.split()) == ports


def test_version_and_commit_are_in_labels_and_environment(final: Stage) -> None:
    labels = final.pairs("LABEL")
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert labels["org.opencontainers.image.revision"] == "${COMMIT}"
    assert final.pairs("ENV")[COMMIT_VARIABLE] == "${COMMIT}"
    assert {"VERSION", "COMMIT"} <= set(final.pairs("ARG"))


def test_the_virtual_environment_keeps_its_path(final: Stage) -> None:
    """Its scripts begin with the path of its Python."""
    assert final.values("COPY") == ["--from=builder /opt/drplan /opt/drplan"]


def test_the_final_stage_needs_no_shell(final: Stage) -> None:
    assert final.values("RUN") == []
    assert all(value.startswith("[") for value in final.values("ENTRYPOINT"))


def test_every_package_is_checked_by_its_hash_or_made_here() -> None:
    steps = [step for stage in stages() for step in stage.values("RUN")]
    installs = [command for step in steps for command in step.split("&&") if re.search(r"\bpip\b.* install\b", command)]
    assert len(installs) == 3
    assert all("--require-hashes" in command or "--no-index" in command for command in installs)
    assert all("--no-deps" in command for command in installs)


def test_the_builder_is_sent_what_it_copies_and_no_more(tmp_path: Path) -> None:
    context(tmp_path)
    copied = {source for item in stages()[0].instructions if item.name == "COPY" for source in item.words[:-1]}
    assert {path.name for path in tmp_path.iterdir()} == copied
