"""The schema of batch/v1 JobSpec: what is extracted, and that surprises in a newer Kubernetes are not passed over."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.schema.structural import node_at
from generate import jobspec as extract_jobspec
from generate.jobspec import UnexpectedSchemaError, resolve, resolve_definition

from .test_structural import root

POD = "spec.actions[].job.template.spec.template.spec"


def pod(path: str) -> dict[str, Any]:
    return node_at(root("DRWorkflow"), f"{POD}.{path}")


def test_quantities_take_an_integer_or_a_text() -> None:
    limits = pod("containers[].resources.limits")["additionalProperties"]
    assert limits["x-kubernetes-int-or-string"] is True
    assert limits["pattern"].startswith("^(\\+|-)?")


def test_ports_take_an_integer_or_a_text() -> None:
    assert pod("containers[].livenessProbe.httpGet.port")["x-kubernetes-int-or-string"] is True


def test_lists_keep_their_keys() -> None:
    assert pod("containers")["x-kubernetes-list-map-keys"] == ["name"]
    assert pod("containers[].ports")["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert pod("tolerations")["x-kubernetes-list-type"] == "atomic"


def test_a_pod_template_keeps_labels_and_annotations() -> None:
    metadata = node_at(root("DRWorkflow"), "spec.actions[].job.template.spec.template.metadata")
    assert set(metadata["properties"]) == {"annotations", "finalizers", "labels", "name", "namespace"}


def test_there_is_no_prose_in_it() -> None:
    spec = node_at(root("DRWorkflow"), "spec.actions[].job.template.spec")
    assert '"description": "' not in json.dumps(spec["properties"])


def test_an_enumeration_is_not_passed_over() -> None:
    with pytest.raises(UnexpectedSchemaError, match=r"^policy: enum and default are not expected"):
        resolve({"type": "string", "enum": ["a"]}, {}, "policy")


def test_a_list_key_without_default_is_not_passed_over() -> None:
    item = {"type": "object", "properties": {"key": {"type": "string"}}}
    array = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"]}
    with pytest.raises(UnexpectedSchemaError, match=r"^things\[\].key: a list key that is neither required"):
        resolve(array, {}, "things")


def test_references_are_followed() -> None:
    definitions = {
        "x.Spec": {
            "type": "object",
            "description": "long",
            "required": ["size"],
            "properties": {"size": {"$ref": "#/definitions/y.Quantity"}, "at": {"$ref": "#/definitions/y.Time"}},
        },
        "y.Time": {"type": "string", "format": "date-time"},
    }
    schema = resolve_definition("x.Spec", definitions)
    assert schema["required"] == ["size"]
    assert schema["properties"]["at"] == {"type": "string", "format": "date-time"}
    assert schema["properties"]["size"]["x-kubernetes-int-or-string"] is True
    assert "description" not in schema


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "swagger.json"
    spec = {"type": "object", "properties": {"suspend": {"type": "boolean", "description": "long"}}}
    document.write_text(json.dumps({"definitions": {extract_jobspec.ROOT: spec}}))
    output = tmp_path / "jobspec.json"
    monkeypatch.setattr(extract_jobspec, "OUTPUT", output)
    assert extract_jobspec.main([str(document), "v9.9.9"]) == 0
    written = json.loads(output.read_text())
    assert written["schema"] == {"type": "object", "properties": {"suspend": {"type": "boolean"}}}
    assert "v9.9.9" in written["origin"]
    assert "Apache-2.0" in written["licence"]


def test_the_command_reports_what_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "swagger.json"
    spec = {"type": "object", "properties": {"mode": {"type": "string", "default": "x"}}}
    document.write_text(json.dumps({"definitions": {extract_jobspec.ROOT: spec}}))
    assert extract_jobspec.main([str(document), "v9.9.9"]) == 1
    assert "mode: enum and default" in capsys.readouterr().err
