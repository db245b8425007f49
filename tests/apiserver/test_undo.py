"""Taking an Apply or Replace back leaves what others changed since: kinds and fates, against a real API server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
import yaml

from app.engine.outcome import Failed, Outcome, Succeeded
from app.kube.client import JSON_PATCH, KubeClient
from app.kube.config import load_connection
from app.kube.resources import CONFIG_MAPS
from app.models.execution import ActionOutputs, FieldConflict
from app.models.revert_options import ConflictPolicy, MissingResources
from controller.actions.base import ActionContext
from controller.actions.resource import ResourceExecutor
from tests.support.cluster import Cluster
from tests.unit.actions.support import MemoryPriors, action, context, reverting

EXECUTOR = ResourceExecutor()
ALLOWED = ["get", "list", "watch", "create", "patch", "delete"]


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(cluster.kubeconfig))) as client:
        yield client


POD = {"containers": [{"name": "app", "image": "app:1", "env": [{"name": "A", "value": "1"}]}]}
LABELS = {"matchLabels": {"app": "a"}}
TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": POD}


def with_image(image: str, **others: Any) -> dict[str, Any]:
    app = {"name": "app", "image": image, **others}
    return {"template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [app]}}}


THEIRS = {"metadata": {"labels": {"theirs": "1"}, "annotations": {"deployment.kubernetes.io/revision": "9"}}}
"""What somebody else does to any object."""

Case = tuple[str, dict[str, Any], dict[str, Any], list[dict[str, Any]]]
KINDS: dict[str, Case] = {
    "an autoscaled Deployment": (
        "apps/v1/Deployment",
        {"spec": {"replicas": 2, "selector": LABELS, "template": TEMPLATE}},
        {"spec": {"replicas": 2, "selector": LABELS, **with_image("app:2", env=[{"name": "B", "value": "2"}])}},
        [
            {"op": "replace", "path": "/spec/replicas", "value": 7},
            {"op": "add", "path": "/spec/template/spec/containers/0", "value": {"name": "side", "image": "s"}},
            {"op": "add", "path": "/spec/template/spec/containers/1/env/-", "value": {"name": "C", "value": "3"}},
            {"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"operator": "Exists"}]},
        ],
    ),
    "a Deployment of another strategy": (
        "apps/v1/Deployment",
        {"spec": {"selector": LABELS, "template": TEMPLATE, "strategy": {"type": "Recreate"}}},
        {
            "spec": {
                "selector": LABELS,
                "template": TEMPLATE,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            }
        },
        [{"op": "replace", "path": "/spec/replicas", "value": 7}],
    ),
    "a StatefulSet whose quantities are written otherwise": (
        "apps/v1/StatefulSet",
        {"spec": {"serviceName": "a", "selector": LABELS, "template": TEMPLATE}},
        {
            "spec": {
                "serviceName": "a",
                "selector": LABELS,
                **with_image("app:1", resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}}),
            }
        },
        [{"op": "replace", "path": "/spec/replicas", "value": 3}],
    ),
    "a Service": (
        "v1/Service",
        {"spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "name": "w"}]}},
        {
            "spec": {
                "type": "NodePort",
                "selector": {"app": "b"},
                "ports": [{"port": 80, "name": "w"}, {"port": 81, "name": "x"}],
            }
        },
        [{"op": "add", "path": "/spec/sessionAffinity", "value": "ClientIP"}],
    ),
    "a claim": (
        "v1/PersistentVolumeClaim",
        {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
        {
            "metadata": {"labels": {"run": "1"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
        },
        [{"op": "add", "path": "/spec/volumeName", "value": "pv-1"}],
    ),
    "a ServiceAccount": (
        "v1/ServiceAccount",
        {"secrets": [{"name": "one"}]},
        {"secrets": [{"name": "one"}, {"name": "two"}], "automountServiceAccountToken": False},
        [{"op": "add", "path": "/secrets/-", "value": {"name": "three"}}],
    ),
    "an object of a CustomResourceDefinition": (
        "apps.clusternet.io/v1alpha1/Localization",
        {"spec": {"priority": 1, "overrides": [{"name": "x", "type": "Helm", "value": "{}"}]}},
        {
            "spec": {
                "priority": 2,
                "overridePolicy": "ApplyNow",
                "overrides": [{"name": "y", "type": "Helm", "value": "1"}],
            }
        },
        [{"op": "add", "path": "/spec/feed", "value": {"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}}],
    ),
    "an autoscaler": (
        "autoscaling/v2/HorizontalPodAutoscaler",
        {"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"}}},
        {"spec": {"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "b", "apiVersion": "apps/v1"}}},
        [{"op": "add", "path": "/spec/minReplicas", "value": 2}],
    ),
    "an Ingress, whose rules are one value": (
        "networking.k8s.io/v1/Ingress",
        {"spec": {"rules": [{"host": "a.example.com"}]}},
        {"spec": {"rules": [{"host": "b.example.com"}], "ingressClassName": "run"}},
        [{"op": "add", "path": "/spec/tls", "value": [{"hosts": ["c.example.com"]}]}],
    ),
    "a ConfigMap": (
        "v1/ConfigMap",
        {"data": {"x": "1", "k": "1"}, "metadata": {"finalizers": ["example.com/a"]}},
        {"data": {"x": "2", "z": "2"}, "metadata": {"labels": {"run": "1"}, "finalizers": ["example.com/run"]}},
        [{"op": "replace", "path": "/data/k", "value": "9"}, {"op": "add", "path": "/data/w", "value": "9"}],
    ),
}


def full(case: Case, side: int) -> dict[str, Any]:
    api_version, _, kind = case[0].rpartition("/")
    parts: Any = case[1] if side == 1 else case[2]
    metadata = {"name": "a", **parts.get("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, **parts, "metadata": metadata}


def comparable(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: obj["metadata"].get(key) or {} for key in ("labels", "annotations", "finalizers", "uid")}
    content = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return {**content, "metadata": metadata}


def outputs_of(outcome: Outcome) -> ActionOutputs:
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.outputs is not None
    return outcome.outputs


def applied(manifest: dict[str, Any], operation: str = "Apply") -> Any:
    return action("KubernetesResource", resource={"operation": operation, "manifest": yaml.safe_dump(manifest)})


@pytest.mark.parametrize("name", KINDS)
async def test_only_what_the_run_changed_goes_back(kube: KubeClient, namespace: str, name: str) -> None:
    case = KINDS[name]
    before, after = full(case, 1), full(case, 2)
    resource = await kube.resource_for(before["apiVersion"], before["kind"])
    place = namespace if resource.namespaced else None
    was = await kube.create(resource, before, namespace=place)
    key = was["metadata"]["name"]
    body, forward = applied(after), context(kube, namespace=namespace)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    wrote = await kube.get(resource, key, namespace=place)
    assert comparable(wrote) != comparable(was)
    # nobody else: exactly as before, and taking back twice is as good
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, Succeeded), undone
    assert undone.message == f"Rolled back: restored resource {before['kind']} {place or ''}/{key}"
    assert comparable(await kube.get(resource, key, namespace=place)) == comparable(was)
    assert await EXECUTOR.rollback(body, outputs, reverting(forward, in_doubt=True)) == undone
    # with the work of others
    again = context(kube, namespace=namespace, run="run-2")
    outputs = outputs_of(await EXECUTOR.execute(body, again))
    await kube.patch(resource, key, THEIRS, namespace=place)
    await kube.patch(resource, key, case[3], content_type=JSON_PATCH, field_manager="theirs", namespace=place)
    undone = await EXECUTOR.rollback(body, outputs, reverting(again))
    assert isinstance(undone, Succeeded), undone
    assert not undone.conflicts
    found = await kube.get(resource, key, namespace=place)
    # as if the others had done their part without the run
    await kube.create(resource, {**before, "metadata": {**before["metadata"], "name": f"{key}-2"}}, namespace=place)
    await kube.patch(resource, f"{key}-2", THEIRS, namespace=place)
    expected = await kube.patch(resource, f"{key}-2", case[3], content_type=JSON_PATCH, namespace=place)
    assert _neutral(found) == _neutral(expected)


def _neutral(obj: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from one object to the next."""
    found = comparable(obj)
    found["metadata"].pop("uid")
    if "spec" in found:
        found["spec"] = {key: v for key, v in found["spec"].items() if key not in ("clusterIP", "clusterIPs")}
    return found


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


