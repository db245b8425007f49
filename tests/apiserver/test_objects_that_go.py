"""Objects that are being deleted, and deletions whose answer nobody heard, against a real API server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.engine.outcome import Failed, Succeeded
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import NotFound
from app.kube.resources import CONFIG_MAPS
from controller.actions.resource import ResourceExecutor
from tests.support.cluster import Cluster
from tests.unit.actions.support import MemoryPriors, action, context, reverting

EXECUTOR = ResourceExecutor()
HELD = {"finalizers": ["example.com/hold"]}


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(cluster.kubeconfig))) as client:
        yield client


def resource(operation: str, **others: Any) -> Any:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: new}\n"
    return action("KubernetesResource", resource={"operation": operation, "manifest": manifest}, **others)


async def put(kube: KubeClient, namespace: str, **metadata: Any) -> str:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}, "data": {"x": "old"}}
    return str((await kube.create(CONFIG_MAPS, body, namespace=namespace))["metadata"]["uid"])


async def release(kube: KubeClient, namespace: str) -> None:
    await kube.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace=namespace)


@pytest.mark.parametrize("operation", ["Create", "Apply"])
async def test_what_is_being_deleted_is_waited_for(kube: KubeClient, namespace: str, operation: str) -> None:
    going = await put(kube, namespace, **HELD)
    await kube.delete(CONFIG_MAPS, "a", namespace=namespace)
    impatient = await EXECUTOR.execute(resource(operation), context(kube, namespace=namespace, seconds=1))
    assert isinstance(impatient, Failed)
    assert "is still being deleted, held by finalizers [example.com/hold]" in impatient.message
    assert impatient.outputs is None
    task = asyncio.create_task(EXECUTOR.execute(resource(operation), context(kube, namespace=namespace)))
    done, _ = await asyncio.wait({task}, timeout=1)
    assert not done
    await release(kube, namespace)
    assert isinstance(await task, Succeeded)
    made = await kube.get(CONFIG_MAPS, "a", namespace=namespace)
    assert made["metadata"]["uid"] != going
    assert "deletionTimestamp" not in made["metadata"]
    assert made["data"] == {"x": "new"}


async def test_patch_of_what_goes_says_that_it_is_gone(kube: KubeClient, namespace: str) -> None:
    await put(kube, namespace, **HELD)
    await kube.delete(CONFIG_MAPS, "a", namespace=namespace)
    task = asyncio.create_task(EXECUTOR.execute(resource("Patch"), context(kube, namespace=namespace)))
    done, _ = await asyncio.wait({task}, timeout=0.5)
    assert not done
    await release(kube, namespace)
    outcome = await task
    assert isinstance(outcome, Failed)
    assert outcome.message == 'configmaps "a" not found'


@pytest.mark.parametrize("wait", [False, True])
async def test_delete_in_doubt_leaves_what_was_made_anew(kube: KubeClient, namespace: str, wait: bool) -> None:
    priors = MemoryPriors()
    first = await put(kube, namespace)
    body = resource("Delete", waitReady=wait)
    outcome = await EXECUTOR.execute(body, context(kube, namespace=namespace, priors=priors))
    assert isinstance(outcome, Succeeded)
    second = await put(kube, namespace)
    again = await EXECUTOR.execute(body, context(kube, namespace=namespace, priors=priors, attempt=2, in_doubt=True))
    assert isinstance(again, Succeeded)
    assert again.outputs is not None
    assert again.outputs.resource_ref is not None
    assert again.outputs.resource_ref.uid == first
    expired = context(kube, namespace=namespace, priors=priors, attempt=2, in_doubt=True, seconds=-1)
    assert isinstance(await EXECUTOR.execute(body, expired), Succeeded)
    assert (await kube.get(CONFIG_MAPS, "a", namespace=namespace))["metadata"]["uid"] == second


async def test_delete_that_waits_goes_by_the_uid(kube: KubeClient, namespace: str) -> None:
    await put(kube, namespace, **HELD)
    where = context(kube, namespace=namespace, seconds=30)
    task = asyncio.create_task(EXECUTOR.execute(resource("Delete", waitReady=True), where))
    done, _ = await asyncio.wait({task}, timeout=1)
    assert not done
    await release(kube, namespace)
    for _ in range(50):
        try:
            await kube.get(CONFIG_MAPS, "a", namespace=namespace)
        except NotFound:
            break
        await asyncio.sleep(0.1)
    await put(kube, namespace, labels={"made": "anew"})
    assert isinstance(await task, Succeeded)


async def test_delete_that_does_not_wait_says_what_is_still_there(kube: KubeClient, namespace: str) -> None:
    await put(kube, namespace, **HELD)
    where = context(kube, namespace=namespace)
    said = f"Resource ConfigMap {namespace}/a Delete successfully"
    held = f"ConfigMap {namespace}/a is still being deleted, held by finalizers [example.com/hold]"
    for _ in range(2):
        outcome = await EXECUTOR.execute(resource("Delete"), where)
        assert isinstance(outcome, Succeeded)
        assert outcome.message == f"{said}; {held}"
    await release(kube, namespace)
    await put(kube, namespace)
    outcome = await EXECUTOR.execute(resource("Delete"), context(kube, namespace=namespace, run="another"))
    assert isinstance(outcome, Succeeded)
    assert outcome.message == said


async def test_apply_of_what_is_deleted_and_made_anew_is_not_ready(kube: KubeClient, namespace: str) -> None:
    """Readiness is awaited of the object that this run applied, not of another of its name."""
    where = context(kube, namespace=namespace, seconds=10)
    task = asyncio.create_task(
        EXECUTOR.execute(resource("Apply", waitReady=True, readyWhen="has(object.data.go)"), where)
    )
    done, _ = await asyncio.wait({task}, timeout=1)
    assert not done
    await kube.delete(CONFIG_MAPS, "a", namespace=namespace)
    await put(kube, namespace)
    await kube.patch(CONFIG_MAPS, "a", {"data": {"go": "yes"}}, namespace=namespace)
    replaced = await task
    assert isinstance(replaced, Failed)
    assert "made anew by somebody else" in replaced.message


@pytest.mark.parametrize("operation", ["Create", "Apply"])
async def test_a_rollback_tells_deleted_from_being_deleted(kube: KubeClient, namespace: str, operation: str) -> None:
    forward = context(kube, namespace=namespace)
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, finalizers: [example.com/hold]}\n"
    body = action("KubernetesResource", resource={"operation": operation, "manifest": manifest})
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs is not None
    undone = await EXECUTOR.rollback(body, outcome.outputs, reverting(forward))
    held = f"ConfigMap {namespace}/a is still being deleted, held by finalizers [example.com/hold]"
    assert undone == Succeeded(f"Rolled back: {held}")
    await release(kube, namespace)


@pytest.mark.parametrize("operation", ["Create", "Apply", "Delete"])
async def test_one_object_twice_in_a_manifest(kube: KubeClient, namespace: str, operation: str) -> None:
    forward = context(kube, namespace=namespace)
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    manifest = f"{one}---\n{one}---\n{one.replace('name: a', 'name: b')}"
    body = action("KubernetesResource", resource={"operation": operation, "manifest": manifest})
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs is not None
    assert [ref.name for ref in outcome.outputs.resource_refs] == ["a", "b"]
    undone = await EXECUTOR.rollback(body, outcome.outputs, reverting(forward))
    assert not isinstance(undone, Failed), undone
