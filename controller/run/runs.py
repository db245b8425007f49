"""The runs of this process: one task each, from the first action to the plan's completion (invariant 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from app.engine.text import cut, single_line
from app.kube.errors import KubeError
from app.models.execution import DRPlanExecution
from app.models.phases import Operation
from app.runtime import metrics
from app.runtime.groups import first_error
from app.runtime.logging import bind, get_logger
from app.runtime.tasks import Backoff, TaskOwner
from app.runtime.tracing import trace_id_of
from controller.journal import DeposedError, JournalClosedError
from controller.plans.completion import complete
from controller.plans.status import PlanUnreadableError
from controller.run.observer import count_end
from controller.run.runner import Run
from controller.run.status_writer import ExecutionGoneError
from controller.services import Services

log = get_logger(__name__)

LEAVE_SECONDS = 0.3
"""How long runs whose actions are left running at a shutdown may take to end."""
BREAK_OFFS = 3
"""Break-offs of a run in a row after which it is ended."""
CRASH_DELAY = 5.0
"""Seconds until a run that broke off is taken up again."""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """Break-offs of a run in a row, the journal's sequence at the last one, and what that was."""

    count: int
    sequence: int
    problem: str


class Runs:
    """Starts, finds and ends runs. `requeue` is called with the execution and a delay when a run is over."""

    def __init__(self, services: Services, owner: TaskOwner, requeue: Callable[[DRPlanExecution, float], None]) -> None:
        self._services = services
        self._owner = owner
        self._requeue = requeue
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._draining = False
        self._broken: dict[str, BrokenOff] = {}

    def broken_off(self, uid: str) -> BrokenOff | None:
        """Return how often in a row a run broke off here, None when it did not."""
        return self._broken.get(uid)

    def forget(self, uid: str) -> None:
        """Let go of what is known of a run that is over."""
        self._broken.pop(uid, None)

    def get(self, uid: str) -> Run | None:
        """Return the run of the execution `uid`, if it is running or being completed here."""
        return self._runs.get(uid)

    def under_way(self) -> list[Run]:
        """Return the runs that are running or being completed here."""
        return list(self._runs.values())

    def of_plan(self, namespace: str, plan: str) -> Run | None:
        """Return the run of a plan that is running or being completed here, also when its execution was removed."""
        key = (namespace, plan)
        snapshots = ((run, run.snapshot) for run in self._runs.values())
        return next((run for run, kept in snapshots if (kept.execution_namespace, kept.plan_name) == key), None)

    def start(self, run: Run, execution: DRPlanExecution) -> None:
        """Begin to drive `run`; while shutting down it starts no action."""
        if self._draining:
            run.drain()
        self._runs[run.uid] = run
        self._show_number()
        self._tasks[run.uid] = self._owner.spawn(f"run/{execution.metadata.key}", self._logged(run, execution))

    def _show_number(self) -> None:
        for operation in Operation:
            number = sum(run.snapshot.operation is operation for run in self._runs.values())
            metrics.runs_in_flight.labels(operation).set(number)

    async def drain(self, grace: float) -> None:
        """Start nothing more, give what is under way `grace` seconds, leave the rest recorded as started."""
        self._draining = True
        for run in self._runs.values():
            run.drain()
        tasks = list(self._tasks.values())
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=grace)
            for task in left:
                task.cancel()
            if left:
                log.warning("actions left running at shutdown; the next leader settles them", runs=len(left))
                await asyncio.wait(left, timeout=LEAVE_SECONDS)

    async def _logged(self, run: Run, execution: DRPlanExecution) -> None:
        """Drive a run; every line that its work logs, at whatever depth, says whose it is."""
        with bind(execution=execution.metadata.key, plan=run.snapshot.plan_name, trace_id=trace_id_of(run.uid)):
            await self._drive(run, execution)

    async def _drive(self, run: Run, execution: DRPlanExecution) -> None:
        """Drive a run to its end. One that breaks off is taken up again; only losing the journal ends the process."""
        delay = 0.0
        try:
            status = await run.run()
            if status.has_ended:
                ended = execution.model_copy(update={"status": status})
                await self._complete(run, ended)
        except* ExecutionGoneError:
            log.warning("execution was removed while it ran", execution=execution.metadata.key)
            self._services.journal.forget(run.uid)
            await self._remove_snapshot(run)
        except* (JournalClosedError, DeposedError):
            raise
        except* Exception as group:
            self._note_break_off(run, group)
            delay = CRASH_DELAY
            metrics.run_crashes_total.inc()
            log.error(
                "run broke off, it is taken up again", execution=execution.metadata.key, exc_info=group, delay=delay
            )
        finally:
            self._runs.pop(run.uid, None)
            self._tasks.pop(run.uid, None)
            self._show_number()
        if not self._draining:
            self._requeue(execution, delay)

    def _note_break_off(self, run: Run, group: BaseExceptionGroup[Exception]) -> None:
        """Count break-offs in a row: those between which nothing of the run was committed."""
        before, sequence = self._broken.get(run.uid), run.status.journal_sequence
        count = before.count + 1 if before is not None and before.sequence == sequence else 1
        first = first_error(group)
        problem = cut(single_line(f"{type(first).__name__}: {first}"), 256)
        self._broken[run.uid] = BrokenOff(count, sequence, problem)

    async def _remove_snapshot(self, run: Run) -> None:
        """Remove what belongs to a run whose execution went without its finalizer; the next leader sweeps up."""
        try:
            await self._services.snapshots.delete(run.uid)
        except KubeError as error:
            log.warning("snapshot stays until the next leader starts", uid=run.uid, error=str(error))

    async def _complete(self, run: Run, execution: DRPlanExecution) -> None:
        backoff = Backoff(initial=0.1, maximum=10.0)
        count_end(self._services, execution, run.trace)
        while True:
            try:
                await complete(self._services, execution, run.snapshot, owned=True)
            except KubeError as error:
                log.warning("plan not completed yet", execution=execution.metadata.key, error=str(error))
                await asyncio.sleep(backoff.next())
            except PlanUnreadableError as error:
                log.error("plan cannot be completed", execution=execution.metadata.key, error=str(error))
                break
            else:
                break
        self._services.journal.forget(run.uid)
        self.forget(run.uid)