def data(**members: str) -> dict[str, Any]:
    return {**CONFIG_MAP, "data": members}


async def changed(kube: KubeClient, namespace: str, **others: Any) -> tuple[Any, ActionOutputs, ActionContext]:
    """An Apply over a ConfigMap of somebody else: `x` is changed, `new` added."""
    await kube.create(CONFIG_MAPS, data(x="was", keep="was"), namespace=namespace)
    body, forward = applied(data(x="run", new="run")), context(kube, namespace=namespace, **others)
    return body, outputs_of(await EXECUTOR.execute(body, forward)), forward


async def theirs(kube: KubeClient, namespace: str, **members: str | None) -> None:
    await kube.patch(CONFIG_MAPS, "a", {"data": members}, namespace=namespace, field_manager="kubectl-edit")


async def data_of(kube: KubeClient, namespace: str, name: str = "a") -> dict[str, str]:
    return dict((await kube.get(CONFIG_MAPS, name, namespace=namespace)).get("data") or {})


async def test_a_collision_is_told_and_decided_by_the_operator(kube: KubeClient, namespace: str) -> None:
    body, outputs, forward = await changed(kube, namespace)
    await theirs(kube, namespace, x="theirs", new=None, keep="theirs")
    told = FieldConflict(
        object=f"ConfigMap {namespace}/a", path="data.x", was='"was"', wrote='"run"', now='"theirs"',
        changed_by="kubectl-edit",
    )  # fmt: skip
    failed = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(failed, Failed)
    assert failed.conflicts == (told,)
    assert not failed.retryable
    assert failed.message == (
        f'Failed to restore ConfigMap {namespace}/a: data.x was "was", this run wrote "run", and it was changed by '
        'kubectl-edit to "theirs" since; the object was left as it is: put it right by hand, or revert anew with '
        "spec.revertOptions.conflicts: Keep (what others wrote stays) or Force (it becomes what it was before the run)"
    )
    assert await data_of(kube, namespace) == {"x": "theirs", "keep": "theirs"}
    kept = await EXECUTOR.rollback(body, outputs, reverting(forward, conflicts=ConflictPolicy.KEEP))
    assert isinstance(kept, Succeeded)
    assert "1 field that others changed since kept: data.x was" in kept.message
    assert kept.conflicts == (told,)
    assert await data_of(kube, namespace) == {"x": "theirs", "keep": "theirs"}
    forced = await EXECUTOR.rollback(body, outputs, reverting(forward, conflicts=ConflictPolicy.FORCE))
    assert isinstance(forced, Succeeded)
    assert "1 field that others changed since overwritten: data.x was" in forced.message
    assert await data_of(kube, namespace) == {"x": "was", "keep": "theirs"}


