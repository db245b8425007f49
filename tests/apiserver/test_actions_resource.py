"""KubernetesResource actions against a real API server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import NotFound
from app.kube.resources import CONFIG_MAPS, SECRETS
from app.models.execution import ActionOutputs
from app.models.names import ACTION_LABEL, EXECUTION_LABEL, EXECUTION_UID_LABEL, IDENTITY_ANNOTATION
from app.models.revert_options import MissingResources
from controller.actions.base import ActionContext
from controller.actions.resource import ResourceExecutor
from tests.support.cluster import Cluster
from tests.unit.actions.support import MemoryPriors, action, context, reverting

EXECUTOR = ResourceExecutor()


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(cluster.kubeconfig))) as client:
        yield client


def config_map(name: str, **data: str) -> str:
    members = "".join(f'  {key}: "{value}"\n' for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n{members}"


def resource(operation: str, *manifests: str, **others: Any) -> Any:
    block = {"operation": operation, "manifest": "---\n".join(manifests)}
    return action("KubernetesResource", resource=block, **others)


def outputs_of(outcome: Outcome) -> ActionOutputs:
    assert not isinstance(outcome, NothingToDo)
    assert outcome.outputs is not None, outcome
    return outcome.outputs


async def data_of(kube: KubeClient, namespace: str, name: str) -> dict[str, str]:
    found = await kube.get(CONFIG_MAPS, name, namespace=namespace)
    return dict(found.get("data") or {})


async def is_there(kube: KubeClient, namespace: str, name: str) -> bool:
    try:
        await kube.get(CONFIG_MAPS, name, namespace=namespace)
    except NotFound:
        return False
    return True


async def test_create_marks_the_object_and_rollback_deletes_it(kube: KubeClient, namespace: str) -> None:
    forward = context(kube, namespace=namespace, params={"v": "1.10"})
    body = resource("Create", config_map("a", version="$(params.v)"))
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Resource ConfigMap {namespace}/a Create successfully"
    made = await kube.get(CONFIG_MAPS, "a", namespace=namespace)
    assert made["data"] == {"version": "1.10"}
    assert made["metadata"]["labels"] == {
        EXECUTION_LABEL: "failover",
        EXECUTION_UID_LABEL: "run-1",
        ACTION_LABEL: "step",
    }
    assert made["metadata"]["annotations"] == {IDENTITY_ANNOTATION: "run-1/first/0/step"}
    ref = outputs_of(outcome).resource_ref
    assert ref is not None
    assert ref.to_wire() == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": namespace,
        "name": "a",
        "uid": made["metadata"]["uid"],
    }
    assert outputs_of(outcome).resource_refs == ()
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: deleted resource ConfigMap {namespace}/a")
    assert not await is_there(kube, namespace, "a")


async def test_create_adopts_what_an_earlier_attempt_made(kube: KubeClient, namespace: str) -> None:
    body = resource("Create", config_map("a", x="1"))
    forward = context(kube, namespace=namespace)
    first = await EXECUTOR.execute(body, forward)
    again = await EXECUTOR.execute(body, replace(forward, attempt=2, in_doubt=True))
    assert isinstance(again, Succeeded)
    assert outputs_of(again) == outputs_of(first)


async def test_create_refuses_an_object_of_somebody_else(kube: KubeClient, namespace: str) -> None:
    body = resource("Create", config_map("a", x="1"))
    await EXECUTOR.execute(body, context(kube, namespace=namespace, run="run-0"))
    outcome = await EXECUTOR.execute(body, context(kube, namespace=namespace))
    assert outcome == Failed('configmaps "a" already exists')


async def test_failed_document_keeps_the_outputs_of_those_before(kube: KubeClient, namespace: str) -> None:
    await EXECUTOR.execute(resource("Create", config_map("b")), context(kube, namespace=namespace, run="run-0"))
    body = resource("Create", config_map("a"), config_map("b"), config_map("c"))
    forward = context(kube, namespace=namespace)
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Failed)
    assert outcome.message == 'ConfigMap b: configmaps "b" already exists'
    assert [ref.name for ref in outputs_of(outcome).resource_refs] == ["a"]
    assert not await is_there(kube, namespace, "c")
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: deleted resource ConfigMap {namespace}/a")
    assert await is_there(kube, namespace, "b")


async def test_several_documents_are_made_in_order_and_deleted_in_reverse(kube: KubeClient, namespace: str) -> None:
    body = resource("Create", config_map("a"), "# nothing\n", config_map("b"))
    forward = context(kube, namespace=namespace)
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == (f"Resource ConfigMap {namespace}/a Create; ConfigMap {namespace}/b Create successfully")
    refs = outputs_of(outcome).resource_refs
    assert [ref.name for ref in refs] == ["a", "b"]
    assert outputs_of(outcome).resource_ref == refs[0]
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: deleted 2 resources: ConfigMap {namespace}/b, ConfigMap {namespace}/a")


async def test_apply_that_creates_is_deleted_on_rollback(kube: KubeClient, namespace: str) -> None:
    body = resource("Apply", config_map("a", x="1"))
    forward = context(kube, namespace=namespace)
    first = await EXECUTOR.execute(body, forward)
    again = await EXECUTOR.execute(body, replace(forward, attempt=2, in_doubt=True))
    assert isinstance(first, Succeeded)
    assert outputs_of(again) == outputs_of(first)
    found = await kube.get(CONFIG_MAPS, "a", namespace=namespace)
    assert found["metadata"]["annotations"][IDENTITY_ANNOTATION] == forward.identity
    assert forward.priors.records == {}  # type: ignore[attr-defined]
    undone = await EXECUTOR.rollback(body, outputs_of(again), reverting(forward))
    assert undone == Succeeded(f"Rolled back: deleted resource ConfigMap {namespace}/a")


async def test_apply_over_an_existing_object_is_restored_on_rollback(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    cluster.apply(config_map("a", kept="old", changed="old"), namespace=namespace)
    body = resource("Apply", config_map("a", changed="new", added="new"))
    forward = context(kube, namespace=namespace)
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert await data_of(kube, namespace, "a") == {"kept": "old", "changed": "new", "added": "new"}
    found = await kube.get(CONFIG_MAPS, "a", namespace=namespace)
    assert IDENTITY_ANNOTATION not in found["metadata"]["annotations"]
    assert EXECUTION_LABEL not in found["metadata"].get("labels", {})
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: restored resource ConfigMap {namespace}/a")
    assert await data_of(kube, namespace, "a") == {"kept": "old", "changed": "old"}


async def test_apply_over_what_an_earlier_run_created_is_restored(kube: KubeClient, namespace: str) -> None:
    await EXECUTOR.execute(resource("Apply", config_map("a", x="1")), context(kube, namespace=namespace, run="run-0"))
    body = resource("Apply", config_map("a", x="2"))
    forward = context(kube, namespace=namespace)
    outcome = await EXECUTOR.execute(body, forward)
    without_record = reverting(forward, priors=MemoryPriors())
    left = await EXECUTOR.rollback(body, outputs_of(outcome), without_record)
    assert isinstance(left, NothingToDo)
    assert left.message.startswith("No automatic rollback for Apply operation: ")
    assert await is_there(kube, namespace, "a")
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == Succeeded(f"Rolled back: restored resource ConfigMap {namespace}/a")
    assert await data_of(kube, namespace, "a") == {"x": "1"}


async def test_marks_stay_with_the_run_that_created_the_object(kube: KubeClient, namespace: str) -> None:
    body = resource("Apply", config_map("a", x="1"))
    first, second = context(kube, namespace=namespace), context(kube, namespace=namespace, run="run-2")
    outputs = outputs_of(await EXECUTOR.execute(body, first))
    await EXECUTOR.execute(body, second)
    found = await kube.get(CONFIG_MAPS, "a", namespace=namespace)
    assert found["metadata"]["annotations"] == {IDENTITY_ANNOTATION: first.identity}
    assert found["metadata"]["labels"][EXECUTION_UID_LABEL] == "run-1"
    undone = await EXECUTOR.rollback(body, outputs, reverting(first))
    assert undone == Succeeded(f"Rolled back: deleted resource ConfigMap {namespace}/a")


async def test_two_applies_of_one_run_are_taken_back_one_at_a_time(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    cluster.apply(config_map("a", x="0"), namespace=namespace)
    priors = MemoryPriors()
    first = context(kube, namespace=namespace, action="one", priors=priors)
    second = context(kube, namespace=namespace, action="two", priors=priors)
    one, two = resource("Apply", config_map("a", x="1")), resource("Apply", config_map("a", x="2"))
    outputs_one = outputs_of(await EXECUTOR.execute(one, first))
    outputs_two = outputs_of(await EXECUTOR.execute(two, second))
    await EXECUTOR.rollback(two, outputs_two, reverting(second))
    assert await data_of(kube, namespace, "a") == {"x": "1"}
    await EXECUTOR.rollback(one, outputs_one, reverting(first))
    assert await data_of(kube, namespace, "a") == {"x": "0"}


async def test_secrets_are_never_recorded(kube: KubeClient, cluster: Cluster, namespace: str) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n"
    cluster.apply(secret, namespace=namespace)
    body = resource("Apply", secret.replace("hunter2", "other"))
    forward = context(kube, namespace=namespace)
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    records = forward.priors.records  # type: ignore[attr-defined]
    uid = (await kube.get(SECRETS, "s", namespace=namespace))["metadata"]["uid"]
    assert list(records.values()) == [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace, "uid": uid}}
    ]
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), reverting(forward))
    assert isinstance(undone, NothingToDo)
    assert "the data of Secrets is not recorded" in undone.message
    assert (await kube.get(SECRETS, "s", namespace=namespace))["data"] == {"password": "b3RoZXI="}


async def test_patch_merges_and_has_no_automatic_rollback(kube: KubeClient, cluster: Cluster, namespace: str) -> None:
    cluster.apply(config_map("a", kept="old", gone="old"), namespace=namespace)
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {gone: null, added: new}\n"
    body = resource("Patch", manifest)
    forward = context(kube, namespace=namespace)
    outcome = await EXECUTOR.execute(body, forward)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Resource ConfigMap {namespace}/a Patch successfully"
    assert await data_of(kube, namespace, "a") == {"kept": "old", "added": "new"}
    record, _ = forward.priors.records.values()  # type: ignore[attr-defined]
    assert record["data"] == {"kept": "old", "gone": "old"}
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), reverting(forward))
    assert undone == NothingToDo("No automatic rollback for Patch operation")


async def test_patch_of_nothing_fails_with_the_servers_text(kube: KubeClient, namespace: str) -> None:
    outcome = await EXECUTOR.execute(resource("Patch", config_map("a")), context(kube, namespace=namespace))
    assert outcome == Failed('configmaps "a" not found')


async def test_delete_is_idempotent(kube: KubeClient, cluster: Cluster, namespace: str) -> None:
    cluster.apply(config_map("a", x="1"), namespace=namespace)
    body = resource("Delete", config_map("a"))
    for _ in range(2):
        outcome = await EXECUTOR.execute(body, context(kube, namespace=namespace))
        assert isinstance(outcome, Succeeded)
        assert outcome.message == f"Resource ConfigMap {namespace}/a Delete successfully"
        assert outputs_of(outcome).resource_ref is not None
    assert not await is_there(kube, namespace, "a")
    undone = await EXECUTOR.rollback(body, outputs_of(outcome), context(kube, namespace=namespace))
    assert undone == NothingToDo("No automatic rollback for Delete operation")


async def test_rollback_of_what_somebody_else_deleted(kube: KubeClient, namespace: str) -> None:
    body = resource("Create", config_map("a"))
    forward = context(kube, namespace=namespace)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    await kube.delete(CONFIG_MAPS, "a", namespace=namespace)

    async def rolled_back(**others: Any) -> Outcome:
        return await EXECUTOR.rollback(body, outputs, reverting(forward, **others))

    gone = Succeeded(f"Rolled back: resource ConfigMap {namespace}/a was already gone")
    deleted = Succeeded(f"Rolled back: deleted resource ConfigMap {namespace}/a")
    assert await rolled_back() == Failed(
        f"Failed to delete ConfigMap {namespace}/a: not found (deleted outside this plan)"
    )
    assert await rolled_back(missing_resources=MissingResources.IGNORE) == gone
    assert await rolled_back(explained=frozenset({("", "ConfigMap", namespace, "a")})) == gone
    other = await rolled_back(explained=frozenset({("", "ConfigMap", namespace, "b"), ("", "Secret", namespace, "a")}))
    assert isinstance(other, Failed)
    assert await rolled_back(in_doubt=True) == deleted
    assert await rolled_back(attempt=2) == deleted


async def test_rollback_spares_an_object_that_was_created_again(kube: KubeClient, namespace: str) -> None:
    body = resource("Create", config_map("a", x="1"))
    forward = context(kube, namespace=namespace)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    await kube.delete(CONFIG_MAPS, "a", namespace=namespace)
    await EXECUTOR.execute(body, context(kube, namespace=namespace, run="run-2"))
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, Failed)
    assert "created again outside this plan" in undone.message
    assert await is_there(kube, namespace, "a")


async def test_rollback_goes_on_after_a_document_that_cannot_be_taken_back(kube: KubeClient, namespace: str) -> None:
    body = resource("Create", config_map("a"), config_map("b"), config_map("c"))
    forward = context(kube, namespace=namespace)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    await kube.delete(CONFIG_MAPS, "b", namespace=namespace)
    undone = await EXECUTOR.rollback(body, outputs, reverting(forward))
    assert isinstance(undone, Failed)
    assert undone.message.startswith(f"Failed to delete ConfigMap {namespace}/b: not found")
    assert not await is_there(kube, namespace, "a")
    assert not await is_there(kube, namespace, "c")


async def test_reference_without_uid_is_deleted_only_with_the_marks_of_the_run(
    kube: KubeClient, cluster: Cluster, namespace: str
) -> None:
    cluster.apply(config_map("foreign"), namespace=namespace)
    body = resource("Create", config_map("own"))
    forward = context(kube, namespace=namespace)
    outputs = outputs_of(await EXECUTOR.execute(body, forward))
    assert outputs.resource_ref is not None
    own = outputs.resource_ref.model_copy(update={"uid": ""})
    unseen = {name: own.model_copy(update={"name": name}) for name in ("own", "foreign", "never")}
    undone = {
        name: await EXECUTOR.rollback(body, ActionOutputs(resource_ref=ref), reverting(forward))
        for name, ref in unseen.items()
    }
    assert undone["own"] == Succeeded(f"Rolled back: deleted resource ConfigMap {namespace}/own")
    never = undone["never"]
    assert isinstance(never, NothingToDo), "what was never there was not taken back"
    assert f"ConfigMap {namespace}/never is not there, and nothing tells that this run made it" in never.message
    left = undone["foreign"]
    assert isinstance(left, Failed)
    assert "was left alone: its uid was not recorded, and it bears no mark of this action" in left.message
    assert await is_there(kube, namespace, "foreign")


async def test_cluster_scoped_object(kube: KubeClient, namespace: str) -> None:
    name = f"{namespace}-extra"
    body = resource("Apply", f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    outcome = await EXECUTOR.execute(body, context(kube, namespace=namespace))
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Resource Namespace /{name} Apply successfully"


async def test_wait_ready_waits_until_the_object_is_ready(kube: KubeClient, cluster: Cluster, namespace: str) -> None:
    claim = (
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\n"
        "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n"
    )
    body = resource("Create", claim, waitReady=True)
    late = await EXECUTOR.execute(body, context(kube, namespace=namespace, seconds=1.0))
    assert isinstance(late, Failed)
    assert not late.retryable
    waited = f"timed out after 1s: PersistentVolumeClaim {namespace}/c is not ready: phase is Pending, expected Bound"
    assert late.message.startswith(waited)
    assert outputs_of(late).resource_ref is not None
    cluster.kubectl(
        "patch", "pvc", "c", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Bound"}}',
        namespace=namespace,
    )  # fmt: skip
    expired = await EXECUTOR.execute(body, context(kube, namespace=namespace, seconds=-1.0))
    assert isinstance(expired, Succeeded)
    assert outputs_of(expired) == outputs_of(late)


async def test_wait_ready_after_delete_waits_for_finalizers(kube: KubeClient, namespace: str) -> None:
    held = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, finalizers: [example.com/hold]}\n"
    await EXECUTOR.execute(resource("Create", held), context(kube, namespace=namespace))
    body = resource("Delete", held, waitReady=True)
    outcome = await EXECUTOR.execute(body, context(kube, namespace=namespace, seconds=1.0))
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("timed out after 1s: ")
    await kube.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace=namespace)
    assert isinstance(await EXECUTOR.execute(body, context(kube, namespace=namespace)), Succeeded)


async def test_expired_action_changes_nothing(kube: KubeClient, namespace: str) -> None:
    body = resource("Create", config_map("a"))
    outcome = await EXECUTOR.execute(body, context(kube, namespace=namespace, seconds=-1.0))
    assert outcome == Failed("timed out after -1s", timed_out=True)
    assert not await is_there(kube, namespace, "a")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("a: $(params.x)\nb: $(params.y)", 'failed to render manifest: failed to resolve "$(params.x)": key "x"'),
        ("a: [", "failed to parse manifest: "),
        ("metadata: {name: a}", "failed to parse manifest: Object 'Kind' is missing in"),
        ("", "failed to parse manifest: the manifest contains no object"),
    ],
)
async def test_unusable_manifests(kube: KubeClient, namespace: str, manifest: str, message: str) -> None:
    outcome = await EXECUTOR.execute(resource("Create", manifest), context(kube, namespace=namespace))
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith(message)
    assert not outcome.retryable


@pytest.mark.parametrize("operation", ["Create", "Apply", "Patch", "Delete"])
async def test_the_controllers_own_namespace_is_out_of_bounds(kube: KubeClient, namespace: str, operation: str) -> None:
    outside = context(kube, namespace="default", own_namespace=namespace)
    inside = config_map("a").replace("name: a", f"name: a\n  namespace: {namespace}")
    itself = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"
    for manifest in (inside, itself):
        outcome = await EXECUTOR.execute(resource(operation, manifest), outside)
        assert isinstance(outcome, Failed)
        assert f"namespace {namespace} is the controller's own, actions may not write to it" in outcome.message
        assert outcome.outputs is None
        assert not outcome.retryable


async def test_unknown_kind_and_refused_object(kube: KubeClient, namespace: str) -> None:
    async def message(manifest: str) -> str:
        outcome = await EXECUTOR.execute(resource("Create", manifest), context(kube, namespace=namespace))
        assert isinstance(outcome, Failed)
        assert outcome.outputs is None
        return outcome.message

    assert "serves no kind 'Konfig'" in await message("apiVersion: v1\nkind: Konfig\nmetadata: {name: a}\n")
    refused = await message("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_B}\n")
    assert refused.startswith('ConfigMap "A_B" is invalid: metadata.name')


async def test_secret_values_are_masked_in_messages(kube: KubeClient, namespace: str) -> None:
    where: ActionContext = context(kube, namespace=namespace, params={"p": "Hunter_2"}, secrets=frozenset({"p"}))
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $(params.p)}\n"
    outcome = await EXECUTOR.execute(resource("Create", manifest), where)
    assert isinstance(outcome, Failed)
    assert "Hunter_2" not in outcome.message
    assert "***" in outcome.message
