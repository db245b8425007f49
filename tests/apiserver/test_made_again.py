"""`rollbackPolicy`: what a run deleted is made again, what it patched goes back, against a real API server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
import yaml

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import NotFound
from app.kube.resources import CONFIG_MAPS, LOCALIZATIONS, SECRETS, Resource
from app.models.actions import RollbackPolicy
from app.models.execution import ActionOutputs
from app.models.revert_options import ConflictPolicy
from controller.actions.base import ActionContext
from controller.actions.clusternet import LOCALIZATION, ClusternetExecutor
from controller.actions.resource import ResourceExecutor
from tests.support.cluster import Cluster
from tests.unit.actions.support import action, context, reverting

EXECUTOR = ResourceExecutor()
RESTORE: Any = {"rollback_policy": RollbackPolicy.RESTORE}


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(cluster.kubeconfig))) as client:
        yield client


METADATA = {"name": "a", "labels": {"l": "1"}, "annotations": {"a.example.com/x": "y"}}
POD = {"containers": [{"name": "app", "image": "app:1"}]}
OBJECTS: dict[str, dict[str, Any]] = {
    "ConfigMap": {"apiVersion": "v1", "data": {"x": "1", "e": ""}, "binaryData": {"b": "AAE="}, "immutable": True},
    "Service": {"apiVersion": "v1", "spec": {"type": "NodePort", "ports": [{"port": 80, "name": "w"}]}},
    "Deployment": {
        "apiVersion": "apps/v1",
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD},
        },
    },
    "PersistentVolumeClaim": {
        "apiVersion": "v1",
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "volumeName": "pv",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    },
    "ServiceAccount": {"apiVersion": "v1", "imagePullSecrets": [{"name": "s"}]},
    "Localization": {
        "apiVersion": "apps.clusternet.io/v1alpha1",
        "spec": {"priority": 7, "overrides": [{"name": "x", "type": "Helm", "value": "{}"}]},
    },
    "CronJob": {
        "apiVersion": "batch/v1",
        "spec": {
            "schedule": "0 0 1 1 *",
            "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}},
        },
    },
    "Ingress": {"apiVersion": "networking.k8s.io/v1", "spec": {"rules": [{"host": "a.example.com"}]}},
}


def full(kind: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, **OBJECTS[kind], "metadata": {**METADATA, **metadata}}


def outputs_of(outcome: Outcome) -> ActionOutputs:
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.outputs is not None
    return outcome.outputs


def doing(operation: str, *manifests: dict[str, Any]) -> Any:
    block = {"operation": operation, "manifest": yaml.safe_dump_all(manifests)}
    return action("KubernetesResource", resource=block, rollbackPolicy="Restore")


def named(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace") if key in obj["metadata"]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def comparable(obj: dict[str, Any]) -> dict[str, Any]:
    kept = {key: obj["metadata"].get(key) for key in ("name", "labels", "annotations", "finalizers")}
    return {**{key: value for key, value in obj.items() if key not in ("metadata", "status")}, "metadata": kept}


async def live(kube: KubeClient, resource: Resource, namespace: str, name: str = "a") -> dict[str, Any] | None:
    try:
        return await kube.get(resource, name, namespace=namespace)
    except NotFound:
        return None


async def deleted(
    kube: KubeClient, namespace: str, *objects: dict[str, Any], **others: Any
) -> tuple[Any, ActionOutputs, ActionContext]:
    """A Delete of objects that it is to restore."""
    body, forward = doing("Delete", *map(named, objects)), context(kube, namespace=namespace, **RESTORE, **others)
    return body, outputs_of(await EXECUTOR.execute(body, forward)), forward


@pytest.mark.parametrize("kind", OBJECTS)
async def test_what_was_deleted_is_made_again_as_it_was(kube: KubeClient, namespace: str, kind: str) -> None:
    resource = await kube.resource_for(OBJECTS[kind]["apiVersion"], kind)
    was = await kube.create(resource, full(kind), namespace=namespace)
    body, outputs, forward = await deleted(kube, namespace, was)
    if was["metadata"].get("finalizers"):  # nobody is there to take the protection of claims off
        await kube.patch(resource, "a", {"metadata": {"finalizers": None}}, namespace=namespace)
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, Succeeded), undone
    assert undone.message == f"Rolled back: restored resource {kind} {namespace}/a"
    again = await kube.get(resource, "a", namespace=namespace)
    assert comparable(again) == comparable(was)
    assert again["metadata"]["uid"] != was["metadata"]["uid"]
    # the answer was lost: what is there is what was made
    assert await EXECUTOR.rollback(body, outputs, reverting(forward, in_doubt=True)) == undone
    assert (await kube.get(resource, "a", namespace=namespace))["metadata"]["uid"] == again["metadata"]["uid"]


async def test_all_that_one_run_did_to_an_object_is_taken_back(kube: KubeClient, namespace: str) -> None:
    """It was changed, patched and deleted; or made and deleted: the new object stands for the one of the run."""
    was = await kube.create(CONFIG_MAPS, {**full("ConfigMap"), "immutable": False}, namespace=namespace)
    first = context(kube, namespace=namespace, action="apply", **RESTORE)
    apply = doing("Apply", {**named(was), "data": {"x": "run"}})
    applied = outputs_of(await EXECUTOR.execute(apply, first))
    second = replace(context(kube, namespace=namespace, action="patch", **RESTORE), priors=first.priors)
    patch = doing("Patch", {**named(was), "data": {"new": "run", "e": None}})
    patched = outputs_of(await EXECUTOR.execute(patch, second))
    create = doing("Create", {**named(was), "metadata": {"name": "made"}})
    third = replace(context(kube, namespace=namespace, action="create", **RESTORE), priors=first.priors)
    created = outputs_of(await EXECUTOR.execute(create, third))
    both = {**named(was), "metadata": {"name": "made"}}
    body, gone, forward = await deleted(kube, namespace, was, both, action="delete", priors=first.priors)
    assert await live(kube, CONFIG_MAPS, namespace) is None
    undone = await EXECUTOR.rollback(body, gone, reverting(forward))
    assert isinstance(undone, Succeeded)
    assert undone.message.startswith("Rolled back: restored 2 resources: ")
    await kube.patch(CONFIG_MAPS, "a", {"data": {"theirs": "1"}}, namespace=namespace)
    for done, outputs, was_forward in ((create, created, third), (patch, patched, second), (apply, applied, first)):
        undone = await EXECUTOR.rollback(done, outputs, reverting(was_forward))
        assert isinstance(undone, Succeeded), undone
    assert await live(kube, CONFIG_MAPS, namespace, "made") is None
    found = await kube.get(CONFIG_MAPS, "a", namespace=namespace)
    assert found["data"] == {"x": "1", "e": "", "theirs": "1"}
    assert comparable({**found, "data": None}) == comparable({**was, "data": None})


@pytest.mark.parametrize("policy", list(ConflictPolicy))
@pytest.mark.parametrize("kind", ["ConfigMap", "Service"])
async def test_what_others_made_in_its_place(
    kube: KubeClient, namespace: str, kind: str, policy: ConflictPolicy
) -> None:
    resource = await kube.resource_for("v1", kind)
    wanted = {**full(kind), "immutable": False} if kind == "ConfigMap" else full(kind)
    was = await kube.create(resource, wanted, namespace=namespace)
    body, outputs, forward = await deleted(kube, namespace, was)
    other = {"data": {"x": "theirs"}} if kind == "ConfigMap" else {"spec": {"ports": [{"port": 9, "name": "w"}]}}
    theirs = await kube.create(resource, {**named(was), **other}, namespace=namespace, field_manager="them")
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward, conflicts=policy))
    found = await kube.get(resource, "a", namespace=namespace)
    assert found["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert isinstance(undone, (Succeeded, Failed))
    [conflict] = undone.conflicts
    assert (conflict.path, conflict.changed_by) == ("metadata.uid", "them")
    if policy is ConflictPolicy.FORCE:
        assert isinstance(undone, Succeeded), undone
        then, now = comparable(was), comparable(found)
        if kind == "Service":
            for each in (then, now):
                each["spec"] = {key: value for key, value in each["spec"].items() if not key.startswith("clusterIP")}
                each["spec"]["ports"] = [{**port, "nodePort": 0} for port in each["spec"]["ports"]]
        assert now == then
    else:
        assert isinstance(undone, Failed if policy is ConflictPolicy.FAIL else Succeeded)
        assert "it was made anew by them since" in undone.message
        assert comparable(found) == comparable(theirs)


async def test_what_others_restored_already_is_taken_for_it(kube: KubeClient, namespace: str) -> None:
    was = await kube.create(CONFIG_MAPS, full("ConfigMap"), namespace=namespace)
    body, outputs, forward = await deleted(kube, namespace, was)
    await kube.create(CONFIG_MAPS, full("ConfigMap"), namespace=namespace)
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, Succeeded)
    assert not undone.conflicts


async def test_addresses_that_others_have_now_and_owners_that_are_gone(kube: KubeClient, namespace: str) -> None:
    services = await kube.resource_for("v1", "Service")
    owners = [await kube.create(CONFIG_MAPS, full("ConfigMap", name=name), namespace=namespace) for name in ("x", "y")]
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner["metadata"]["uid"]}
        for name, owner in zip(("x", "y"), owners, strict=True)
    ]
    was = await kube.create(services, full("Service", ownerReferences=references), namespace=namespace)
    body, outputs, forward = await deleted(kube, namespace, was)
    taken = {"spec": {"clusterIP": was["spec"]["clusterIP"], "ports": [{"port": 1}]}}
    await kube.create(services, {**named(was), "metadata": {"name": "b"}, **taken}, namespace=namespace)
    await kube.delete(CONFIG_MAPS, "y", namespace=namespace)
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, Succeeded), undone
    assert f"Service {namespace}/a has new addresses, because others have those that it had" in undone.message
    assert f"Service {namespace}/a is no longer owned by ConfigMap y, which is gone" in undone.message
    again = await kube.get(services, "a", namespace=namespace)
    assert again["spec"]["clusterIP"] not in ("", was["spec"]["clusterIP"])
    assert [each["name"] for each in again["metadata"]["ownerReferences"]] == ["x"]


async def test_what_is_still_being_deleted_is_waited_for(kube: KubeClient, namespace: str) -> None:
    held = {**full("ConfigMap"), "metadata": {**METADATA, "finalizers": ["example.com/hold"]}}
    was = await kube.create(CONFIG_MAPS, held, namespace=namespace)
    body, outputs, forward = await deleted(kube, namespace, was)
    stuck = await EXECUTOR.rollback(body, outputs, reverting(forward, deadline=forward.deadline - 18))
    assert isinstance(stuck, Failed)
    assert "is still being deleted, held by finalizers [example.com/hold]" in stuck.message
    await kube.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace=namespace)
    assert isinstance(await EXECUTOR.rollback(body, outputs, reverting(forward)), Succeeded)
    assert (await kube.get(CONFIG_MAPS, "a", namespace=namespace))["metadata"]["finalizers"] == ["example.com/hold"]
    await kube.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace=namespace)


async def test_what_was_not_there_or_not_deleted_is_left_alone(kube: KubeClient, namespace: str) -> None:
    body, outputs, forward = await deleted(kube, namespace, full("ConfigMap"))
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, NothingToDo)
    assert f"ConfigMap {namespace}/a was not there when it was to be deleted" in undone.message
    assert await live(kube, CONFIG_MAPS, namespace) is None


@pytest.mark.parametrize("operation", ["Apply", "Patch", "Delete"])
async def test_a_secret_is_refused_before_it_is_touched_and_never_shown(
    kube: KubeClient, namespace: str, operation: str
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"p": "Hunter_2"}}
    was = await kube.create(SECRETS, secret, namespace=namespace)
    forward = context(kube, namespace=namespace, **RESTORE)
    failed = await EXECUTOR.execute(doing(operation, {**secret, "stringData": {"p": "Other_3"}}), forward)
    assert isinstance(failed, Failed)
    assert "the data of Secrets is not recorded" in failed.message
    assert not failed.retryable
    assert await kube.get(SECRETS, "a", namespace=namespace) == was
    assert not any(text in repr((failed, vars(forward.priors))) for text in ("Hunter_2", "SHVudGVyXzI"))
    # one that the action makes is deleted again
    made = doing("Apply", {**secret, "metadata": {"name": "b"}})
    outputs = outputs_of(await EXECUTOR.execute(made, forward))
    assert isinstance(await EXECUTOR.rollback(made, outputs, reverting(forward)), Succeeded)
    assert await live(kube, SECRETS, namespace, "b") is None
    assert not any(text in repr(vars(forward.priors)) for text in ("Hunter_2", "SHVudGVyXzI", "Other_3"))


async def test_a_job_is_not_deleted_that_would_have_to_run_again(kube: KubeClient, namespace: str) -> None:
    jobs = await kube.resource_for("batch/v1", "Job")
    template = {"spec": {**POD, "restartPolicy": "Never"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"template": template}}
    was = await kube.create(jobs, job, namespace=namespace)
    failed = await EXECUTOR.execute(doing("Delete", named(was)), context(kube, namespace=namespace, **RESTORE))
    assert isinstance(failed, Failed)
    assert "its work would be done a second time" in failed.message
    assert await live(kube, jobs, namespace) is not None


async def test_policies_delete_and_none_of_an_apply(kube: KubeClient, namespace: str) -> None:
    was = await kube.create(CONFIG_MAPS, {**full("ConfigMap"), "immutable": False}, namespace=namespace)
    forward = context(kube, namespace=namespace, rollback_policy=RollbackPolicy.DELETE)
    body = doing("Apply", {**named(was), "data": {"x": "run"}}, {**named(was), "metadata": {"name": "made"}})
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, Succeeded)
    assert f"deleted resource ConfigMap {namespace}/made" in undone.message
    assert "existed before, and rollbackPolicy Delete leaves it as it is" in undone.message
    assert (await kube.get(CONFIG_MAPS, "a", namespace=namespace))["data"]["x"] == "run"


async def test_clusternets_kinds_go_back_too(kube: KubeClient, namespace: str) -> None:
    executor = ClusternetExecutor(LOCALIZATION)
    was = await kube.create(LOCALIZATIONS, full("Localization"), namespace=namespace)
    for operation in ("Patch", "Delete"):
        spec = {} if operation == "Delete" else {"spec": {"priority": 9}}
        block = {"operation": operation, "name": "a", "namespace": namespace, **spec}
        body = action("Localization", localization=block, rollbackPolicy="Restore")
        forward = context(kube, namespace=namespace, action=operation, **RESTORE)
        outputs = outputs_of(await executor.execute(body, forward))
        found = await live(kube, LOCALIZATIONS, namespace)
        assert found is None if operation == "Delete" else found is not None and found["spec"]["priority"] == 9
        undone = await executor.rollback(body, outputs, reverting(forward))
        assert isinstance(undone, Succeeded)
        assert undone.message == f"Rolled back: restored Localization {namespace}/a"
        assert comparable(await kube.get(LOCALIZATIONS, "a", namespace=namespace)) == comparable(was)
