"""What an attempt in doubt finds of an object that it may have made: never is the work of one done twice."""

from typing import Any, cast

import pytest

from app.engine.outcome import Failed, Succeeded
from app.kube.client import KubeClient
from app.kube.errors import NotFound
from app.kube.resources import CONFIG_MAPS, JOBS, PODS, Resource
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from app.models.names import TTL_ANNOTATION
from controller.actions.attempts import CameAndWentError, within_deadline
from controller.actions.base import ActionContext
from controller.actions.doubt import resolve_doubt
from controller.actions.job import JobExecutor, job_manifest
from controller.actions.job_ttl import held, is_expiring, release
from controller.actions.objects import Target, prior_key
from controller.actions.ownership import marked
from tests.unit.actions.support import action, context

TASKS = Resource("tekton.dev", "v1", "taskruns", "TaskRun", namespaced=True)
DATABASES = Resource("example.com", "v1", "databases", "Database", namespaced=True)


class Stored:
    """An API server with at most one object; `patches` are those it was sent."""

    def __init__(self, obj: dict[str, Any] | None = None) -> None:
        self.obj = obj
        self.patches: list[dict[str, Any]] = []
        self.asked = 0

    async def get(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked += 1
        if self.obj is None:
            raise NotFound(404, "NotFound", "not found")
        return self.obj

    async def patch(self, _: Any, __: str, patch: dict[str, Any], **___: Any) -> dict[str, Any]:
        self.patches.append(patch)
        return patch


def at(kind: Resource, stored: Stored, uid: str | None = None, **others: Any) -> tuple[ActionContext, Target]:
    """A context in which an earlier attempt recorded the object with `uid`, if that is given."""
    ref = CoreReference(api_version=kind.api_version, kind=kind.kind, namespace="ns", name="x", uid=uid or "")
    earlier = None if uid is None else ActionOutputs(resource_ref=ref)
    return context(cast("KubeClient", stored), earlier=earlier, **others), Target(kind, "ns", "x")


def body(kind: Resource, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}, "spec": spec}


def found(obj: dict[str, Any], uid: str, **metadata: Any) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "uid": uid, **metadata}}


async def test_without_doubt_nothing_is_asked() -> None:
    stored = Stored()
    here, target = at(TASKS, stored)
    await resolve_doubt(here, target, body(TASKS))
    assert stored.asked == 0


@pytest.mark.parametrize(
    ("kind", "spec", "uid", "in_doubt", "told"),
    [
        (JOBS, {"ttlSecondsAfterFinished": 0}, None, True, ""),
        (JOBS, {}, "1", True, "was made by this action (uid 1) and is gone"),
        (JOBS, {}, "1", False, "was made by this action (uid 1) and is gone"),
        (JOBS, {}, "", False, ""),
        (PODS, {"restartPolicy": "Never"}, None, True, "may go by itself"),
        (PODS, {"restartPolicy": "Always"}, None, True, ""),
        (PODS, {"restartPolicy": "Always"}, "1", True, "is gone"),
        (TASKS, {}, None, True, "may go by itself"),
        (TASKS, {}, "", False, "may go by itself"),
        (DATABASES, {}, None, True, ""),
        (DATABASES, {}, "1", True, "is gone"),
        (CONFIG_MAPS, {}, None, True, ""),
        (CONFIG_MAPS, {}, "1", True, ""),
    ],
)
async def test_what_is_absent_is_made_only_if_it_cannot_have_come_and_gone(
    kind: Resource, spec: dict[str, Any], uid: str | None, in_doubt: bool, told: str
) -> None:
    here, target = at(kind, Stored(), uid, in_doubt=in_doubt)
    if not told:
        await resolve_doubt(here, target, body(kind, **spec))
        return
    with pytest.raises(CameAndWentError, match=f"{kind.kind} ns/x .*"):
        await resolve_doubt(here, target, body(kind, **spec))

    async def work() -> Succeeded:
        await resolve_doubt(here, target, body(kind, **spec))
        return Succeeded("made again")

    outcome = await within_deadline(here, work, work)
    assert isinstance(outcome, Failed)
    assert outcome.undecided
    assert told in outcome.message


