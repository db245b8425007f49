"""Job actions: create a Job and wait until it has ended (contract: actions 4; decision A2)."""

from __future__ import annotations

from typing import Any

from app.engine.names import object_name_for
from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.readiness import JobOutcome, job_outcome
from app.engine.templates import UnresolvedPlaceholdersError, render, render_leaves, secret_values
from app.engine.text import redact, single_line
from app.kube.errors import KubeError
from app.kube.resources import JOBS, PODS
from app.models.actions import ActionBody, JobAction, ResourceOperation
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from app.models.names import DEFAULT_NAMESPACE
from controller.actions.attempts import Settling, failed, timed_out, within_deadline
from controller.actions.base import ActionContext
from controller.actions.doubt import resolve_doubt
from controller.actions.objects import Made, Target, create, delete_uid, find
from controller.actions.ownership import (
    JsonObject,
    is_being_deleted,
    is_own,
    mark_labels,
    owner,
    reference,
    uid_of,
)
from controller.actions.undo import take_back
from controller.actions.undone import CannotUndoError, Effect, NotUndoneError, failure_of
from controller.actions.waiting import Pending, Seen, WaitTimeoutError, wait_for

LOG_LINES = 5
"""Last lines of the failed pod's log in the message of a failed Job."""

JOB_NAME_LIMIT = 57
"""Most characters of a Job's name, so that its pods' names, which get six more, stay DNS labels."""


class JobExecutor:
    """Creates a Job of deterministic name, so that a repeated attempt finds the one it made."""

    async def execute(self, body: ActionBody, context: ActionContext) -> Outcome:
        """Create the Job, or find the one made before, and wait for its end."""
        if body.job is None:
            return Failed("job configuration is required")
        try:
            target, manifest = job_manifest(body.job, context)
        except UnresolvedPlaceholdersError as error:
            return Failed(f"failed to render job: {error}")

        made = Made()

        async def work() -> Outcome | Settling:
            if (ended := await _ended_and_going(context, target)) is not None:
                return await _ended(context, target, reference(ended), job_outcome(ended))
            await resolve_doubt(context, target, manifest)
            with made.making(target):
                ref = reference(await create(context, target, manifest))
                made.refs.append(ref)
            context.reports.keep()
            return lambda: _finished(context, target, ref)

        async def last_look() -> Outcome:
            if (ended := await _ended_and_going(context, target)) is not None:
                return await _ended(context, target, reference(ended), job_outcome(ended))
            await resolve_doubt(context, target, manifest)
            job = await find(context, target)
            if job is None or not is_own(job, context):
                return timed_out(context)
            return await _expired(context, target, job)

        def outputs() -> ActionOutputs | None:
            return ActionOutputs(job_ref=made.all()[0]) if made.all() else None

        return await within_deadline(context, work, last_look, outputs)

    async def rollback(self, body: ActionBody, outputs: ActionOutputs, context: ActionContext) -> Outcome:  # noqa: ARG002
        """Delete the Job together with its pods."""
        ref = outputs.job_ref
        if ref is None or not ref.name:
            return NothingToDo("No Job to rollback")
        target = Target(JOBS, ref.namespace or DEFAULT_NAMESPACE, ref.name)

        async def work() -> Outcome:
            try:
                undone = await take_back(context, target, ref, ResourceOperation.CREATE)
            except (CannotUndoError, NotUndoneError) as problem:
                return failure_of(problem)
            except KubeError as error:
                return failed(error, prefix="Failed to delete Job: ")
            if undone.effect is Effect.GONE:
                return Succeeded(f"Rolled back: {target.label} was already gone")
            if undone.effect is Effect.DELETING:
                return Succeeded(f"Rolled back: {undone.why}")
            return Succeeded(f"Rolled back: deleted {target.label}")

        async def last_look() -> Outcome:
            return timed_out(context, f"{target.label} may not have been deleted")

        return await within_deadline(context, work, last_look)


