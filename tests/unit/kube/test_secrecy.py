"""What counts as a Secret, whatever it is called and wherever it is."""

from __future__ import annotations

from typing import Any

import pytest

from app.kube.resources import CONFIG_MAPS, SECRETS, Resource
from app.kube.secrecy import holds_secret, is_secret, only_named

MANIFESTS = Resource("apps.clusternet.io", "v1alpha1", "manifests", "Manifest")
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"key": "aHVudGVyMg=="}}
COPY = "kubectl.kubernetes.io/last-applied-configuration"


def test_secrets_are_known_by_what_was_resolved_or_answered() -> None:
    assert is_secret(SECRETS)
    assert is_secret(Resource("", "v1", "secrets", "whatever"))
    assert is_secret(Resource("shadow.io", "v2", "things", "Secret"))
    assert is_secret(CONFIG_MAPS, {"kind": "Secret"})
    assert not is_secret(CONFIG_MAPS, {"kind": "ConfigMap"})


@pytest.mark.parametrize(
    "held",
    [
        {"kind": "Manifest", "template": SECRET},
        {"kind": "Manifest", "template": {**SECRET, "data": None, "stringData": {"key": "hunter2"}}},
        {"kind": "ManifestWork", "spec": {"workload": {"manifests": [{"kind": "ConfigMap"}, SECRET]}}},
        {"kind": "Template", "objects": [{"kind": "List", "items": [SECRET]}]},
        {"kind": "Bundle", "spec": {"objects": {"kind": "SecretList", "items": [{"data": {"key": "x"}}]}}},
        {"kind": "Manifest", "metadata": {"annotations": {COPY: '{"template":{"data":{"k":"x"},"kind": "Secret"}}'}}},
    ],
)
def test_an_object_that_holds_a_secret_is_one(held: dict[str, Any]) -> None:
    assert is_secret(MANIFESTS, held)


@pytest.mark.parametrize(
    "named",
    [
        {"kind": "Pod", "spec": {"volumes": [{"secret": {"secretName": "s"}}]}},
        {"kind": "HelmRelease", "spec": {"valuesFrom": [{"kind": "Secret", "name": "s"}]}},
        {"kind": "ExternalSecret", "spec": {"target": {"template": {"data": {"key": "{{ .x }}"}}}}},
        {"kind": "ConfigMap", "data": {"kind": "Secret"}, "metadata": {"annotations": {COPY: '{"kind":"ConfigMap"}'}}},
        {"kind": "Secret", "data": {}},
    ],
)
def test_what_only_names_a_secret_is_none(named: dict[str, Any]) -> None:
    assert not holds_secret(named)


def test_a_value_of_any_depth_is_looked_through() -> None:
    deep: Any = SECRET
    for _ in range(20_000):
        deep = [deep]
    assert holds_secret(deep)


def test_what_was_kept_of_a_secret_is_known_as_such() -> None:
    named = {"apiVersion": "v1", "kind": "Manifest", "metadata": {"name": "x", "namespace": "y", "uid": "z"}}
    assert only_named(named)
    whole = {**named, "metadata": {**named["metadata"], "resourceVersion": "7"}}  # type: ignore[dict-item]
    assert not only_named(whole)
    assert not only_named({**named, "template": {}})
