"""Every verb of the client against the real API server."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest
import yaml

from app.kube.client import JSON_PATCH, KubeClient
from app.kube.config import ConnectionConfig, load_connection
from app.kube.errors import (
    AlreadyExists,
    ApiUnavailable,
    BadRequest,
    Conflict,
    ConnectionConfigError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnknownKind,
)
from app.kube.resources import CONFIG_MAPS, LEASES, NAMESPACES, PLANS, SUBJECT_ACCESS_REVIEWS, WORKFLOWS, Resource
from tests.integration.kube.support import config_map, connected
from tests.support.cluster import Cluster


async def test_metadata_is_read_without_the_rest(cluster: Cluster, namespace: str) -> None:
    """However large the objects are, pages of their metadata are full and small; also of kinds from CRDs."""
    async with connected(cluster) as kube:
        for number in range(4):
            large = config_map(f"large-{number}", namespace, x="x" * 900_000)
            await kube.create(CONFIG_MAPS, large)
        whole = [len(page) async for page in kube.pages(CONFIG_MAPS, namespace=namespace)]
        assert len(whole) > 1, "pages of whole objects are small"
        pages = [
            page
            async for page in kube.pages(CONFIG_MAPS, namespace=namespace, metadata_only=True, label_selector="a!=b")
        ]
        assert [[item["metadata"]["name"] for item in page] for page in pages] == [[f"large-{n}" for n in range(4)]]
        for item in pages[0]:
            assert (item["apiVersion"], item["kind"]) == ("v1", "ConfigMap")
            assert set(item) == {"apiVersion", "kind", "metadata"}
        spec = {"stages": [{"name": "s", "workflows": [{"workflowRef": {"name": "w", "namespace": namespace}}]}]}
        body = {"apiVersion": PLANS.api_version, "kind": "DRPlan", "metadata": {"name": "p", "namespace": namespace}}
        await kube.create(PLANS, {**body, "spec": spec})
        found = await kube.list(PLANS, namespace=namespace, metadata_only=True)
        assert [(item["kind"], item["metadata"]["name"], "spec" in item) for item in found["items"]] == [
            ("DRPlan", "p", False)
        ]


async def test_create_read_replace_patch_delete(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        created = await kube.create(CONFIG_MAPS, config_map("a", namespace, x="1"))
        with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
            await kube.create(CONFIG_MAPS, config_map("a", namespace))
        read = await kube.get(CONFIG_MAPS, "a", namespace=namespace)
        assert read["data"] == {"x": "1"}
        replaced = await kube.replace(CONFIG_MAPS, {**created, "data": {"x": "2"}})
        with pytest.raises(Conflict, match="the object has been modified"):
            await kube.replace(CONFIG_MAPS, {**created, "data": {"x": "3"}})
        patched = await kube.patch(CONFIG_MAPS, "a", {"data": {"y": "4"}}, namespace=namespace)
        assert patched["data"] == {"x": "2", "y": "4"}
        stale = {"metadata": {"resourceVersion": replaced["metadata"]["resourceVersion"]}, "data": {"x": None}}
        with pytest.raises(Conflict):
            await kube.patch(CONFIG_MAPS, "a", stale, namespace=namespace)
        operations = [{"op": "remove", "path": "/data/y"}]
        last = await kube.patch(CONFIG_MAPS, "a", operations, namespace=namespace, content_type=JSON_PATCH)
        assert last["data"] == {"x": "2"}
        with pytest.raises(Conflict, match="UID in the precondition"):
            await kube.delete(CONFIG_MAPS, "a", namespace=namespace, uid="another")
        assert (await kube.delete(CONFIG_MAPS, "a", namespace=namespace, uid=read["metadata"]["uid"]))[
            "kind"
        ] == "Status"
        with pytest.raises(NotFound, match='configmaps "a" not found'):
            await kube.get(CONFIG_MAPS, "a", namespace=namespace)


async def test_apply_tells_creation_from_change_and_conflicts_without_force(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        _, created = await kube.apply(CONFIG_MAPS, config_map("a", namespace, x="1"), field_manager="one")
        assert created
        applied, created = await kube.apply(CONFIG_MAPS, config_map("a", namespace, x="2"), field_manager="one")
        assert (applied["data"], created) == ({"x": "2"}, False)
        other = config_map("a", namespace, x="3")
        with pytest.raises(Conflict, match="Apply failed with 1 conflict"):
            await kube.apply(CONFIG_MAPS, other, field_manager="two", force=False)
        forced, _ = await kube.apply(CONFIG_MAPS, other, field_manager="two")
        assert forced["data"] == {"x": "3"}


async def test_the_status_subresource(cluster: Cluster, namespace: str) -> None:
    workflow = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": "DRWorkflow",
        "metadata": {"name": "w", "namespace": namespace},
        "spec": {"actions": [{"name": "a", "type": "HTTP", "http": {"url": "http://127.0.0.1/"}}]},
    }
    async with connected(cluster) as kube:
        created = await kube.create(WORKFLOWS, workflow)
        with_status = {**created, "status": {"phase": "Ready"}}
        replaced = await kube.replace(WORKFLOWS, with_status, subresource="status")
        assert replaced["status"]["phase"] == "Ready"
        patched = await kube.patch(
            WORKFLOWS, "w", {"status": {"phase": "Invalid"}}, namespace=namespace, subresource="status"
        )
        assert patched["status"]["phase"] == "Invalid"


async def test_selectors_pages_and_namespaces(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        for number in range(7):
            body = config_map(f"c{number}", namespace)
            body["metadata"]["labels"] = {"parity": "odd" if number % 2 else "even"}
            await kube.create(CONFIG_MAPS, body)
        odd = await kube.list_all(CONFIG_MAPS, namespace=namespace, label_selector="parity=odd", limit=2)
        assert [item["metadata"]["name"] for item in odd] == ["c1", "c3", "c5"]
        assert {item["kind"] for item in odd} == {"ConfigMap"}
        one = await kube.list(CONFIG_MAPS, field_selector=f"metadata.name=c4,metadata.namespace={namespace}")
        assert [item["metadata"]["name"] for item in one["items"]] == ["c4"]
        assert await kube.list_all(PLANS, namespace=namespace) == []


async def test_refusals_carry_field_paths(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        with pytest.raises(Invalid) as caught:
            await kube.create(CONFIG_MAPS, config_map("NOT_A_NAME", namespace))
        assert caught.value.causes[0]["field"] == "metadata.name"
        with pytest.raises(BadRequest):
            await kube.list(CONFIG_MAPS, namespace=namespace, label_selector="a=b=c")


async def test_who_may_not(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster, "alice") as kube:
        with pytest.raises(Forbidden, match='User "alice" cannot list resource "configmaps"') as caught:
            await kube.list_all(CONFIG_MAPS, namespace=namespace)
        assert not caught.value.namespace_terminating
    config = load_connection(str(cluster.kubeconfig))
    nobody = ConnectionConfig(server=config.server, ca_data=config.ca_data, token="wrong")
    async with KubeClient(nobody) as kube:
        with pytest.raises(Unauthorized):
            await kube.get(NAMESPACES, "default")


async def test_an_untrusted_server_is_not_talked_to(cluster: Cluster) -> None:
    async with KubeClient(ConnectionConfig(server=load_connection(str(cluster.kubeconfig)).server)) as kube:
        with pytest.raises(ApiUnavailable, match="its certificate is not trusted") as caught:
            await kube.version()
        assert not caught.value.in_doubt
    insecure = ConnectionConfig(server=load_connection(str(cluster.kubeconfig)).server, insecure=True)
    async with KubeClient(insecure) as kube:
        with pytest.raises(Unauthorized):
            await kube.version()


async def test_access_reviews_and_raw_paths(cluster: Cluster, namespace: str) -> None:
    review = {
        "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "alice",
            "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": namespace},
        },
    }
    async with connected(cluster) as kube:
        assert (await kube.create(SUBJECT_ACCESS_REVIEWS, review))["status"]["allowed"] is False
        assert await kube.get_raw("/readyz") == b"ok"


async def test_kinds_are_found_by_discovery(cluster: Cluster) -> None:
    async with connected(cluster) as kube:
        assert await kube.resource_for("v1", "ConfigMap") == CONFIG_MAPS
        assert await kube.resource_for("apps/v1", "Deployment") == Resource("apps", "v1", "deployments", "Deployment")
        assert await kube.resource_for(PLANS.api_version, "DRPlan") == PLANS
        assert not (await kube.resource_for("v1", "Namespace")).namespaced
        mark = cluster.audit.mark()
        await kube.resource_for("apps/v1", "Deployment")
        assert not [r for r in cluster.audit.since(mark) if r.uri == "/apis/apps/v1"]


@pytest.mark.parametrize(
    ("api_version", "kind", "hint"),
    [
        ("v1", "Deployment", "Deployment is served by apps/v1"),
        ("apps/v1beta1", "Deployment", "Deployment is served by apps/v1"),
        ("v1", "Configmap", "did you mean ConfigMap"),
        ("apps/v1", "deployment", "did you mean Deployment"),
        ("foo.example.com/v1", "Foo", "is its CustomResourceDefinition installed"),
    ],
)
async def test_unknown_kinds_come_with_a_hint(cluster: Cluster, api_version: str, kind: str, hint: str) -> None:
    async with connected(cluster) as kube:
        with pytest.raises(UnknownKind, match=hint):
            await kube.resource_for(api_version, kind)


async def test_a_client_certificate(cluster: Cluster, namespace: str) -> None:
    identity = cluster.plane.add_user(f"carol-{namespace}", roles=[(namespace, "edit")])
    config = load_connection(str(identity.kubeconfig))
    assert config.client_cert_data
    async with KubeClient(config) as kube:
        assert await kube.list_all(CONFIG_MAPS, namespace=namespace) == []
        with pytest.raises(Forbidden):
            await kube.list_all(LEASES, namespace="kube-system")


async def test_impersonation(cluster: Cluster, namespace: str) -> None:
    admin = load_connection(str(cluster.kubeconfig))
    config = ConnectionConfig(
        server=admin.server,
        ca_data=admin.ca_data,
        token=admin.token,
        client_cert_data=admin.client_cert_data,
        client_key_data=admin.client_key_data,
        impersonate_user="dave",
        impersonate_groups=("one", "two"),
    )
    async with KubeClient(config) as kube:
        with pytest.raises(Forbidden, match='User "dave"'):
            await kube.get(CONFIG_MAPS, "x", namespace=namespace)


def exec_kubeconfig(cluster: Cluster, folder: Path, program: str) -> Path:
    """The kubeconfig of `alice`, whose token comes from a program."""
    document = yaml.safe_load(cluster.kubeconfig_of("alice").read_text())
    script = folder / "plugin.py"
    script.write_text(program)
    document["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(script)],
            "interactiveMode": "Never",
        }
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_credential_program_and_its_new_token_after_401(cluster: Cluster, tmp_path: Path) -> None:
    token = load_connection(str(cluster.kubeconfig_of("alice"))).token
    answers = [
        {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": each}}
        for each in ("expired", token)
    ]
    encoded = base64.b64encode(json.dumps(answers).encode()).decode()
    program = f"""
import base64, json, pathlib
seen = pathlib.Path(__file__).with_name("seen")
answers = json.loads(base64.b64decode({encoded!r}))
print(json.dumps(answers[1 if seen.exists() else 0]))
seen.touch()
"""
    async with KubeClient(load_connection(str(exec_kubeconfig(cluster, tmp_path, program)))) as kube:
        with pytest.raises(Forbidden, match='User "alice"'):
            await kube.get(NAMESPACES, "default")


async def test_a_credential_program_that_fails(cluster: Cluster, tmp_path: Path) -> None:
    path = exec_kubeconfig(cluster, tmp_path, "import sys; sys.exit('no ticket')")
    with pytest.raises(ConnectionConfigError, match="credential plugin failed"):
        async with KubeClient(load_connection(str(path))):
            pass
