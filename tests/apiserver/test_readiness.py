"""Ready, drained and absent as a real control plane shows them (decision A8)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.engine.outcome import Failed, Outcome, Succeeded
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import NotFound
from app.kube.resources import CRDS, PODS, Resource
from app.models.execution import ActionOutputs
from app.models.revert_options import MissingResources
from controller.actions.resource import ResourceExecutor
from tests.support.cluster import Cluster
from tests.unit.actions.support import action, context, reverting

pytestmark = pytest.mark.full

EXECUTOR = ResourceExecutor()


@pytest_asyncio.fixture
async def kube(full_cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(full_cluster.kubeconfig))) as client:
        yield client


def resource(operation: str, *manifests: str, **others: Any) -> Any:
    return action(
        "KubernetesResource", resource={"operation": operation, "manifest": "---\n".join(manifests)}, **others
    )


def definition(group: str, *, scope: str = "Namespaced", version: str = "v1") -> str:
    return f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: databases.{group}}}
spec:
  group: {group}
  scope: {scope}
  names: {{plural: databases, singular: database, kind: Database}}
  versions:
  - name: {version}
    served: true
    storage: true
    subresources: {{status: {{}}}}
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""


def without_subresource(group: str, properties: str) -> str:
    """A kind whose controller writes its status, if it has one, into the object itself."""
    text = definition(group).replace("    subresources: {status: {}}\n", "")
    return text.replace("{type: object, ", f"{{type: object, properties: {properties}, ")


def database(group: str, version: str = "v1") -> str:
    return f"apiVersion: {group}/{version}\nkind: Database\nmetadata: {{name: main}}\nspec: {{size: 1}}\n"


def deployment(replicas: int) -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: old-site}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: old-site}}}}
  template:
    metadata: {{labels: {{app: old-site}}}}
    spec: {{containers: [{{name: main, image: example.invalid/app}}]}}
"""


@contextlib.asynccontextmanager
async def defined(kube: KubeClient, group: str) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(NotFound):
            await kube.delete(CRDS, f"databases.{group}")


async def report(kube: KubeClient, group: str, namespace: str, status: dict[str, Any]) -> None:
    served = Resource(group, "v1", "databases", "Database")
    await kube.patch(served, "main", {"status": status}, namespace=namespace, subresource="status")


async def still_waits(task: "asyncio.Task[Outcome]", seconds: float = 1.5) -> None:
    done, _ = await asyncio.wait({task}, timeout=seconds)
    assert not done, task.result()


async def pods_of(kube: KubeClient, namespace: str) -> list[dict[str, Any]]:
    return await kube.list_all(PODS, namespace=namespace)


@pytest.mark.parametrize("operation", ["Create", "Apply"])
async def test_a_definition_and_its_first_object_in_one_manifest_whichever_comes_first(
    kube: KubeClient, full_namespace: str, operation: str
) -> None:
    group = f"first-{operation.lower()}.example.com"
    async with defined(kube, group):
        documents = definition(group), database(group)
        body = resource(operation, *(documents if operation == "Create" else reversed(documents)))
        forward = context(kube, namespace=full_namespace)
        outcome = await EXECUTOR.execute(body, forward)
        assert isinstance(outcome, Succeeded), outcome
        assert isinstance(outcome.outputs, ActionOutputs)
        undone = await EXECUTOR.rollback(body, outcome.outputs, reverting(forward))
        assert isinstance(undone, Succeeded), undone


