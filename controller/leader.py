"""What only the leader does: reconcilers fed by the caches, runs, the journal, the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from app.kube.cache import Cache
from app.kube.errors import KubeError, NotFound
from app.kube.resources import EXECUTIONS
from app.kube.stream import EventType
from app.models.execution import DRPlanExecution
from app.models.phases import Phase
from app.models.stored import items, members
from app.runtime.logging import get_logger
from app.runtime.tasks import TaskOwner
from controller.inheritance import Inheritance, under_way
from controller.journal import Entry
from controller.lanes import Key, Lane
from controller.lookout import Lookout
from controller.plan_status import PlanUnreadableError
from controller.queue import PLAIN, Reconcile, WorkQueue, in_plain_lane
from controller.reconcilers.closing import BY_TARGET
from controller.reconcilers.execution import BY_STARTED_PLAN, ExecutionReconciler
from controller.reconcilers.execution_state import cancel_message_of
from controller.reconcilers.lanes import LANES, lane_of
from controller.reconcilers.plan import PlanReconciler
from controller.reconcilers.rivals import BY_ENDED_PLAN
from controller.reconcilers.starting import Starting
from controller.reconcilers.workflow import WorkflowReconciler
from controller.runs import Runs
from controller.services import Services
from controller.set_aside import failing, set_aside, tell_left_alone
from controller.suspects import work_of

log = get_logger(__name__)

BY_WORKFLOW = "workflow"
BY_PLAN = "plan"
_ENDED = frozenset({"Succeeded", "Failed", "Cancelled", "Canceled"})
_DETAILS = frozenset({"stageStatuses", "conditions", "summary", "resolvedParams"})


GiveUp = Callable[[Key, Exception], Awaitable[bool]]
"""Ends an object at which reconciling crashes, if that can be done; tells whether it was."""
Refuse = Callable[[dict[str, Any], str], Awaitable[bool]]
"""Leaves an object alone at which the process has ended, and says why; tells whether it is to be left alone."""
ENDED_PROCESS = "EndedProcess"
"""Reason of the condition SetAside of such an object."""


async def lead(services: Services, recovered: dict[str, list[Entry]], stop: asyncio.Event) -> None:
    """Reconcile and run until `stop` is set, then wind down within the grace period."""
    try:
        await _lead(services, recovered, stop)
    except asyncio.CancelledError:  # the lease is lost
        await services.journal.look_back()
        raise
    await services.journal.leave()


async def _lead(services: Services, recovered: dict[str, list[Entry]], stop: asyncio.Event) -> None:
    inheritance = Inheritance(services.journal, under_way(services.executions.items()))
    async with TaskOwner("leader") as owner:
        owner.spawn("journal", services.journal.run())

        def look_again(execution: DRPlanExecution, delay: float) -> None:
            """The plan too: while a run was under way its lock was kept, also if its execution was removed by force."""
            namespace = execution.metadata.namespace
            executions.add_after((namespace, execution.metadata.name), delay)
            plans.add_after((namespace, execution.spec.plan_ref), delay)

        runs = Runs(services, owner, look_again)
        starting = Starting()
        reconciler = ExecutionReconciler(services, runs, inheritance, starting, recovered)

        def is_under_way(uid: str) -> bool:
            return uid in recovered or runs.get(uid) is not None

        lane = partial(lane_of, services.executions, is_under_way)
        executions = _queue(services, services.executions, reconciler.reconcile, LANES, lane, reconciler)
        plans = _queue(services, services.plans, PlanReconciler(services, runs).reconcile)
        workflows = _queue(services, services.workflows, WorkflowReconciler(services).reconcile)
        _Feed(services, runs, inheritance, starting, workflows, plans, executions).connect()
        for queue in (workflows, plans, executions):
            owner.spawn(queue.name, queue.run())
            services.when_back.append(queue.hurry)
        owner.spawn("sweep", sweep(services, recovered))
        owner.spawn("lookout", Lookout(services, runs).run())
        log.info("leading", epoch=services.journal.epoch)
        await stop.wait()
        log.info("shutting down", grace=services.settings.shutdown_grace)
        await runs.drain(services.settings.shutdown_grace)
        owner.cancel_all()


def _queue(
    services: Services,
    cache: Cache,
    reconcile: Reconcile,
    lanes: Sequence[Lane] = PLAIN,
    lane: Callable[[Key, bool], str] = in_plain_lane,
    executions: ExecutionReconciler | None = None,
) -> WorkQueue:
    """The queue of one kind; an object that its reconciler crashes at is set aside, or ended where `executions` can.

    One that ended the process is not looked at again.
    """
    give_up: GiveUp | None = None if executions is None else executions.give_up

    async def leave_alone(key: Key, error: Exception) -> None:
        stored = cache.get(*key)
        if stored is not None:
            tell_left_alone(services, cache.resource, stored, failing(error))
            try:
                is_ended = give_up is not None and await give_up(key, error)
            except (KubeError, PlanUnreadableError) as failed:
                log.warning("an execution that is set aside was not ended", object="/".join(key), error=str(failed))
                is_ended = False
            if not is_ended:
                await set_aside(services, cache.resource, stored, failing(error), type(error).__name__)

    async def refuse(stored: dict[str, Any], why: str) -> bool:
        generation = stored["metadata"].get("generation", 0)
        await set_aside(
            services, cache.resource, stored, why, ENDED_PROCESS, {"phase": "Invalid", "observedGeneration": generation}
        )
        return True

    watched = _watched(services, cache, reconcile, executions.refuse if executions is not None else refuse)
    return WorkQueue(cache.resource.kind.lower(), watched, lanes=lanes, lane_of=lane, set_aside=leave_alone)


def _watched(services: Services, cache: Cache, reconcile: Reconcile, refuse: Refuse) -> Reconcile:
    """Have it noted what is worked on, so that the next process knows at what this one ended, and refuses that."""

    async def watched(key: Key) -> float | None:
        stored = cache.get(*key)
        if stored is None:
            return await reconcile(key)
        if (why := services.suspects.refusal(stored)) and await refuse(stored, why):
            if services.suspects.is_news(stored):
                tell_left_alone(services, cache.resource, stored, why)
            return None
        after = await services.last_work.watched(work_of(cache.resource, stored), reconcile(key))
        await services.suspects.cleared(stored)
        return after

    return watched


class _Feed:
    """Turns changes in the caches into keys to reconcile."""

    def __init__(
        self,
        services: Services,
        runs: Runs,
        inheritance: Inheritance,
        starting: Starting,
        workflows: WorkQueue,
        plans: WorkQueue,
        executions: WorkQueue,
    ) -> None:
        self._services = services
        self._runs = runs
        self._inheritance = inheritance
        self._starting = starting
        self._workflows = workflows
        self._plans = plans
        self._executions = executions

    def connect(self) -> None:
        services = self._services
        services.plans.add_index(BY_WORKFLOW, _workflows_of_plan)
        services.executions.add_index(BY_PLAN, _plan_of_unstarted)
        services.executions.add_index(BY_TARGET, _target_of_unfinished)
        services.executions.add_index(BY_ENDED_PLAN, _plan_of_ended)
        services.executions.add_index(BY_STARTED_PLAN, _plan_of_started)
        services.workflows.subscribe(self._on_workflow)
        services.plans.subscribe(self._on_plan)
        services.executions.subscribe(self._on_execution)
        for cache, queue in (
            (services.workflows, self._workflows),
            (services.plans, self._plans),
            (services.executions, self._executions),
        ):
            for obj in cache.items():
                queue.add(key_of(obj))

    def _on_workflow(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        del event
        obj = new or old
        if obj is None:
            return
        key = key_of(obj)
        if new is not None:
            self._workflows.add(key)
        if old is None or new is None or _verdict(old) != _verdict(new):
            for plan in self._services.plans.by_index(BY_WORKFLOW, "/".join(key)):
                self._plans.add(key_of(plan))

    def _on_plan(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        del event, old
        if new is None:
            return
        key = key_of(new)
        self._plans.add(key)
        for execution in self._services.executions.by_index(BY_PLAN, "/".join(key)):
            self._executions.add(key_of(execution))

    def _on_execution(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        del event
        if new is None:
            if old is not None:
                self._inheritance.told(old["metadata"]["uid"])
                self._plans.add((key_of(old)[0], str(members(old.get("spec")).get("planRef", ""))))
                run = self._runs.get(old["metadata"]["uid"])
                if run is not None:
                    run.cancel("Execution removed while running")
                self._starting.interrupt(old["metadata"]["uid"])
            return
        run = self._runs.get(new["metadata"]["uid"])
        if message := cancel_message_of(new["metadata"]):
            self._starting.interrupt(new["metadata"]["uid"])
            if run is not None:
                run.cancel(message)
        if run is not None:
            run.writer.note_stored(new)
        if old is not None and run is not None and not _metadata_changed(old, new):
            return
        self._executions.add(key_of(new))


async def sweep(services: Services, recovered: dict[str, list[Entry]]) -> None:
    """Remove what is kept of executions that are gone, journal entries included, each after a fresh read."""
    known = {obj["metadata"]["uid"]: obj.get("status") or {} for obj in services.executions.items()}
    for entries in [entries for uid, entries in recovered.items() if uid not in known]:
        first = entries[0]
        if await _is_gone(services, first.namespace, first.name, first.uid):
            services.journal.forget(first.uid)
    try:
        owners = await services.snapshots.owners()
        for owner in owners:
            if owner.uid in known or services.executions.by_index(BY_TARGET, f"{owner.namespace}/{owner.name}"):
                continue
            if await _is_gone(services, owner.namespace, owner.name, owner.uid):
                log.info("snapshot of a vanished execution removed", execution=f"{owner.namespace}/{owner.name}")
                await services.snapshots.delete(owner.uid)
    except KubeError as error:
        log.warning("stray snapshots stay until the next start", error=str(error))


async def _is_gone(services: Services, namespace: str, name: str, uid: str) -> bool:
    try:
        found = await services.kube.get(EXECUTIONS, name, namespace=namespace)
    except NotFound:
        return True
    except KubeError as error:
        log.warning("cannot tell whether an execution is gone", execution=f"{namespace}/{name}", error=str(error))
        return False
    return bool(found["metadata"]["uid"] != uid)


def without_details(execution: dict[str, Any]) -> dict[str, Any]:
    """Return what the controller keeps of an execution in memory: of an ended one a few fields only."""
    status = execution.get("status") or {}
    if status.get("phase") not in _ENDED:
        return execution
    kept = {name: value for name, value in status.items() if name not in _DETAILS}
    return {**execution, "status": kept}


def key_of(obj: dict[str, Any]) -> Key:
    """Return namespace and name of an object."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _verdict(workflow: dict[str, Any]) -> tuple[object, ...]:
    """What of a workflow the validity of its plans depends on."""
    status = workflow.get("status") or {}
    return workflow["metadata"].get("generation"), status.get("phase"), status.get("observedGeneration")


