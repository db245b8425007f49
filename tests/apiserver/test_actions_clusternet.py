"""Localization, Globalization, HelmChart and Subscription actions against a real API server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import NotFound
from app.kube.resources import GLOBALIZATIONS, HELM_CHARTS, LOCALIZATIONS, SUBSCRIPTIONS, Resource
from app.models.actions import ActionType
from app.models.execution import ActionOutputs
from app.models.names import EXECUTION_UID_LABEL, IDENTITY_ANNOTATION
from controller.actions.registry import build_registry
from tests.support.cluster import Cluster
from tests.unit.actions.support import action, context, reverting

REGISTRY = build_registry()
FEED = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "nginx"}
CHART = {"repo": "https://charts.example.invalid", "chart": "nginx", "targetNamespace": "web"}
SUBSCRIBERS = [{"clusterAffinity": {"matchLabels": {"site": "b"}}}]


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(cluster.kubeconfig_of("controller")))) as client:
        yield client


def one(type_: str, **block: Any) -> Any:
    member = {"HelmChart": "helmChart"}.get(type_, type_.lower())
    return action(type_, **{member: block})


async def execute(body: Any, where: Any) -> Outcome:
    return await REGISTRY[body.type].execute(body, where)


async def rollback(body: Any, outputs: ActionOutputs, where: Any) -> Outcome:
    return await REGISTRY[body.type].rollback(body, outputs, where)


def outputs_of(outcome: Outcome) -> ActionOutputs:
    assert not isinstance(outcome, NothingToDo)
    assert outcome.outputs is not None, outcome
    return outcome.outputs


async def spec_of(kube: KubeClient, resource: Resource, name: str, namespace: str | None) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = (await kube.get(resource, name, namespace=namespace))["spec"]
    return spec


async def is_there(kube: KubeClient, resource: Resource, name: str, namespace: str | None) -> bool:
    try:
        await kube.get(resource, name, namespace=namespace)
    except NotFound:
        return False
    return True


async def test_localization_is_created_with_defaults_and_deleted(kube: KubeClient, namespace: str) -> None:
    override = {
        "name": "$(params.n)", "type": "FieldJSONPatch", "value": "$(params.v)",
        "fieldPath": "/data/x", "fieldFormat": "YAML", "overrideChart": True,
    }  # fmt: skip
    spec = {"feed": {**FEED, "name": "$(params.n)"}, "overrides": [override]}
    body = one("Localization", name="loc-$(params.n)", namespace="$(params.ns)", spec=spec)
    forward = context(kube, params={"n": "a", "v": "1.10", "ns": namespace})
    outcome = await execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Localization {namespace}/loc-a created successfully"
    made = await kube.get(LOCALIZATIONS, "loc-a", namespace=namespace)
    assert made["spec"] == {
        "feed": {**FEED, "name": "a"},
        "overridePolicy": "ApplyLater",
        "priority": 500,
        "overrides": [{**override, "name": "a", "value": "1.10"}],
    }
    assert made["metadata"]["labels"][EXECUTION_UID_LABEL] == "run-1"
    assert made["metadata"]["annotations"][IDENTITY_ANNOTATION] == forward.identity
    ref = outputs_of(outcome).localization_ref
    assert ref is not None
    assert ref.to_wire() == {
        "apiVersion": "apps.clusternet.io/v1alpha1", "kind": "Localization", "namespace": namespace, "name": "loc-a",
        "uid": made["metadata"]["uid"],
    }  # fmt: skip
    again = await execute(body, replace(forward, attempt=2, in_doubt=True))
    assert again == outcome
    undone = await rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: deleted Localization {namespace}/loc-a")
    assert not await is_there(kube, LOCALIZATIONS, "loc-a", namespace)


async def test_globalization_is_cluster_scoped_and_its_labels_are_rendered(kube: KubeClient, namespace: str) -> None:
    affinity = {
        "matchLabels": {"$(params.key)": "$(params.v)"},
        "matchExpressions": [{"key": "$(params.key)", "operator": "In", "values": ["$(params.v)"]}],
    }
    spec = {"feed": FEED, "priority": 0, "clusterAffinity": affinity}
    body = one("Globalization", name=f"glob-{namespace}", operation="Apply", spec=spec)
    forward = context(kube, params={"key": "site", "v": "b"})
    outcome = await execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Globalization glob-{namespace} applied successfully"
    made = await spec_of(kube, GLOBALIZATIONS, f"glob-{namespace}", None)
    assert made["priority"] == 0
    assert made["clusterAffinity"] == {
        "matchLabels": {"site": "b"},
        "matchExpressions": [{"key": "site", "operator": "In", "values": ["b"]}],
    }
    undone = await rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: deleted Globalization glob-{namespace}")


async def test_helm_chart_keeps_the_types_of_rendered_values(kube: KubeClient, namespace: str) -> None:
    spec = {**CHART, "version": "$(params.version)", "repo": "https://$(params.host)/charts"}
    body = one("HelmChart", name="chart", namespace=namespace, spec=spec)
    outcome = await execute(body, context(kube, params={"version": "1.10", "host": "example.invalid"}))
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"HelmChart {namespace}/chart created successfully"
    made = await spec_of(kube, HELM_CHARTS, "chart", namespace)
    assert made["version"] == "1.10"
    assert made["repo"] == "https://example.invalid/charts"
    assert made["createNamespace"] is True
    assert made["timeoutSeconds"] == 300
    assert outputs_of(outcome).helm_chart_ref is not None


async def test_patch_changes_only_what_it_says(kube: KubeClient, namespace: str) -> None:
    spec = {"feed": FEED, "priority": 7, "overridePolicy": "ApplyNow", "overrides": [{"type": "Helm", "value": "a"}]}
    await execute(one("Localization", name="l", namespace=namespace, spec=spec), context(kube))
    body = one(
        "Localization", operation="Patch", name="l", namespace=namespace,
        spec={"overrides": [{"type": "Helm", "value": "b"}]},
    )  # fmt: skip
    forward = context(kube, run="run-2")
    outcome = await execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Localization {namespace}/l patched successfully"
    assert await spec_of(kube, LOCALIZATIONS, "l", namespace) == {
        **spec,
        "overrides": [{"type": "Helm", "value": "b"}],
    }
    undone = await rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == NothingToDo("No Localization to rollback")


async def test_subscription_patch_is_a_merge(kube: KubeClient, namespace: str) -> None:
    spec = {"feeds": [FEED], "subscribers": SUBSCRIBERS}
    await execute(one("Subscription", name="s", namespace=namespace, spec=spec), context(kube))
    new_feeds = [{**FEED, "name": "$(params.n)"}]
    body = one(
        "Subscription", operation="Patch", name="s", namespace=namespace,
        spec={"feeds": new_feeds, "subscribers": SUBSCRIBERS},
    )  # fmt: skip
    outcome = await execute(body, context(kube, run="run-2", params={"n": "other"}))
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Subscription {namespace}/s patched successfully"
    patched = await spec_of(kube, SUBSCRIPTIONS, "s", namespace)
    assert patched["feeds"] == [{**FEED, "name": "other"}]
    assert patched["schedulingStrategy"] == "Replication"


@pytest.mark.parametrize("type_", ["Localization", "HelmChart", "Subscription"])
async def test_patch_of_nothing(kube: KubeClient, namespace: str, type_: str) -> None:
    specs: dict[str, dict[str, Any]] = {"Localization": {"priority": 3}, "HelmChart": CHART}
    spec = specs.get(type_, {"feeds": [FEED], "subscribers": SUBSCRIBERS})
    body = one(type_, operation="Patch", name="none", namespace=namespace, spec=spec)
    outcome = await execute(body, context(kube))
    assert isinstance(outcome, Failed)
    plural = f"{type_.lower()}s.apps.clusternet.io"
    assert outcome.message == f'get existing {type_} {namespace}/none: {plural} "none" not found'


async def test_create_over_an_object_of_somebody_else(kube: KubeClient, namespace: str) -> None:
    body = one("Subscription", name="s", namespace=namespace, spec={"feeds": [FEED], "subscribers": SUBSCRIBERS})
    await execute(body, context(kube, run="run-0"))
    outcome = await execute(body, context(kube))
    assert outcome == Failed('subscriptions.apps.clusternet.io "s" already exists')


async def test_apply_over_an_existing_object_is_restored(kube: KubeClient, namespace: str) -> None:
    first = {"feeds": [FEED], "subscribers": SUBSCRIBERS, "priority": 3}
    await execute(one("Subscription", name="s", namespace=namespace, spec=first), context(kube, run="run-0"))
    before = await kube.get(SUBSCRIPTIONS, "s", namespace=namespace)
    chosen = {"clusterAffinity": {"matchLabels": {"site": "$(params.s)", "price": "$$(params.s)"}}}
    second = {"feeds": [{**FEED, "name": "other"}], "subscribers": [chosen], "schedulerName": "$(params.s)"}
    body = one("Subscription", operation="Apply", name="s", namespace=namespace, spec=second)
    forward = context(kube, params={"s": "mine"})
    outcome = await execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Subscription {namespace}/s applied successfully"
    applied = await spec_of(kube, SUBSCRIPTIONS, "s", namespace)
    assert applied["schedulerName"] == "mine"
    [subscriber] = applied["subscribers"]
    assert subscriber["clusterAffinity"]["matchLabels"] == {"site": "mine", "price": "$(params.s)"}
    undone = await rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: restored Subscription {namespace}/s")
    after = await kube.get(SUBSCRIPTIONS, "s", namespace=namespace)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


async def test_replace_waits_until_the_old_object_is_gone(kube: KubeClient, namespace: str) -> None:
    spec = {"feeds": [FEED], "subscribers": SUBSCRIBERS}
    await execute(one("Subscription", name="s", namespace=namespace, spec=spec), context(kube, run="run-0"))
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    old = await kube.patch(SUBSCRIPTIONS, "s", hold, namespace=namespace)
    new = {**spec, "priority": 9}
    body = one("Subscription", operation="Replace", name="s", namespace=namespace, spec=new)
    forward = context(kube)
    held = await execute(body, replace(forward, deadline=asyncio.get_running_loop().time() + 1.0))
    assert isinstance(held, Failed)
    assert not held.retryable
    assert "timed out after" in held.message
    async with asyncio.TaskGroup() as group:
        running = group.create_task(execute(body, forward))
        await asyncio.sleep(0.3)
        await kube.patch(SUBSCRIPTIONS, "s", {"metadata": {"finalizers": None}}, namespace=namespace)
    outcome = running.result()
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Subscription {namespace}/s created successfully"
    found = await kube.get(SUBSCRIPTIONS, "s", namespace=namespace)
    assert found["metadata"]["uid"] != old["metadata"]["uid"]
    assert found["spec"]["priority"] == 9
    again = await execute(body, replace(forward, in_doubt=True))
    assert outputs_of(again) == outputs_of(outcome)
    undone = await rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: restored Subscription {namespace}/s")
    assert "priority" not in await spec_of(kube, SUBSCRIPTIONS, "s", namespace)


async def test_replace_that_stopped_half_way_is_made_good(kube: KubeClient, namespace: str) -> None:
    spec = {"feeds": [FEED], "subscribers": SUBSCRIBERS}
    await execute(one("Subscription", name="s", namespace=namespace, spec=spec), context(kube, run="run-0"))
    await kube.patch(SUBSCRIPTIONS, "s", {"metadata": {"finalizers": ["example.com/hold"]}}, namespace=namespace)
    body = one("Subscription", operation="Replace", name="s", namespace=namespace, spec=spec)
    forward = context(kube, seconds=1.0)
    outcome = await execute(body, forward)
    assert isinstance(outcome, Failed)
    await kube.patch(SUBSCRIPTIONS, "s", {"metadata": {"finalizers": None}}, namespace=namespace)
    assert not await is_there(kube, SUBSCRIPTIONS, "s", namespace)
    undone = await rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: restored Subscription {namespace}/s")
    assert (await spec_of(kube, SUBSCRIPTIONS, "s", namespace))["feeds"] == [FEED]


@pytest.mark.parametrize("type_", ["Localization", "HelmChart", "Subscription"])
async def test_delete_is_idempotent_and_needs_no_spec(kube: KubeClient, namespace: str, type_: str) -> None:
    body = one(type_, operation="Delete", name="x", namespace=namespace)
    outcome = await execute(body, context(kube))
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"{type_} {namespace}/x deleted successfully"
    undone = await rollback(body, outputs_of(outcome), reverting(context(kube)))
    assert undone == NothingToDo(f"No {type_} to rollback")


async def test_children_recorded_by_the_go_operator_are_deleted(kube: KubeClient, namespace: str) -> None:
    spec = {"feeds": [FEED], "subscribers": SUBSCRIBERS}
    refs = []
    for name in ("s--one", "s--two"):
        outcome = await execute(one("Subscription", name=name, namespace=namespace, spec=spec), context(kube))
        ref = outputs_of(outcome).subscription_ref
        assert ref is not None
        refs.append(ref.model_copy(update={"uid": ""}))
    body = one("Subscription", name="s", namespace=namespace, spec=spec)
    claimed = reverting(context(kube, run="other"), unrecorded=True)
    undone = await rollback(body, ActionOutputs(subscription_refs=tuple(refs)), claimed)
    assert undone == Succeeded("Rolled back: deleted 2 Subscriptions")
    assert await kube.list_all(SUBSCRIPTIONS, namespace=namespace) == []


async def test_rollback_of_what_somebody_else_deleted(kube: KubeClient, namespace: str) -> None:
    body = one("Localization", name="l", namespace=namespace, spec={"feed": FEED})
    forward = context(kube)
    outputs = outputs_of(await execute(body, forward))
    await kube.delete(LOCALIZATIONS, "l", namespace=namespace)
    assert await rollback(body, outputs, reverting(forward)) == Failed(
        f"Failed to delete Localization {namespace}/l: not found (deleted outside this plan)"
    )
    gone = await rollback(
        body, outputs, reverting(forward, explained=frozenset({("apps.clusternet.io", "Localization", namespace, "l")}))
    )
    assert gone == Succeeded(f"Rolled back: Localization {namespace}/l was already gone")


@pytest.mark.parametrize(
    ("type_", "block", "message"),
    [
        (
            "Localization",
            {"name": "$(params.x)", "namespace": "n"},
            'failed to resolve "$(params.x)": key "x" not found',
        ),
        ("Localization", {"name": "a", "namespace": ""}, "Localization.Namespace is required"),
        ("Localization", {"name": "a", "namespace": "n"}, "Localization.Spec is required"),
        (
            "Localization",
            {"name": "a", "namespace": "n", "spec": {}},
            "Localization.Spec.Feed (apiVersion, kind, name) is required",
        ),
        (
            "Globalization",
            {"name": "a", "spec": {"feed": FEED, "clusterAffinity": {"matchLabels": {"$(params.x)": "v"}}}},
            'failed to render Globalization clusterAffinity: failed to resolve "$(params.x)": key "x" not found',
        ),
        (
            "Localization",
            {
                "name": "a",
                "namespace": "n",
                "spec": {
                    "feed": {**FEED, "kind": "$(params.y)"},
                    "overrides": [{"type": "Helm", "value": "$(params.x)"}],
                },
            },
            'failed to render override[0] value: failed to resolve "$(params.x)": key "x" not found; '
            'failed to render feed kind: failed to resolve "$(params.y)": key "y" not found',
        ),
        ("HelmChart", {"name": "a", "namespace": "n"}, "HelmChart.Spec is required"),
        (
            "HelmChart",
            {"name": "a", "namespace": "n", "spec": {**CHART, "chart": ""}},
            "HelmChart.Spec.Chart is required",
        ),
        ("Subscription", {"name": ""}, "Subscription.Name is required"),
        ("Subscription", {"name": "a"}, "Subscription.Spec is required"),
        (
            "Subscription",
            {"name": "$(params.x)"},
            'failed to render Subscription name: failed to resolve "$(params.x)": key "x" not found',
        ),
        (
            "Subscription",
            {"name": "a", "spec": {"feeds": [{**FEED, "name": "$(params.x)"}], "subscribers": []}},
            'failed to render feed[0] name: failed to resolve "$(params.x)": key "x" not found',
        ),
    ],
)
async def test_unusable_settings(kube: KubeClient, type_: str, block: dict[str, Any], message: str) -> None:
    assert await execute(one(type_, **block), context(kube)) == Failed(message)


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("Localization", "localization"),
        ("Globalization", "globalization"),
        ("HelmChart", "helmChart"),
        ("Subscription", "subscription"),
        ("KubernetesResource", "KubernetesResource"),
        ("HTTP", "HTTP"),
        ("Job", "job"),
    ],
)
async def test_missing_block(kube: KubeClient, type_: str, name: str) -> None:
    outcome = await execute(action(type_), context(kube))
    assert isinstance(outcome, Failed)
    assert outcome.message == f"{name} configuration is required"


def test_every_type_has_an_executor() -> None:
    assert set(REGISTRY) == set(ActionType)
