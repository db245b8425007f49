"""URL paths of resources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from app.engine.object_names import path_problem
from app.kube.errors import IllegalName
from app.kube.resources import CONFIG_MAPS, CRDS, EXECUTIONS, JOBS, Resource

ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
HOSTILE = (
    "",
    ".",
    "..",
    "../secrets",
    "%2e%2e",
    "a\n",
    "\x00",
    " ",
    " a",
    "a\u2028b",
    "\u202ea",
    "a\u200bb",
    "\ud800",
    "x" * 254,
    "é" * 127,
)


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
        (CONFIG_MAPS, ("ns", "a b?c#d\\e"), "/api/v1/namespaces/ns/configmaps/a%20b%3Fc%23d%5Ce"),
        (ROLES, (None, "system:node"), "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode"),
    ],
)
def test_path(resource: Resource, args: tuple[str | None, ...], path: str) -> None:
    assert resource.path(*args) == path


def test_an_object_of_a_namespaced_resource_needs_its_namespace() -> None:
    with pytest.raises(IllegalName, match="ConfigMap 'x': a namespace is needed"):
        CONFIG_MAPS.path(None, "x")


@pytest.mark.parametrize("text", [*HOSTILE, "a/b", "a%2Fb"])
def test_no_path_is_made_of_what_nothing_can_be_called(text: str) -> None:
    with pytest.raises(IllegalName, match="name of a ConfigMap must"):
        CONFIG_MAPS.path("ns", text)
    with pytest.raises(IllegalName, match="ConfigMap"):
        CONFIG_MAPS.path(text, "x")
    for resource in (
        Resource(text or "/", "v1", "xs", "X"),
        Resource("g.io", text, "xs", "X"),
        Resource("g.io", "v1", text, "X"),
    ):
        with pytest.raises(IllegalName):
            resource.path("ns", "x")
    with pytest.raises(IllegalName, match="sub-resource"):
        CONFIG_MAPS.path("ns", "x", text)


@given(st.text(max_size=12), st.text(alphabet="./%ab\\?#25eEfF", max_size=8))
def test_a_path_means_the_very_name_or_is_refused(name: str, mixed: str) -> None:
    for text in (name, mixed):
        try:
            path = CONFIG_MAPS.path("ns", text)
        except IllegalName:
            continue
        sent = URL(f"https://server{path}")
        assert sent.raw_parts[:-1] == ("/", "api", "v1", "namespaces", "ns", "configmaps")
        assert sent.name == text
        assert not sent.raw_query_string
        assert not sent.raw_fragment
        assert not path_problem(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "api",
        "/api/../apis",
        "/api//v1",
        "/api/./v1",
        "/api/%2E%2E/x",
        "/a%2Fb",
        "/a%25b",
        "/a?b",
        "/a#b",
        "/a b",
        "/api/v1/",
        "/a%00",
        "/%2e%2e/x",
        "/\u00e9",
    ],
)
def test_the_last_look_at_a_path(path: str) -> None:
    assert "must be made of legal segments" in path_problem(path)


def test_api_version() -> None:
    assert CONFIG_MAPS.api_version == "v1"
    assert JOBS.api_version == "batch/v1"
    assert str(JOBS) == "jobs.batch"