async def test_what_is_there_is_known_by_its_marks_and_by_its_uid() -> None:
    here, target = at(JOBS, Stored(), "1", in_doubt=True)
    own = found(marked(body(JOBS), here), "2")
    await resolve_doubt(at(JOBS, Stored(own), None, in_doubt=True)[0], target, body(JOBS))
    going = found(marked(body(JOBS), here), "2", deletionTimestamp="2026-01-01T00:00:00Z")
    with pytest.raises(CameAndWentError, match="which this action made, is being deleted"):
        await resolve_doubt(at(JOBS, Stored(going), None, in_doubt=True)[0], target, body(JOBS))
    theirs = found(body(JOBS), "1")
    await resolve_doubt(at(JOBS, Stored(theirs), "1", in_doubt=True)[0], target, body(JOBS))
    other = found(body(JOBS), "3")
    with pytest.raises(CameAndWentError, match=r"another one has its name now \(uid 3\)"):
        await resolve_doubt(at(JOBS, Stored(other), "1", in_doubt=True)[0], target, body(JOBS))


async def test_what_was_there_before_an_apply_and_is_gone_is_asked_about() -> None:
    here, target = at(JOBS, Stored(), in_doubt=True)
    await here.priors.save(prior_key(here, target), found(body(JOBS), "1"))
    with pytest.raises(CameAndWentError, match="was there when this action began to change it, and is gone"):
        await resolve_doubt(here, target, body(JOBS))


async def test_a_job_that_is_gone_after_its_time_is_no_failure_either() -> None:
    block = action("Job", job={"namespace": "ns", "template": {"spec": {"template": {}}}})
    here = context(cast("KubeClient", Stored()), namespace="ns", seconds=-1.0, in_doubt=True)
    assert await JobExecutor().execute(block, here) == Failed("timed out after -1s", timed_out=True)
    ref = CoreReference(api_version="batch/v1", kind="Job", namespace="ns", name=_name_of(block), uid="1")
    seen = context(
        cast("KubeClient", Stored()), seconds=-1.0, in_doubt=True, earlier=ActionOutputs(job_ref=ref), namespace="ns"
    )
    outcome = await JobExecutor().execute(block, seen)
    assert isinstance(outcome, Failed)
    assert outcome.undecided
    assert outcome.message.startswith(f"Job ns/{ref.name} was made")


async def test_an_ended_job_on_its_way_out_counts_as_it_ended() -> None:
    block = action("Job", job={"namespace": "ns", "template": {"spec": {"template": {}}}})
    here = context(cast("KubeClient", None), namespace="ns")
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    going = found(marked(body(JOBS), here), "2", deletionTimestamp="2026-01-01T00:00:00Z") | {"status": done}
    for seconds in (20.0, -1.0):
        doubtful = context(cast("KubeClient", Stored(going)), namespace="ns", seconds=seconds, in_doubt=True)
        outcome = await JobExecutor().execute(block, doubtful)
        assert isinstance(outcome, Succeeded)


@pytest.mark.parametrize("seconds", [-1, 2**31, True, "5", 1.5, None])
def test_a_lifetime_that_the_server_refuses_is_left_to_it(seconds: Any) -> None:
    job = body(JOBS, ttlSecondsAfterFinished=seconds)
    assert held(job) == job


def test_the_lifetime_of_jobs_alone_is_held_back() -> None:
    job = held(body(JOBS, ttlSecondsAfterFinished=0, parallelism=2))
    assert job["spec"] == {"parallelism": 2}
    assert job["metadata"]["annotations"] == {TTL_ANNOTATION: "0"}
    assert is_expiring(job)
    assert is_expiring(body(JOBS, ttlSecondsAfterFinished=0))
    assert not is_expiring(body(JOBS))
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}}
    cron["spec"] = {"jobTemplate": {"spec": {"ttlSecondsAfterFinished": 1}}}
    foreign = {**body(JOBS, ttlSecondsAfterFinished=0), "apiVersion": "batch.example.com/v1"}
    for other in (cron, foreign, {**body(JOBS), "spec": None}):
        assert held(other) == other
        assert not is_expiring(other)


async def test_a_job_is_given_its_lifetime_once_and_no_other_one() -> None:
    job = dict(held(body(JOBS, ttlSecondsAfterFinished=30)))
    ref = CoreReference(api_version="batch/v1", kind="Job", namespace="ns", name="x", uid="1")
    stored = Stored(found(job, "1"))
    await release(context(cast("KubeClient", stored)).kube, ref)
    [patch] = stored.patches
    assert patch == {
        "metadata": {"uid": "1", "annotations": {TTL_ANNOTATION: None}},
        "spec": {"ttlSecondsAfterFinished": 30},
    }
    for other in (found(job, "2"), found(body(JOBS), "1"), found(body(JOBS), "1", annotations={TTL_ANNOTATION: "x"})):
        stored = Stored(other)
        await release(context(cast("KubeClient", stored)).kube, ref)
        assert stored.patches == []


def _name_of(block: Any) -> str:
    assert block.job is not None
    return job_manifest(block.job, context(cast("KubeClient", None), namespace="ns"))[0].name
