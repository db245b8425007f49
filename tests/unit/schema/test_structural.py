"""What the API server demands of a structural schema, checked on every node of the three CRDs."""

import functools
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from app.models import ApiModel
from app.schema import KINDS, custom_resource_definition
from app.schema.structural import MODEL, NotStructuralError, model_schema, node_at, without_markers

Schema = dict[str, Any]
KEYWORDS = {
    "type",
    "format",
    "description",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "pattern",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
}
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


@functools.cache
def root(kind: str) -> Schema:
    return fresh(kind)


def fresh(kind: str) -> Schema:
    info = next(info for info in KINDS if info.kind == kind)
    schema: Schema = custom_resource_definition(info)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


ALL = [pytest.param(root(info.kind), id=info.kind) for info in KINDS]


@pytest.mark.parametrize("schema", ALL)
def test_only_keywords_that_the_api_server_knows(schema: Schema) -> None:
    found = {key for _, node in nodes(schema) for key in node}
    assert found <= KEYWORDS


@pytest.mark.parametrize("schema", ALL)
def test_each_node_has_one_type_or_is_int_or_string(schema: Schema) -> None:
    for path, node in nodes(schema):
        if node.get("x-kubernetes-int-or-string"):
            assert node["anyOf"] == INT_OR_STRING, path
            assert "type" not in node, path
        elif path.endswith(".followRedirects") and "type" not in node:
            assert node["enum"] == [True, False, "AsGet"]
            assert node["x-kubernetes-preserve-unknown-fields"] is True
        else:
            assert node["type"] in {"object", "array", "string", "integer", "boolean", "number"}, path
            assert "anyOf" not in node, path


@pytest.mark.parametrize("schema", ALL)
def test_objects_do_not_mix_properties_and_additional_properties(schema: Schema) -> None:
    for path, node in nodes(schema):
        assert not ("properties" in node and "additionalProperties" in node), path
        assert set(node.get("required", ())) <= node.get("properties", {}).keys(), path


@pytest.mark.parametrize("schema", ALL)
def test_list_types(schema: Schema) -> None:
    for path, node in nodes(schema):
        if node.get("type") != "array":
            assert "x-kubernetes-list-type" not in node, path
            continue
        item = node["items"]
        match node["x-kubernetes-list-type"]:
            case "map":
                for key in node["x-kubernetes-list-map-keys"]:
                    assert key in item.get("required", ()) or "default" in item["properties"][key], f"{path}[].{key}"
            case "set":
                assert item["type"] in {"string", "integer"}, path
            case other:
                assert other == "atomic", path


@pytest.mark.parametrize("schema", ALL)
def test_enumerations_hold_texts_and_defaults_fit(schema: Schema) -> None:
    for path, node in nodes(schema):
        if "enum" in node and not path.endswith(".followRedirects"):
            assert node["type"] == "string", path
            assert all(isinstance(value, str) for value in node["enum"]), path
            assert len(set(node["enum"])) == len(node["enum"]), path
            assert node.get("default", node["enum"][0]) in node["enum"], path
        kind = {str: "string", bool: "boolean", int: "integer"}.get(type(node.get("default")))
        assert kind == node["type"] if "default" in node else kind is None, path


@pytest.mark.parametrize("schema", ALL)
def test_metadata_is_the_api_servers(schema: Schema) -> None:
    assert schema["properties"]["metadata"] == {"type": "object"}
    assert schema["required"] == ["spec"]


@pytest.mark.parametrize("schema", ALL)
def test_descriptions_are_for_users(schema: Schema) -> None:
    for path, node in nodes(schema):
        text = node.get("description", "")
        assert "decision" not in text, path
        assert "contract" not in text, path
        assert "\n" not in text, path
        assert len(text) <= 400, path


@pytest.mark.parametrize("schema", ALL)
def test_each_field_is_described_outside_the_job(schema: Schema) -> None:
    for path, node in nodes(schema):
        if "job.template.spec." in path or path.endswith(("[]", "{}")) or path in {"", "metadata"}:
            continue
        assert node.get("description"), path


def test_schemas_share_nothing() -> None:
    first, second = fresh("DRWorkflow"), fresh("DRWorkflow")
    node_at(first, "spec.actions[].job.template.spec")["properties"].clear()
    assert node_at(second, "spec.actions[].job.template.spec")["properties"]


class Inner(ApiModel):
    """An inner thing (decision A1)."""

    text: str = "x"
    """A text."""


class Outer(ApiModel):
    """An outer thing."""

    one: Inner | None = None
    """The one (contract: api 2)."""
    many: tuple[Inner, ...] = ()
    """All of
    them."""
    free: dict[str, Any] = Field(default_factory=dict)
    """Anything."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels."""


def test_translation() -> None:
    inner = {"type": "object", "properties": {"text": {"description": "A text.", "type": "string"}}}
    assert without_markers(model_schema(Outer)) == {
        "description": "An outer thing.",
        "type": "object",
        "properties": {
            "one": {"description": "The one.", **inner},
            "many": {
                "description": "All of them.",
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {"description": "An inner thing.", **inner},
            },
            "free": {"description": "Anything.", "type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "labels": {"description": "Labels.", "type": "object", "additionalProperties": {"type": "string"}},
        },
    }


def test_objects_remember_their_model() -> None:
    schema = model_schema(Outer)
    assert node_at(schema, "one")[MODEL] == "Inner"
    assert node_at(schema, "many[]")[MODEL] == "Inner"


def test_a_union_is_refused() -> None:
    class Union(ApiModel):
        inner: tuple[int | str, ...] = ()

    with pytest.raises(NotStructuralError, match=r"^inner\[\]: the schema has no type"):
        model_schema(Union)


def test_an_untranslated_constraint_is_refused() -> None:
    class Multiple(ApiModel):
        even: Annotated[int, Field(multiple_of=2)] = 0

    with pytest.raises(NotStructuralError, match=r"^even: a structural schema has no multipleOf"):
        model_schema(Multiple)


def test_a_missing_node_is_named() -> None:
    with pytest.raises(KeyError, match=r"many\[\].nothing: there is no nothing"):
        node_at(model_schema(Outer), "many[].nothing")