async def test_many_collisions_are_counted_and_the_first_listed(kube: KubeClient, namespace: str) -> None:
    names = [f"k{number:02}" for number in range(30)]
    await kube.create(CONFIG_MAPS, data(**dict.fromkeys(names, "was")), namespace=namespace)
    body, forward = applied(data(**dict.fromkeys(names, "run" * 200))), context(kube, namespace=namespace)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    await theirs(kube, namespace, **dict.fromkeys(names, "theirs"))
    failed = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(failed, Failed)
    assert [conflict.path for conflict in failed.conflicts] == [f"data.{name}" for name in names[:10]]
    assert ", and 29 more (see conflicts in the action's status)" in failed.message
    assert all(len(conflict.wrote.encode()) <= 100 for conflict in failed.conflicts)


@pytest.mark.parametrize("policy", list(ConflictPolicy))
@pytest.mark.parametrize("fate", ["deleted", "made anew", "being deleted"])
async def test_an_object_that_is_not_there_any_more(
    kube: KubeClient, namespace: str, fate: str, policy: ConflictPolicy
) -> None:
    body, outputs, forward = await changed(kube, namespace)
    if fate == "being deleted":
        await kube.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": ["example.com/hold"]}}, namespace=namespace)
    await kube.delete(CONFIG_MAPS, "a", namespace=namespace)
    if fate == "made anew":
        await kube.create(CONFIG_MAPS, data(x="run", theirs="1"), namespace=namespace)
    failed = await EXECUTOR.rollback(body, outputs, reverting(forward, conflicts=policy))
    assert isinstance(failed, Failed)
    assert failed.message.startswith(f"Failed to restore ConfigMap {namespace}/a: ")
    ignored = await EXECUTOR.rollback(
        body, outputs, reverting(forward, conflicts=policy, missing_resources=MissingResources.IGNORE)
    )
    if fate == "being deleted":
        assert "is still being deleted, held by finalizers [example.com/hold]" in failed.message
        assert isinstance(ignored, Failed)
        await kube.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace=namespace)
        return
    assert isinstance(ignored, Succeeded)
    if fate == "made anew":
        assert await data_of(kube, namespace) == {"x": "run", "theirs": "1"}


async def test_an_attempt_whose_answer_was_lost(kube: KubeClient, namespace: str) -> None:
    """The write was done and not recorded; others change the object, and the next attempt applies once more."""
    body, _, forward = await changed(kube, namespace)
    priors = forward.priors
    assert isinstance(priors, MemoryPriors)
    lost = [key for key in priors.records if key.endswith("!written")]
    for key in lost:
        del priors.records[key]
    await theirs(kube, namespace, keep="theirs", late="theirs")
    outputs = outputs_of(await EXECUTOR.execute(body, replace(forward, attempt=2, in_doubt=True)))
    assert set(lost) <= priors.records.keys()
    await theirs(kube, namespace, later="theirs")
    assert isinstance(await EXECUTOR.rollback(body, outputs, reverting(forward)), Succeeded)
    assert await data_of(kube, namespace) == {"x": "was", "keep": "theirs", "late": "theirs", "later": "theirs"}


