"""The targets of the Makefile that make an image and its bill of materials."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.image.test_locks import pins
from tests.support.cluster import REPOSITORY

pytestmark = pytest.mark.slow

DIGEST = f"sha256:{'c3' * 32}"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def test_the_bill_of_materials_has_every_package_of_the_image_with_its_hashes(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    done = make("sbom", f"SBOM={file}")
    assert done.returncode == 0, done.stderr
    bom = json.loads(file.read_text())
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["name"] == "drplan"
    found = {item["name"].replace("_", "-").lower(): item for item in bom["components"]}
    wanted = pins("requirements-runtime.lock")
    assert {name: item["version"] for name, item in found.items()} == {name: each[0] for name, each in wanted.items()}
    for name, (_, hashes) in wanted.items():
        known = {each["content"] for ref in found[name]["externalReferences"] for each in ref.get("hashes", ())}
        assert {f"sha256:{each}" for each in known} == hashes, name
        assert found[name]["purl"].startswith("pkg:pypi/")


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A container engine that writes down what it is asked to build."""
    script = tmp_path / "engine"
    script.write_text(f'#!/bin/sh\n[ "$1" = build ] && echo "$@" > {tmp_path}/built\nexit 0\n')
    script.chmod(0o755)
    return script


def test_an_image_is_built_from_a_pinned_base_with_its_bill_of_materials(engine: Path, tmp_path: Path) -> None:
    sbom = tmp_path / "sbom.json"
    base = f"mirror/python:3.11-slim-bookworm@{DIGEST}"
    done = make("image", f"ENGINE={engine}", f"SBOM={sbom}", f"PYTHON_IMAGE={base}")
    assert done.returncode == 0, done.stderr
    assert f"--build-arg PYTHON_IMAGE={base} " in (tmp_path / "built").read_text()
    assert sbom.exists()


def test_a_base_without_a_digest_is_refused(engine: Path, tmp_path: Path) -> None:
    arguments = ("image", f"ENGINE={engine}", f"SBOM={tmp_path}/sbom.json", "PYTHON_IMAGE=python:3.11-slim-bookworm")
    done = make(*arguments)
    assert done.returncode != 0
    assert "has no digest" in done.stderr
    assert not (tmp_path / "built").exists()
    assert make(*arguments, "ALLOW_TAG=1").returncode == 0
    assert "PYTHON_IMAGE=python:3.11-slim-bookworm " in (tmp_path / "built").read_text()
