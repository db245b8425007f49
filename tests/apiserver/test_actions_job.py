"""Job actions against a real control plane in which Jobs run."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import NotFound
from app.kube.resources import JOBS, PODS
from app.models.actions import ActionBody
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from app.models.names import ACTION_LABEL, EXECUTION_UID_LABEL, IDENTITY_ANNOTATION, TTL_ANNOTATION
from controller.actions.job import JobExecutor
from controller.actions.job_ttl import release
from tests.support.cluster import Cluster
from tests.unit.actions.support import action, context, reverting

pytestmark = pytest.mark.full

EXECUTOR = JobExecutor()


@pytest_asyncio.fixture
async def kube(full_cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(full_cluster.kubeconfig_of("controller")))) as client:
        yield client


def job(namespace: str, *, labels: dict[str, str] | None = None, ttl: int | None = None, **spec: Any) -> Any:
    container = {"name": "main", "image": "example.invalid/tool", "args": ["--region=$(params.region)"]}
    pod = {"containers": [container], "restartPolicy": "Never"}
    template = {"metadata": {"labels": labels or {}}, "spec": pod}
    block: dict[str, Any] = {"namespace": namespace, "template": {"spec": {"template": template, **spec}}}
    if ttl is not None:
        block["ttlSecondsAfterFinished"] = ttl
    return action("Job", name="Check DB!", job=block)


def at(kube: KubeClient, namespace: str, **others: Any) -> Any:
    return context(kube, namespace=namespace, action="Check DB!", params={"region": "b"}, **others)


def ref_of(outcome: Outcome) -> CoreReference:
    assert not isinstance(outcome, NothingToDo)
    assert outcome.outputs is not None
    assert outcome.outputs.job_ref is not None
    return outcome.outputs.job_ref


async def is_there(kube: KubeClient, ref: CoreReference) -> bool:
    try:
        await kube.get(JOBS, ref.name, namespace=ref.namespace)
    except NotFound:
        return False
    return True


async def test_completed_job_succeeds_and_is_deleted_with_its_pods_on_rollback(
    kube: KubeClient, full_namespace: str
) -> None:
    body, forward = job(full_namespace, ttl=600, labels={"own": "label"}), at(kube, full_namespace)
    outcome = await EXECUTOR.execute(body, forward)
    ref = ref_of(outcome)
    assert isinstance(outcome, Succeeded)
    assert outcome.message == f"Job {full_namespace}/{ref.name} completed successfully"
    assert (ref.api_version, ref.kind, ref.namespace) == ("batch/v1", "Job", full_namespace)
    made = await kube.get(JOBS, ref.name, namespace=full_namespace)
    assert ref.uid == made["metadata"]["uid"]
    assert ref.name.startswith("check-db-")
    assert made["metadata"]["annotations"][IDENTITY_ANNOTATION] == "run-1/first/0/Check%20DB%21"
    assert "ttlSecondsAfterFinished" not in made["spec"]
    assert made["metadata"]["annotations"][TTL_ANNOTATION] == "600"
    template = made["spec"]["template"]
    assert template["spec"]["containers"][0]["args"] == ["--region=b"]
    assert template["metadata"]["labels"]["own"] == "label"
    for labels in (made["metadata"]["labels"], template["metadata"]["labels"]):
        assert labels[EXECUTION_UID_LABEL] == "run-1"
        assert labels[ACTION_LABEL].startswith("Check-DB-")

    undone = await EXECUTOR.rollback(body, ActionOutputs(job_ref=ref), reverting(forward))
    assert undone == Succeeded(f"Rolled back: deleted Job {full_namespace}/{ref.name}")
    assert not await is_there(kube, ref)
    async with asyncio.timeout(30):
        while await kube.list_all(PODS, namespace=full_namespace):
            await asyncio.sleep(0.2)


async def test_job_goes_by_its_lifetime_once_it_is_given_that(kube: KubeClient, full_namespace: str) -> None:
    body, forward = job(full_namespace, ttl=0), at(kube, full_namespace)
    ref = ref_of(await EXECUTOR.execute(body, forward))
    assert await is_there(kube, ref)
    await release(forward.kube, ref)
    async with asyncio.timeout(60):
        while await is_there(kube, ref):
            await asyncio.sleep(0.2)
    explained = reverting(forward, explained=frozenset({("batch", "Job", full_namespace, ref.name)}))
    undone = await EXECUTOR.rollback(body, ActionOutputs(job_ref=ref), explained)
    assert undone == Succeeded(f"Rolled back: Job {full_namespace}/{ref.name} was already gone")
    seen = replace(forward, in_doubt=True, earlier=ActionOutputs(job_ref=ref))
    again = await EXECUTOR.execute(body, seen)
    assert isinstance(again, Failed)
    assert again.undecided
    assert await kube.list_all(JOBS, namespace=full_namespace) == []


async def test_failed_job_tells_reason_and_last_words(kube: KubeClient, full_namespace: str) -> None:
    body = job(full_namespace, labels={"drplan.test/fail": "true"}, backoffLimit=0)
    outcome = await EXECUTOR.execute(body, at(kube, full_namespace))
    ref = ref_of(outcome)
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert outcome.message.startswith(f"Job {full_namespace}/{ref.name} failed: BackoffLimitExceeded: ")
    assert f"; last log lines of pod {ref.name}-" in outcome.message
    assert outcome.message.endswith("the last line of the container's output")


async def test_job_past_the_timeout_is_deleted(kube: KubeClient, full_namespace: str) -> None:
    body = job(full_namespace, labels={"drplan.test/hang": "true"})
    outcome = await EXECUTOR.execute(body, at(kube, full_namespace, seconds=3.0))
    assert isinstance(outcome, Failed)
    assert outcome.outputs is None
    assert not outcome.retryable
    assert outcome.message.startswith(f"timed out after 3s: Job {full_namespace}/check-db-")
    assert await kube.list_all(JOBS, namespace=full_namespace) == []


async def test_adopted_job_is_not_run_twice(kube: KubeClient, full_namespace: str) -> None:
    body, forward = job(full_namespace), at(kube, full_namespace)
    first = await EXECUTOR.execute(body, forward)
    again = await EXECUTOR.execute(body, replace(forward, attempt=2, in_doubt=True))
    assert isinstance(again, Succeeded)
    assert ref_of(again) == ref_of(first)
    assert len(await kube.list_all(JOBS, namespace=full_namespace)) == 1


async def test_job_that_ended_while_nobody_looked_is_told_after_the_timeout(
    kube: KubeClient, full_namespace: str
) -> None:
    body, forward = job(full_namespace), at(kube, full_namespace)
    first = await EXECUTOR.execute(body, forward)
    loop = asyncio.get_running_loop()
    late = await EXECUTOR.execute(body, replace(forward, attempt=2, in_doubt=True, deadline=loop.time() - 1))
    assert late == first


async def test_job_of_the_same_name_that_is_not_ours_is_left_alone(
    kube: KubeClient, full_cluster: Cluster, full_namespace: str
) -> None:
    body, forward = job(full_namespace, suspend=True), at(kube, full_namespace, seconds=1.0)
    ref = await _left_running(kube, body, forward)
    theirs = f"{IDENTITY_ANNOTATION}=another/first/0/x"
    full_cluster.kubectl("annotate", "--overwrite", "job", ref.name, theirs, namespace=full_namespace)
    outcome = await EXECUTOR.execute(body, at(kube, full_namespace))
    assert outcome == Failed(f'jobs.batch "{ref.name}" already exists')
    late = await EXECUTOR.execute(body, at(kube, full_namespace, seconds=-1.0))
    assert late == Failed("timed out after -1s", timed_out=True)
    assert await is_there(kube, ref)


async def test_job_deleted_by_hand_fails_at_once(kube: KubeClient, full_namespace: str) -> None:
    body, forward = job(full_namespace, suspend=True), at(kube, full_namespace)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(EXECUTOR.execute(body, forward))
        ref = await _appeared(kube, full_namespace)
        await kube.delete(JOBS, ref.name, namespace=full_namespace)
    outcome = running.result()
    assert isinstance(outcome, Failed)
    assert outcome.message == f"Job {full_namespace}/{ref.name} was deleted before it ended, not by this run"
    undone = await EXECUTOR.rollback(body, ActionOutputs(job_ref=ref), reverting(forward))
    assert undone == Failed(f"Failed to delete Job {full_namespace}/{ref.name}: not found (deleted outside this plan)")
    explained = reverting(forward, explained=frozenset({("batch", "Job", full_namespace, ref.name)}))
    undone = await EXECUTOR.rollback(body, ActionOutputs(job_ref=ref), explained)
    assert undone == Succeeded(f"Rolled back: Job {full_namespace}/{ref.name} was already gone")


async def test_refused_job_fails_with_the_servers_text(kube: KubeClient, full_namespace: str) -> None:
    body = job(full_namespace, parallelism=-1)
    outcome = await EXECUTOR.execute(body, at(kube, full_namespace))
    assert isinstance(outcome, Failed)
    assert "spec.parallelism: Invalid value: -1" in outcome.message
    assert outcome.outputs is None


async def test_configuration_problems(kube: KubeClient, full_namespace: str) -> None:
    outcome = await EXECUTOR.execute(job(full_namespace), context(kube, namespace=full_namespace))
    assert outcome == Failed('failed to render job: failed to resolve "$(params.region)": key "region" not found')
    assert await EXECUTOR.execute(ActionBody(), at(kube, full_namespace)) == Failed("job configuration is required")
    nothing = await EXECUTOR.rollback(job(full_namespace), ActionOutputs(), at(kube, full_namespace))
    assert nothing == NothingToDo("No Job to rollback")


async def _appeared(kube: KubeClient, namespace: str) -> CoreReference:
    async with asyncio.timeout(10):
        while not (jobs := await kube.list_all(JOBS, namespace=namespace)):
            await asyncio.sleep(0.05)
    metadata = jobs[0]["metadata"]
    return CoreReference(
        api_version="batch/v1", kind="Job", namespace=namespace, name=metadata["name"], uid=metadata["uid"]
    )


async def _left_running(kube: KubeClient, body: Any, forward: Any) -> CoreReference:
    """Start an action and drop it, as a controller does that is shut down."""
    running = asyncio.get_running_loop().create_task(EXECUTOR.execute(body, replace(forward, deadline=1e12)))
    ref = await _appeared(kube, forward.execution_namespace)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    return ref
