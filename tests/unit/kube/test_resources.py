"""URL paths of resources."""

from __future__ import annotations

import pytest

from app.kube.resources import CONFIG_MAPS, CRDS, EXECUTIONS, JOBS, Resource


@pytest.mark.parametrize(
    ("resource", "args", "path"),
    [
        (CONFIG_MAPS, (), "/api/v1/configmaps"),
        (CONFIG_MAPS, ("ns",), "/api/v1/namespaces/ns/configmaps"),
        (CONFIG_MAPS, ("ns", "x"), "/api/v1/namespaces/ns/configmaps/x"),
        (JOBS, ("ns", "x", "status"), "/apis/batch/v1/namespaces/ns/jobs/x/status"),
        (EXECUTIONS, ("ns",), "/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/ns/drplanexecutions"),
        (CRDS, (None, "a.b"), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a.b"),
        (CRDS, ("ignored", "a.b"), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a.b"),
        (CONFIG_MAPS, ("ns", "../secrets/x"), "/api/v1/namespaces/ns/configmaps/..%2Fsecrets%2Fx"),
    ],
)
def test_path(resource: Resource, args: tuple[str | None, ...], path: str) -> None:
    assert resource.path(*args) == path


def test_an_object_of_a_namespaced_resource_needs_its_namespace() -> None:
    with pytest.raises(ValueError, match="ConfigMap 'x': a namespace is needed"):
        CONFIG_MAPS.path(None, "x")


def test_api_version() -> None:
    assert CONFIG_MAPS.api_version == "v1"
    assert JOBS.api_version == "batch/v1"
    assert str(JOBS) == "jobs.batch"