async def test_silence_is_not_yet_and_a_kind_that_may_come_is_worth_another_try(
    kube: KubeClient, full_namespace: str
) -> None:
    group = "silent.example.com"
    early = await EXECUTOR.execute(resource("Create", database(group)), context(kube, namespace=full_namespace))
    assert isinstance(early, Failed)
    assert early.retryable
    misspelt = "apiVersion: apps/v1\nkind: Deploiment\nmetadata: {name: x}\n"
    never = await EXECUTOR.execute(resource("Create", misspelt), context(kube, namespace=full_namespace))
    assert isinstance(never, Failed)
    assert not never.retryable
    async with defined(kube, group):
        made = await EXECUTOR.execute(
            resource("Create", definition(group), database(group)), context(kube, namespace=full_namespace)
        )
        assert isinstance(made, Succeeded), made
        forward = context(kube, namespace=full_namespace, seconds=2)
        silent = await EXECUTOR.execute(resource("Apply", database(group), waitReady=True), forward)
        assert isinstance(silent, Failed)
        assert "it has no status yet: does the controller of kind Database run?" in silent.message
        await report(kube, group, full_namespace, {"phase": "Running"})
        forward = context(kube, namespace=full_namespace, seconds=2)
        unclear = await EXECUTOR.execute(resource("Apply", database(group), waitReady=True), forward)
        assert isinstance(unclear, Failed)
        assert "status.phase is Running" in unclear.message
        assert "readyWhen" in unclear.message
        body = resource("Apply", database(group), waitReady=True, readyWhen="object.status.phase == 'Running'")
        ready = await EXECUTOR.execute(body, context(kube, namespace=full_namespace))
        assert isinstance(ready, Succeeded), ready
        await report(kube, group, full_namespace, {"conditions": [ready_condition(generation=0)]})
        body = resource("Apply", database(group).replace("1}", "2}"), waitReady=True)
        waiting = asyncio.create_task(EXECUTOR.execute(body, context(kube, namespace=full_namespace)))
        await still_waits(waiting)
        await report(kube, group, full_namespace, {"conditions": [ready_condition(generation=99)]})
        assert isinstance(await waiting, Succeeded)


async def test_a_status_that_is_not_served_apart_is_waited_for_where_the_schema_has_one(
    kube: KubeClient, full_namespace: str
) -> None:
    for group, properties, silence in (
        ("plain.example.com", "{spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}", ""),
        ("inside.example.com", "{status: {type: object, x-kubernetes-preserve-unknown-fields: true}}", "no status yet"),
    ):
        async with defined(kube, group):
            bring = resource("Create", without_subresource(group, properties), waitReady=True)
            assert isinstance(await EXECUTOR.execute(bring, context(kube, namespace=full_namespace)), Succeeded)
            made = resource("Apply", database(group), waitReady=True)
            outcome = await EXECUTOR.execute(made, context(kube, namespace=full_namespace, seconds=3))
            assert isinstance(outcome, Failed if silence else Succeeded), outcome
            assert silence in outcome.message
            status = {"status": {"conditions": [ready_condition(generation=99)]}}
            await kube.patch(Resource(group, "v1", "databases", "Database"), "main", status, namespace=full_namespace)
            ready = await EXECUTOR.execute(made, context(kube, namespace=full_namespace))
            assert isinstance(ready, Succeeded), ready


def ready_condition(generation: int) -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": "True",
        "reason": "Up",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }


async def test_scaling_to_zero_and_deleting_wait_until_the_last_pod_is_gone(
    kube: KubeClient, full_namespace: str
) -> None:
    up = await EXECUTOR.execute(
        resource("Apply", deployment(2), waitReady=True), context(kube, namespace=full_namespace)
    )
    assert isinstance(up, Succeeded), up
    await hold_pods(kube, full_namespace)
    down = asyncio.create_task(
        EXECUTOR.execute(
            resource("Apply", deployment(0), waitReady=True), context(kube, namespace=full_namespace, seconds=60)
        )
    )
    await still_waits(down)
    impatient = await EXECUTOR.execute(
        resource("Apply", deployment(0), waitReady=True), context(kube, namespace=full_namespace, seconds=3)
    )
    assert isinstance(impatient, Failed)
    assert "still terminating" in impatient.message
    await release_pods(kube, full_namespace)
    assert isinstance(await down, Succeeded)
    assert await pods_of(kube, full_namespace) == []

    again = await EXECUTOR.execute(
        resource("Apply", deployment(1), waitReady=True), context(kube, namespace=full_namespace)
    )
    assert isinstance(again, Succeeded), again
    await hold_pods(kube, full_namespace)
    gone = asyncio.create_task(
        EXECUTOR.execute(
            resource("Delete", deployment(1), waitReady=True), context(kube, namespace=full_namespace, seconds=60)
        )
    )
    await still_waits(gone)
    await release_pods(kube, full_namespace)
    assert isinstance(await gone, Succeeded)
    assert await pods_of(kube, full_namespace) == []