def job_manifest(block: JobAction, context: ActionContext) -> tuple[Target, JsonObject]:
    """Return where the Job goes and what it is, rendered. Raises UnresolvedPlaceholdersError."""
    namespace = render(block.namespace, context.scope) or DEFAULT_NAMESPACE
    spec = render_leaves(block.template.spec, context.scope)
    if block.ttl_seconds_after_finished is not None:
        spec = {**spec, "ttlSecondsAfterFinished": block.ttl_seconds_after_finished}
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), **mark_labels(context)}
    spec = {**spec, "template": {**template, "metadata": {**metadata, "labels": labels}}}
    name = object_name_for(context.action, context.identity, limit=JOB_NAME_LIMIT)
    manifest: JsonObject = {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return Target(JOBS, namespace, name), manifest


async def _ended_and_going(context: ActionContext, target: Target) -> JsonObject | None:
    """Return the action's Job when it has ended and is on its way out, after an interruption: its end still counts."""
    job = await find(context, target) if context.in_doubt else None
    if job is None or owner(job) != context.identity or not is_being_deleted(job):
        return None
    return job if job_outcome(job).finished else None


async def _finished(context: ActionContext, target: Target, ref: CoreReference) -> Outcome:
    """Wait for the end of the Job and tell it."""

    def judge(seen: Seen) -> JobOutcome | Pending:
        if seen.obj is None or uid_of(seen.obj) != ref.uid:
            return JobOutcome(finished=False)
        outcome = job_outcome(seen.obj)
        return outcome if outcome.finished or not seen.exists else Pending(outcome.message)

    try:
        outcome = await wait_for(context.kube, JOBS, target.namespace, target.name, judge, deadline=context.deadline)
    except WaitTimeoutError:
        job = await find(context, target)
        return timed_out(context) if job is None else await _expired(context, target, job)
    except KubeError as error:
        return failed(error, ActionOutputs(job_ref=ref))
    return await _ended(context, target, ref, outcome)


async def _ended(context: ActionContext, target: Target, ref: CoreReference, outcome: JobOutcome) -> Outcome:
    outputs = ActionOutputs(job_ref=ref)
    if not outcome.finished:
        return Failed(f"{target.label} was deleted before it ended, not by this run", outputs)
    if outcome.succeeded:
        return Succeeded(f"{target.label} completed successfully", outputs)
    reason = ": ".join(text for text in (outcome.reason, outcome.message) if text)
    return Failed(f"{target.label} failed: {reason}{await _last_words(context, target)}", outputs)


async def _expired(context: ActionContext, target: Target, job: JsonObject) -> Outcome:
    """Tell a Job's end that came just in time, else delete it and fail."""
    outcome = job_outcome(job)
    if outcome.finished:
        return await _ended(context, target, reference(job), outcome)
    try:
        await delete_uid(context, target, uid_of(job))
    except KubeError as error:
        left = f"{target.label} is left running: it could not be deleted: {error}"
        return timed_out(context, left, ActionOutputs(job_ref=reference(job)))
    return timed_out(context, f"{target.label} deleted ({outcome.message})")


async def _last_words(context: ActionContext, target: Target) -> str:
    """Return the end of a failed pod's log as part of a message; a log that cannot be had is no problem."""
    selector = f"batch.kubernetes.io/job-name={target.name}"
    try:
        pods = await context.kube.list_all(PODS, namespace=target.namespace, label_selector=selector)
        name = _failed_pod(pods)
        if name is None:
            return ""
        log = await context.kube.pod_log(name, target.namespace, tail_lines=LOG_LINES)
    except KubeError:
        return ""
    log = redact(log, secret_values(context.scope))
    lines = [single_line(line) for line in log.splitlines() if line.strip()]
    return f"; last log lines of pod {name}: {' | '.join(lines)}" if lines else ""


def _failed_pod(pods: list[dict[str, Any]]) -> str | None:
    """Return the name of the pod that failed last."""
    ended = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Failed"]
    ended.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    return str(ended[-1]["metadata"]["name"]) if ended else None
