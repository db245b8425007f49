"""Taking an Apply or Patch of custom objects back: lists by key, by position and as sets, nulls, no schema at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
import yaml

from app.engine.outcome import Succeeded
from app.kube.client import JSON_PATCH, KubeClient
from app.kube.config import load_connection
from app.kube.errors import AlreadyExists, KubeError
from app.kube.resources import CRDS, Resource
from controller.actions.resource import ResourceExecutor
from tests.support.cluster import Cluster
from tests.unit.actions.support import action, context, reverting

EXECUTOR = ResourceExecutor()
GROUP = "undo.example.com"
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_ITEM = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "protocol": {"type": "string", "default": "TCP"},
        "value": {"type": "string", "nullable": True},
        "weight": {"type": "integer", "default": 10},
    },
}
_LIST = {"type": "array", "items": _ITEM}
_SPEC = {
    "type": "object",
    "properties": {
        "byKey": {**_LIST, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "protocol"]},
        "byPosition": _LIST,
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "whole": {**_ANY, "x-kubernetes-map-type": "atomic"},
        "replicas": {"type": "integer", "default": 1},
        "note": {"type": "string", "nullable": True},
        "free": _ANY,
        "amount": {"x-kubernetes-int-or-string": True},
    },
}


def _definition(plural: str, kind: str, properties: dict[str, Any] | None) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties} if properties else _ANY
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [version],
        },
    }


DEFINITIONS = [
    _definition("widgets", "Widget", {"spec": _SPEC, "status": _ANY}),
    _definition("blobs", "Blob", None),
]


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(cluster.kubeconfig))) as client:
        for definition in DEFINITIONS:
            with suppress(AlreadyExists):
                await client.create(CRDS, definition)
        yield client


Case = tuple[str, dict[str, Any], dict[str, Any], list[dict[str, Any]], dict[str, Any]]
CASES: dict[str, Case] = {
    "items by key": (
        "Widget",
        {"byKey": [{"name": "a"}, {"name": "b", "value": "1"}, {"name": "a", "protocol": "UDP"}]},
        {"byKey": [{"name": "b", "protocol": "TCP", "value": "2"}, {"name": "new", "protocol": "TCP", "weight": 5}]},
        [
            {"op": "add", "path": "/spec/byKey/-", "value": {"name": "theirs", "protocol": "TCP", "weight": 1}},
            {"op": "add", "path": "/spec/replicas", "value": 7},
        ],
        {
            "byKey": [
                {"name": "a", "protocol": "TCP", "weight": 10},
                {"name": "b", "protocol": "TCP", "value": "1", "weight": 10},
                {"name": "a", "protocol": "UDP", "weight": 10},
                {"name": "theirs", "protocol": "TCP", "weight": 1},
            ],
            "replicas": 7,
        },
    ),
    "items by position, sets and maps that are one value": (
        "Widget",
        {"byPosition": [{"name": "a"}, {"name": "a"}], "tags": ["x", "y"], "whole": {"k": {"l": 1}}, "note": None},
        {"byPosition": [{"name": "b"}], "tags": ["z", "x"], "whole": {"m": []}, "note": "run", "amount": "5"},
        [{"op": "add", "path": "/spec/tags/-", "value": "theirs"}],
        {
            "byPosition": [{"name": "a", "protocol": "TCP", "weight": 10}] * 2,
            "tags": ["x", "y", "theirs"],
            "whole": {"k": {"l": 1}},
            "note": None,
            "replicas": 1,
        },
    ),
    "nulls, fields of any kind, names with dots and slashes": (
        "Widget",
        {"free": {"n": None, "a/b~c": {"x.y": 1}, "list": [1, None, {"q": None}], "f": 1.5, "t": True}, "amount": 1},
        {"free": {"n": {}, "a/b~c": {"x.y": 2, "": 3}, "list": [], "f": 2, "t": 1}, "amount": "1"},
        [{"op": "add", "path": "/spec/free/theirs", "value": None}],
        {
            "free": {
                "n": None,
                "a/b~c": {"x.y": 1},
                "list": [1, None, {"q": None}],
                "f": 1.5,
                "t": True,
                "theirs": None,
            },
            "amount": 1,
            "replicas": 1,
        },
    ),
    "no schema at all": (
        "Blob",
        {"list": [{"name": "a"}, {"name": "b"}], "map": {"x": {"y": 1}}, "gone": {"z": []}, "null": None},
        {"list": [{"name": "c"}], "map": {"x": {"y": 2, "n": 1}}, "added": {"deep": {"er": 1}}},
        [{"op": "add", "path": "/spec/map/x/theirs", "value": 1}, {"op": "add", "path": "/spec/own", "value": {}}],
        {
            "list": [{"name": "a"}, {"name": "b"}],
            "map": {"x": {"y": 1, "theirs": 1}},
            "gone": {"z": []},
            "null": None,
            "own": {},
        },
    ),
}


async def _resource(kube: KubeClient, kind: str) -> Resource:
    async with asyncio.timeout(60):
        while True:
            with suppress(KubeError):
                resource = await kube.resource_for(f"{GROUP}/v1", kind)
                await kube.list(resource)
                return resource
            await asyncio.sleep(0.2)


def _manifest(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}


@pytest.mark.parametrize("operation", ["Apply"])
@pytest.mark.parametrize("name", CASES)
async def test_custom_objects(kube: KubeClient, namespace: str, name: str, operation: str) -> None:
    kind, before, after, theirs, expected = CASES[name]
    resource = await _resource(kube, kind)
    was = await kube.create(resource, _manifest(kind, before), namespace=namespace)
    body = action(
        "KubernetesResource",
        resource={"operation": operation, "manifest": yaml.safe_dump(_manifest(kind, after))},
        fieldValidation="Warn",
    )
    forward = context(kube, namespace=namespace)
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs is not None
    wrote = await kube.get(resource, "a", namespace=namespace)
    assert wrote["spec"] != was["spec"]
    undone = await EXECUTOR.rollback(body, outcome.outputs, reverting(forward))
    assert isinstance(undone, Succeeded), undone
    found = await kube.get(resource, "a", namespace=namespace)
    assert found["spec"] == was["spec"]
    again = context(kube, namespace=namespace, run="run-2")
    outcome = await EXECUTOR.execute(body, again)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs is not None
    await kube.patch(resource, "a", theirs, content_type=JSON_PATCH, field_manager="theirs", namespace=namespace)
    undone = await EXECUTOR.rollback(body, outcome.outputs, reverting(again))
    assert isinstance(undone, Succeeded), undone
    found = await kube.get(resource, "a", namespace=namespace)
    assert found["spec"] == expected
