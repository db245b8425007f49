"""What only the leader does: reconcilers fed by the caches, runs, the journal, the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from app.kube.cache import Cache
from app.kube.errors import KubeError
from app.models.execution import DRPlanExecution
from app.models.phases import has_ended
from app.runtime.logging import get_logger
from app.runtime.tasks import TaskOwner
from controller.feed import Feed
from controller.journal import Entry
from controller.lanes import Key, Lane
from controller.lookout import Lookout
from controller.plans.status import PlanUnreadableError
from controller.queue import PLAIN, Reconcile, WorkQueue, in_plain_lane
from controller.reconcilers.execution import ExecutionReconciler
from controller.reconcilers.lanes import LANES, lane_of
from controller.reconcilers.plan import PlanReconciler
from controller.reconcilers.workflow import WorkflowReconciler
from controller.run.inheritance import Inheritance, under_way
from controller.run.runs import Runs
from controller.services import Services
from controller.set_aside import failing, set_aside, tell_left_alone
from controller.start.interruption import Starting
from controller.suspects import work_of
from controller.sweep import sweep

log = get_logger(__name__)

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
            """Look at the plan too: a run under way kept its lock, also if its execution was removed by force."""
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
        Feed(services, runs, inheritance, starting, workflows, plans, executions).connect()
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
    """Return the queue of one kind; an object that its reconciler crashes at is set aside, or ended by `executions`.

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


def without_details(execution: dict[str, Any]) -> dict[str, Any]:
    """Return what the controller keeps of an execution in memory: of an ended one a few fields only."""
    status = execution.get("status") or {}
    if not has_ended(status.get("phase")):
        return execution
    kept = {name: value for name, value in status.items() if name not in _DETAILS}
    return {**execution, "status": kept}