async def test_a_run_without_record_of_its_changes_goes_by_the_field_manager(kube: KubeClient, namespace: str) -> None:
    body, outputs, forward = await changed(kube, namespace)
    assert isinstance(forward.priors, MemoryPriors)
    forward.priors.records = {key: v for key, v in forward.priors.records.items() if not key.endswith("!written")}
    await theirs(kube, namespace, x="theirs", late="theirs")
    assert isinstance(await EXECUTOR.rollback(body, outputs, reverting(forward)), Succeeded)
    assert await data_of(kube, namespace) == {"x": "theirs", "keep": "was", "late": "theirs"}
    await kube.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": [{}]}}, namespace=namespace, field_manager="x")
    unknown = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(unknown, Failed)
    assert "what this run changed is not recorded" in unknown.message


async def test_one_object_applied_twice_by_one_action(kube: KubeClient, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, data(x="was", keep="was"), namespace=namespace)
    manifest = yaml.safe_dump_all([data(x="one", z="one"), data(x="two", keep="two")])
    body = action("KubernetesResource", resource={"operation": "Apply", "manifest": manifest})
    forward = context(kube, namespace=namespace)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    assert await data_of(kube, namespace) == {"x": "two", "keep": "two"}
    await theirs(kube, namespace, theirs="1")
    assert isinstance(await EXECUTOR.rollback(body, outputs, reverting(forward)), Succeeded)
    assert await data_of(kube, namespace) == {"x": "was", "keep": "was", "theirs": "1"}


async def test_a_later_run_of_the_same_action_collides(kube: KubeClient, namespace: str) -> None:
    """Both runs write under one field manager; what the later one wrote is not the earlier one's to take back."""
    body, outputs, forward = await changed(kube, namespace)
    await EXECUTOR.execute(applied(data(x="later", new="run")), context(kube, namespace=namespace, run="run-2"))
    failed = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(failed, Failed)
    assert [conflict.now for conflict in failed.conflicts] == ['"later"']


async def test_what_may_be_a_secret_is_in_no_conflict(kube: KubeClient, namespace: str) -> None:
    secret: dict[str, Any] = {"params": {"p": "Hunter_2"}, "secrets": frozenset({"p"})}
    await kube.create(CONFIG_MAPS, data(x="was"), namespace=namespace)
    body, forward = applied(data(x="pass: $(params.p)")), context(kube, namespace=namespace, **secret)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    await theirs(kube, namespace, x="pass: Hunter_2, and more")
    now_rotated = reverting(forward, scope=replace(forward.scope, params={"p": "other"}))
    failed = await EXECUTOR.rollback(body, outputs, now_rotated)
    assert isinstance(failed, Failed)
    (conflict,) = failed.conflicts
    assert (conflict.path, conflict.was, conflict.wrote, conflict.now) == ("data.x", "***", "***", "***")
    assert "Hunter_2" not in failed.message


def _user(cluster: Cluster, name: str, verbs: list[str]) -> KubeClient:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}
    return KubeClient(load_connection(str(cluster.plane.add_user(f"undo-{name}", rules=[rule]).kubeconfig)))


async def test_the_way_back_needs_no_verb_that_the_way_forward_did_not(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    async with _user(cluster, "allowed", ALLOWED) as allowed, _user(cluster, "reader", ["get"]) as reader:
        body, outputs, forward = await changed(allowed, namespace)
        made = applied({**data(x="1"), "metadata": {"name": "made"}}, "Create")
        made_outputs = outputs_of(await EXECUTOR.execute(made, context(allowed, namespace=namespace)))
        refused = reverting(forward, kube=context(reader, namespace=namespace).kube)
        failed = await EXECUTOR.rollback(body, outputs, refused)
        assert isinstance(failed, Failed)
        assert failed.message.startswith(f"Failed to restore ConfigMap {namespace}/a: ")
        assert 'cannot patch resource "configmaps"' in failed.message
        undeleted = await EXECUTOR.rollback(made, made_outputs, refused)
        assert isinstance(undeleted, Failed)
        assert undeleted.message.startswith("Failed to delete ")
        assert 'cannot delete resource "configmaps"' in undeleted.message
        assert isinstance(await EXECUTOR.rollback(body, outputs, reverting(forward)), Succeeded)
        assert isinstance(await EXECUTOR.rollback(made, made_outputs, reverting(forward)), Succeeded)
    assert await data_of(kube, namespace) == {"x": "was", "keep": "was"}