def _metadata_changed(old: dict[str, Any], new: dict[str, Any]) -> bool:
    watched = ("annotations", "labels", "finalizers", "deletionTimestamp", "generation", "uid")
    return any(old["metadata"].get(member) != new["metadata"].get(member) for member in watched)


def _workflows_of_plan(plan: dict[str, Any]) -> Iterable[str]:
    namespace = plan["metadata"].get("namespace", "")
    for stage in items(members(plan.get("spec")).get("stages")):
        for used in items(members(stage).get("workflows")):
            ref = members(members(used).get("workflowRef"))
            yield f"{ref.get('namespace') or namespace}/{ref.get('name', '')}"


def _target_of_unfinished(execution: dict[str, Any]) -> Iterable[str]:
    target = members(execution.get("spec")).get("revertExecutionRef")
    if target and members(execution.get("status")).get("phase") not in _ENDED:
        yield f"{execution['metadata'].get('namespace', '')}/{target}"


def _plan_of_unstarted(execution: dict[str, Any]) -> Iterable[str]:
    if members(execution.get("status")).get("phase", Phase.PENDING) in ("", Phase.PENDING):
        yield f"{execution['metadata'].get('namespace', '')}/{members(execution.get('spec')).get('planRef', '')}"


def _plan_of_started(execution: dict[str, Any]) -> Iterable[str]:
    if members(execution.get("status")).get("phase") in (Phase.RUNNING, Phase.UNKNOWN):
        yield f"{execution['metadata'].get('namespace', '')}/{members(execution.get('spec')).get('planRef', '')}"


def _plan_of_ended(execution: dict[str, Any]) -> Iterable[str]:
    status = members(execution.get("status"))
    if status.get("phase") in _ENDED and status.get("progress"):
        yield f"{execution['metadata'].get('namespace', '')}/{members(execution.get('spec')).get('planRef', '')}"
