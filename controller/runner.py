"""One run: asks the engine what may start, journals it, runs it, folds the results in, until it is over.

The order is the whole point (design: invariants 1 to 3). Nothing has a side effect before its `ActionStarted` is
committed; the end of one action and the start of the next travel in one write; a status is offered only with what is
committed. Results that arrive while a write is in flight travel in the next one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.engine import notes
from app.engine.conditions import cancel_requested
from app.engine.decide import Start, conclude, decide
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionStarted, CancelRequested, Event, RunResumed, RunSuspended
from app.engine.fold import fold
from app.engine.outcome import Failed, Outcome
from app.engine.tree import running_actions
from app.models.execution import DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from app.models.names import RESUME_ANNOTATION
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from app.runtime import metrics
from app.runtime.groups import TaskGroup
from app.runtime.logging import get_logger
from controller import observer
from controller.effects import attempt
from controller.journal import Entry
from controller.services import Services
from controller.status_writer import ExecutionGone, StatusWriter
from controller.traces import RunTrace

log = get_logger(__name__)

ORDINARY_EVENTS = 50
"""Ordinary action events that one run writes at most (decision O1)."""
LEASE_MARGIN = 1.0
"""Seconds of the lease that must be left for an effect to begin."""


class Run:
    """One execution that is running here. `run` drives it; `cancel` and `drain` are called from outside.

    `in_doubt` are the actions that were recorded as started by an earlier process: they are attempted again under the
    same attempt number, and their executors observe first (invariant 3). `is_stored` tells that `status` is just what
    the execution in `stored` has.
    """

    def __init__(
        self,
        services: Services,
        snapshot: Snapshot,
        definition: RunDefinition,
        status: DRPlanExecutionStatus,
        stored: dict[str, Any],
        *,
        in_doubt: Sequence[Address] = (),
        is_stored: bool = False,
    ) -> None:
        self.snapshot = snapshot
        self.definition = definition
        self.status = status
        self.trace = (
            RunTrace(services.traces, snapshot, definition, in_doubt=in_doubt, now=services.now())
            if services.traces.recording
            else None
        )
        self._services = services
        self._stored = stored
        self._is_stored = is_stored
        self._committed = [(Start(address, 0), True) for address in in_doubt]
        """Attempts whose intent is committed and that have not begun, with whether they are in doubt."""
        self._cancel_message: str | None = None
        self._resume = False
        self._doubted_at: float | None = None
        self._suspension = ""
        self._draining = False
        self._results: dict[Address, Outcome] = {}
        self._in_flight: set[Address] = set()
        self._wake = asyncio.Event()
        self._events_left = ORDINARY_EVENTS
        self._writer = StatusWriter(
            services.kube,
            ObjectMeta.from_wire(stored["metadata"]),
            pace=services.status_pace,
            on_written=self._on_written,
            on_refused=self._on_refused,
            stored=status if is_stored else None,
        )
        self._log = log.bind(
            execution=f"{snapshot.execution_namespace}/{snapshot.execution_name}", plan=snapshot.plan_name
        )

    @property
    def uid(self) -> str:
        """The execution's uid."""
        return self.snapshot.execution_uid

    def cancel(self, message: str) -> None:
        """Ask for a cancel; acted on at once, once journalled never taken back (invariant 8)."""
        if self._cancel_message is None and not cancel_requested(self.status):
            self._cancel_message = message
            self._wake.set()

    def resume(self) -> None:
        """Let a run of phase Unknown go on, because somebody has looked and says so."""
        if self.status.phase is Phase.UNKNOWN:
            self._resume = True
            self._wake.set()

    def drain(self) -> None:
        """Start nothing more; `run` returns when what is under way has ended. For the controller's shutdown."""
        self._draining = True
        self._wake.set()

    async def run(self) -> DRPlanExecutionStatus:
        """Drive the run to its end and return the final, stored status; when drained, the status so far.

        Raises `ExecutionGone` when the execution was removed by force, `JournalClosed` and `Deposed` when this process
        is no longer the leader.
        """
        async with TaskGroup() as group:
            writing = group.create_task(self._writer.run(), name=f"status/{self.snapshot.execution_name}")
            if not self._is_stored:
                self._writer.offer(self.status, urgent=True)
            while not self._is_over():
                self._wake.clear()
                self._launch(group)
                await self._step()
                self._launch(group)
                await self._wait()
            await self._writer.flush()
            writing.cancel()
        return self.status

    def _is_over(self) -> bool:
        if self.status.phase is not None and self.status.phase.is_final:
            return not self._in_flight
        return self._draining and not self._in_flight and not self._results

    async def _step(self) -> None:
        """Fold in what has happened, decide what may start, commit both in one write."""
        metrics.loop_iterations_total.labels(loop="run").inc()
        now = self._services.now()
        events, status = self._collect(now)
        starts: tuple[Start, ...] = ()
        if not self._draining:
            starts = self._begin(status, now)
            for start in starts:
                events.append(ActionStarted(now, start.address, start.attempt))
                status = fold(self.definition, status, events[-1])
        if not events:
            return
        sequence = self.status.journal_sequence
        entries = [self._entry(sequence + number, event) for number, event in enumerate(events, start=1)]
        await self._services.journal.append(entries)
        observer.observe(self.definition, events, self.status, status, self.trace)
        self._suspend_after_long_doubt()
        self._adopt(status.model_copy(update={"journal_sequence": sequence + len(events)}))
        self._committed += [(start, False) for start in starts]

    def _launch(self, group: TaskGroup) -> None:
        """Begin what is committed, within the lease and not while shutting down.

        A process that was stopped while its intent was being committed must look at the clock first: its successor
        may have settled that very action. What is left is settled by whoever leads next.
        """
        if self._draining or self._services.lease_remaining() < LEASE_MARGIN:
            return
        committed, self._committed = self._committed, []
        for start, in_doubt in committed:
            self._spawn(group, start, in_doubt=in_doubt)

    def _collect(self, now: datetime) -> tuple[list[Event], DRPlanExecutionStatus]:
        """Turn results and a wish to cancel into events; the cancel first: it decides whether failures are repeated."""
        events: list[Event] = []
        status = self.status
        if self._cancel_message is not None and not cancel_requested(status):
            events.append(CancelRequested(now, self._cancel_message))
            status = fold(self.definition, status, events[-1])
        if self._resume and status.phase is Phase.UNKNOWN:
            events.append(RunResumed(now))
            status = fold(self.definition, status, events[-1])
        self._resume = False
        results, self._results = self._results, {}
        for address, outcome in results.items():
            self._in_flight.discard(address)
            self._note_doubt(outcome)
            event = conclude(self.definition, status, address, outcome, now, jitter=random.random())  # noqa: S311
            events.append(event)
            status = fold(self.definition, status, event)
        if self._suspension and status.phase is Phase.RUNNING and not cancel_requested(status):
            events.append(RunSuspended(now, self._suspension))
            status = fold(self.definition, status, events[-1])
        self._suspension = ""
        return events, status

    def _note_doubt(self, outcome: Outcome) -> None:
        if isinstance(outcome, Failed) and outcome.in_doubt and self._doubted_at is None:
            self._doubted_at = asyncio.get_running_loop().time()

    def _suspend_after_long_doubt(self) -> None:
        """Stand still when a write of an action was in doubt and the API server was away for long (design: the run)."""
        if self._doubted_at is None:
            return
        away = asyncio.get_running_loop().time() - self._doubted_at
        self._doubted_at = None
        if away > self._services.settings.unknown_after:
            self._suspension = (
                f"The API server did not answer a write of an action and was away for {away:.0f} s; look at what the "
                f'action made, then annotate the execution with {RESUME_ANNOTATION}: "true" to go on, or cancel it'
            )
            self._wake.set()

    def _begin(self, status: DRPlanExecutionStatus, now: datetime) -> tuple[Start, ...]:
        if self._services.lease_remaining() < LEASE_MARGIN:
            return ()
        return decide(self.definition, status, now).starts

    async def _wait(self) -> None:
        """Wait for a result, a cancel, a shutdown or the time of a retry, whichever comes first."""
        if self._results or self._is_over():
            return
        now = self._services.now()
        decision = decide(self.definition, self.status, now)
        delay = None if decision.wake_at is None else (decision.wake_at - now).total_seconds()
        if self._services.lease_remaining() < LEASE_MARGIN:
            delay = 0.2
        elif decision.starts and not self._draining:
            return  # what became due while the last step was being committed
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return

    def _spawn(self, group: TaskGroup, start: Start, *, in_doubt: bool) -> None:
        self._in_flight.add(start.address)
        node = self.definition.action(start.address)
        group.create_task(self._effect(start.address, self.status, in_doubt=in_doubt), name=f"action/{node.name}")

    async def _effect(self, address: Address, status: DRPlanExecutionStatus, *, in_doubt: bool) -> None:
        outcome = await attempt(self._services, self.snapshot, self.definition, status, address, in_doubt=in_doubt)
        self._results[address] = outcome
        self._wake.set()

    def _adopt(self, status: DRPlanExecutionStatus) -> None:
        old, self.status = self.status, status
        self._writer.offer(status, urgent=old.phase is not status.phase)
        for note in notes.changes(self.definition, old, status):
            self._log.info(note.message, reason=note.reason, **note.where())
            if note.ordinary:
                if self._events_left <= 0:
                    metrics.events_dropped_total.labels(reason="ordinary").inc()
                    continue
                self._events_left -= 1
            self._services.recorder.emit(self._stored, note.type, note.reason, note.message)

    def _entry(self, sequence: int, event: Event) -> Entry:
        return Entry(self.uid, self.snapshot.execution_namespace, self.snapshot.execution_name, sequence, event)

    def _on_written(self, stored: dict[str, Any], sequence: int) -> None:
        self._services.executions.remember(stored)
        self._services.journal.release(self.uid, sequence)

    def _on_refused(self, why: str) -> None:
        self._services.recorder.emit(
            self._stored, "Warning", "StatusRefused", f"The API server refuses the status: {why}"
        )


def doubtful(status: DRPlanExecutionStatus) -> list[Address]:
    """Return the actions that were started and whose end nobody recorded."""
    return [address for address, action in running_actions(status) if action.next_attempt_time is None]


__all__ = ["ExecutionGone", "Run", "doubtful"]