async def hold_pods(kube: KubeClient, namespace: str) -> None:
    """Keep pods from going, as a long grace period does."""
    for pod in await pods_of(kube, namespace):
        patch = {"metadata": {"finalizers": ["example.com/hold"]}}
        await kube.patch(PODS, pod["metadata"]["name"], patch, namespace=namespace)


async def release_pods(kube: KubeClient, namespace: str) -> None:
    for pod in await pods_of(kube, namespace):
        with contextlib.suppress(NotFound):
            await kube.patch(PODS, pod["metadata"]["name"], {"metadata": {"finalizers": None}}, namespace=namespace)


async def test_a_type_that_is_not_served_says_nothing_about_its_objects(kube: KubeClient, full_namespace: str) -> None:
    """A kind is made anew with another scope, then in another version, then not at all, while its client lives."""
    group = "moved.example.com"
    async with defined(kube, group):
        body = resource("Create", definition(group), database(group))
        made = await EXECUTOR.execute(body, context(kube, namespace=full_namespace))
        assert isinstance(made, Succeeded), made
        await redefine(kube, group, scope="Cluster")
        cluster = Resource(group, "v1", "databases", "Database", namespaced=False)
        applied = await eventually(kube, resource("Apply", database(group)), full_namespace)
        assert isinstance(applied, Succeeded), applied
        assert (await kube.get(cluster, "main"))["metadata"]["name"] == "main"
        await redefine(kube, group, scope="Namespaced")
        await eventually(kube, resource("Apply", database(group)), full_namespace)
        await redefine(kube, group, scope="Cluster")
        await kube.create(cluster, {"apiVersion": f"{group}/v1", "kind": "Database", "metadata": {"name": "main"}})
        deleted = await EXECUTOR.execute(resource("Delete", database(group)), context(kube, namespace=full_namespace))
        assert isinstance(deleted, Succeeded), deleted
        with pytest.raises(NotFound):
            await kube.get(cluster, "main")

        forward = context(kube, namespace=full_namespace)
        body = resource("Create", database(group))
        made = await EXECUTOR.execute(body, forward)
        assert isinstance(made, Succeeded), made
        assert made.outputs is not None
        await kube.delete(CRDS, f"databases.{group}")
        await unserved(kube, group)
        undone = await EXECUTOR.rollback(body, made.outputs, reverting(forward))
        assert isinstance(undone, Failed)
        assert "does not tell whether the object is gone" in undone.message
        missing = reverting(forward, missing_resources=MissingResources.IGNORE)
        assert isinstance(await EXECUTOR.rollback(body, made.outputs, missing), Succeeded)


async def redefine(kube: KubeClient, group: str, *, scope: str) -> None:
    await kube.delete(CRDS, f"databases.{group}")
    await unserved(kube, group)
    made = await EXECUTOR.execute(
        resource("Create", definition(group, scope=scope), waitReady=True), context(kube, run=f"run-{scope}")
    )
    assert isinstance(made, Succeeded), made


async def unserved(kube: KubeClient, group: str) -> None:
    for _ in range(100):
        try:
            await kube.get(CRDS, f"databases.{group}")
        except NotFound:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the CustomResourceDefinition stays")


async def eventually(kube: KubeClient, body: Any, namespace: str) -> Outcome:
    """Do what the retry policy of an action does."""
    for attempt in range(1, 30):
        outcome = await EXECUTOR.execute(body, context(kube, namespace=namespace, attempt=attempt))
        if not (isinstance(outcome, Failed) and outcome.retryable):
            return outcome
        await asyncio.sleep(0.3)
    return outcome
