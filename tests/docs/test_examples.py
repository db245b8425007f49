"""YAML of the documentation is valid, and what it shows of the three kinds passes `drplan lint`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml

from app.lint.check import lint
from app.lint.result import FINE
from tests.docs.pages import PAGES, blocks, name_of

EXAMPLES = [
    pytest.param(block.text, id=f"{name_of(page)}-{number}")
    for page in PAGES
    for number, block in enumerate(item for item in blocks(page) if item.language == "yaml")
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_yaml_parses(text: str) -> None:
    assert [document for document in yaml.safe_load_all(text) if document is not None]


@pytest.mark.parametrize("text", [item for item in EXAMPLES if "apiVersion: dr.bkbcs.tencent.com" in str(item.values)])
def test_objects_pass_lint(text: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(text)
    result = lint([str(tmp_path / "example.yaml")], io.BytesIO(), namespace="default")
    assert (result.exit_code, result.objects) == (FINE, text.count("apiVersion: dr.bkbcs.tencent.com")), result.issues


@pytest.mark.parametrize("text", [item for item in EXAMPLES if str(item.values[0]).startswith("- name: ")])
def test_actions_pass_lint(text: str, tmp_path: Path) -> None:
    workflow = {
        "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
        "kind": "DRWorkflow",
        "metadata": {"name": "shown"},
        "spec": {"actions": yaml.safe_load(text)},
    }
    (tmp_path / "example.yaml").write_text(yaml.safe_dump(workflow))
    result = lint([str(tmp_path / "example.yaml")], io.BytesIO(), namespace="default")
    assert (result.exit_code, result.objects) == (FINE, 1), result.issues
