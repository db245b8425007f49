"""One run: gathers what happens, has the engine decide, journals that, has the effects, until it is over.

The order is the whole point (invariants 1 to 3); `app.engine.step` decides it. Nothing has a side effect
before its `ActionStarted` is committed; the end of one action and the start of the next travel in one write; a status
is offered only with what is committed. Results that arrive while a write is in flight travel in the next one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from app.engine.conditions import cancel_requested
from app.engine.decide import Start, decide
from app.engine.definition import Address, RunDefinition
from app.engine.doubt import Suspension, Takeover, can_do_without_journal, long_doubt, refused
from app.engine.events import ActionFinished, ActionStarted, AttemptFailed, Event
from app.engine.health import due
from app.engine.outcome import Failed, Outcome
from app.engine.step import Inbox, Inherited, Step, begin, look_only_after, step
from app.engine.tree import action_at
from app.models.execution import ActionOutputs, DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from app.runtime import metrics
from app.runtime.groups import TaskGroup
from app.runtime.logging import get_logger
from controller.endings import record_end, tell_differs, tell_refused
from controller.folding import computed, folded
from controller.journal import Entry, EntryRefusedError
from controller.run import observer
from controller.run.attempt import attempt
from controller.run.checks import Checks
from controller.run.lifetimes import Lifetimes
from controller.run.status_writer import StatusWriter
from controller.run.telling import Telling
from controller.run.traces import RunTrace
from controller.services import Services

log = get_logger(__name__)

LEASE_POLL = 0.5
"""Seconds between two looks at the lease while there is no time left of it."""
LEASE_MARGIN = 1.0
"""Seconds of the lease that must be left for an effect to begin."""


class Run:
    """One execution that is running here. `run` drives it; `cancel` and `drain` are called from outside.

    `in_doubt` are the actions that were recorded as started by an earlier process: they are attempted again under the
    same attempt number, and their executors observe first (invariant 3). `takeover` is what a new leader may believe of
    their past, None where the process is the same; `on_taken_up` is called once that is recorded. `is_stored` tells
    that `status` is just what the execution in `stored` has.
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
        takeover: Takeover | None = None,
        on_taken_up: Callable[[], None] = lambda: None,
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
        self._slots = services.effect_slots
        self._stored = stored
        self._is_stored = is_stored
        self._committed = [(Start(address, 0), True) for address in in_doubt]
        """Attempts whose intent is committed and that have not begun, with whether they are in doubt."""
        self._cancel_message: str | None = None
        self._answer = ""
        self._takeover = takeover
        self._on_taken_up = on_taken_up
        """What is to be recorded before anything goes on; None once it is."""
        self._look_only = status.phase is Phase.UNKNOWN
        """Whether a cancel leaves it at looking at what is in doubt: the run stood still, and nobody let it go on."""
        self._looked_at: set[Address] = set()
        self._concluding: Mapping[Address, Outcome] = {}
        """Outcomes whose events are being committed."""
        self._withheld: dict[Address, Outcome] = {}
        """Outcomes that the API server refused to take into the journal."""
        self._doubted_at: float | None = None
        self._suspension: Suspension | None = None
        self._draining = False
        self._is_short = False
        """Whether actions wait for a slot."""
        self._results: dict[Address, Outcome] = {}
        self._made: dict[Address, ActionOutputs] = {}
        """What attempts have made that go on, as far as it is not recorded yet."""
        self._in_flight: set[Address] = set()
        self._wake = asyncio.Event()
        self._checks = Checks(services, snapshot, definition, self._wake.set)
        self.writer = StatusWriter(
            services.kube,
            ObjectMeta.from_wire(stored["metadata"]),
            pace=services.status_pace,
            on_written=self._on_written,
            on_refused=partial(tell_refused, services, stored),
            on_touched=partial(tell_differs, services, ObjectMeta.from_wire(stored["metadata"])),
            demand_lead=services.journal.demand_lead,
            seal_key=snapshot.seal_key,
            known=stored.get("status"),
            stored=status if is_stored else None,
        )
        self._log = log.bind(
            execution=f"{snapshot.execution_namespace}/{snapshot.execution_name}", plan=snapshot.plan_name
        )
        self._lifetimes = Lifetimes(services, definition, stored)
        self._telling = Telling(services.recorder, stored, self._log)

    @property
    def uid(self) -> str:
        """The execution's uid."""
        return self.snapshot.execution_uid

    def cancel(self, message: str) -> None:
        """Ask for a cancel; acted on at once, once journalled never taken back (invariant 8)."""
        if self._cancel_message is None and not cancel_requested(self.status):
            self._cancel_message = message
            self._wake.set()

    def resume(self, answer: str) -> None:
        """Let a run of phase Unknown go on, because somebody has looked and says so (`question.ANSWERS`)."""
        if self.status.phase is Phase.UNKNOWN:
            self._answer = answer
            self._wake.set()

    @property
    def has_ended(self) -> bool:
        """Whether the run is over, and is perhaps still being recorded and told."""
        return self.status.has_ended

    def drain(self) -> None:
        """Start nothing more; `run` returns when what is under way has ended. For the controller's shutdown."""
        self._draining = True
        self._wake.set()

    async def run(self) -> DRPlanExecutionStatus:
        """Drive the run to its end and return the final, stored status; when drained, the status so far.

        Raises `ExecutionGoneError` when the execution was removed by force, `JournalClosedError` and `DeposedError`
        when this process is no longer the leader.
        """
        try:
            return await self._run()
        finally:
            self._slots.leave(self.uid)

    async def _run(self) -> DRPlanExecutionStatus:
        async with TaskGroup() as group:
            writing = group.create_task(self.writer.run(), name=f"status/{self.snapshot.execution_name}")
            giving = group.create_task(self._lifetimes.run(), name=f"lifetimes/{self.snapshot.execution_name}")
            self._lifetimes.take_all(self.status)
            if not self._is_stored and not self.has_ended:
                self.writer.offer(self.status, urgent=True)
            while not self._is_over():
                self._wake.clear()
                self._launch(group)
                await self._step()
                self._launch(group)
                await self._wait()
            if self.has_ended:
                await self._lifetimes.finish()
                await record_end(self._services, self.snapshot, self.definition, self.status)
                self.writer.offer(self.status, urgent=True)
            self._checks.end_all()
            await self.writer.flush()
            writing.cancel()
            giving.cancel()
        return self.status

    def _is_over(self) -> bool:
        if self.has_ended:
            return not self._in_flight
        return self._draining and not self._in_flight and not self._results

    async def _step(self) -> None:
        """Take the engine's step with what has happened, and commit what it leads to in one write."""
        metrics.loop_iterations_total.labels(loop="run").inc()
        now = self._services.now()
        take = partial(
            step,
            self.definition,
            self.status,
            self._inbox(),
            now,
            execution=(self.snapshot.execution_namespace, self.snapshot.execution_name),
            jitter=random.random,
            may_start=self._may_begin(),
        )
        decided = await computed(self.definition, take)
        self._concluding, self._withheld = decided.concluded, dict(decided.withheld)
        if decided.again:
            self._wake.set()
        starts = self._with_slots(decided.starts)
        decided = await computed(self.definition, partial(begin, self.definition, decided, starts, now))
        await self._commit(decided)

    def _inbox(self) -> Inbox:
        """Take what has happened since the last step."""
        results, self._results = self._results, {}
        made, self._made = self._made, {}
        answer, self._answer = self._answer, ""
        suspension, self._suspension = self._suspension, None
        for address, outcome in results.items():
            self._in_flight.discard(address)
            self._note_doubt(outcome)
        inherited = None
        if self._takeover is not None:
            in_doubt = tuple(start.address for start, in_doubt in self._committed if in_doubt)
            inherited = Inherited(self._takeover, in_doubt)
        return Inbox(
            results=results,
            made=made,
            answers=self._checks.answers(),
            looked_at=frozenset(self._looked_at),
            withheld=self._withheld,
            cancel=self._cancel_message,
            answer=answer,
            suspension=suspension,
            inherited=inherited,
        )

    async def _commit(self, decided: Step) -> None:
        """Record what a step has led to, and go on from there."""
        events = decided.events
        if not events:
            self._forget_takeover()
            return
        sequence = self.status.journal_sequence
        entries = [self._entry(sequence + number, event) for number, event in enumerate(events, start=1)]
        try:
            await self._services.journal.append(entries)
        except EntryRefusedError as refusal:
            await self._take_refusal(events, refusal)
            return
        self._suspend_after_long_doubt()
        await self._take_commit(events, decided.status)

    async def _take_commit(self, events: Sequence[Event], status: DRPlanExecutionStatus) -> None:
        """Go on from `status`, which `events`, now committed, have led to."""
        observer.observe(self.definition, events, self.status, status, self.trace)
        await self._adopt(status.model_copy(update={"journal_sequence": self.status.journal_sequence + len(events)}))
        for event in events:
            if isinstance(event, ActionStarted):
                self._committed.append((Start(event.address, event.attempt), False))
            elif isinstance(event, ActionFinished):
                self._lifetimes.take(self.status, event.address)
        self._look_only = look_only_after(events, self._look_only)
        self._forget_takeover()

    def _forget_takeover(self) -> None:
        """Let what is in doubt go on, where it may: what the take-over says of it is recorded."""
        if self._takeover is None:
            return
        self._look_only = self._look_only or self._takeover.reason is not None
        self._takeover = None
        self._on_taken_up()
        self._committed = [i for i in self._committed if not action_at(self.status, i[0].address).phase.is_final]

    async def _take_refusal(self, events: Sequence[Event], refusal: EntryRefusedError) -> None:
        """Stand still, because the API server takes no more of this run's entries; keep what they were to say."""
        done, rest = events[: refusal.committed], events[refusal.committed :]
        self._slots.give_back(self.uid, sum(isinstance(event, ActionStarted) for event in rest))
        await self._take_commit(done, await folded(self.definition, self.status, *done))
        if can_do_without_journal(rest):
            self._look_only = look_only_after(rest, self._look_only)
            await self._adopt(await folded(self.definition, self.status, *rest))
            return
        for event in rest:
            if isinstance(event, ActionFinished | AttemptFailed) and event.address in self._concluding:
                self._withheld[event.address] = self._concluding[event.address]
        self._suspension = refused(refusal)
        self._wake.set()

    def _launch(self, group: TaskGroup) -> None:
        """Begin what is committed, within the lease and not while shutting down.

        A process that was stopped while its intent was being committed must look at the clock first: its successor
        may have settled that very action. What is left is settled by whoever leads next.
        """
        if not self._may_begin():
            return
        self._checks.begin(group, self.status, self._services.now())
        waits = self._takeover is not None or self.status.phase is Phase.UNKNOWN
        committed, self._committed = self._committed, [item for item in self._committed if waits and item[1]]
        for start, in_doubt in committed:
            if not (waits and in_doubt):
                self._spawn(group, start, in_doubt=in_doubt)

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
            self._suspension = long_doubt(away)
            self._wake.set()

    def _may_begin(self) -> bool:
        return not self._draining and self._services.lease_remaining() >= LEASE_MARGIN

    def _with_slots(self, starts: Sequence[Start]) -> list[Start]:
        """Return those that have a slot; repetitions first, because the time of their actions is running."""
        slots = self._slots.ask(self.uid, len(starts), self._wake.set)
        if slots < len(starts) and not self._is_short:
            self._log.info("actions wait until others have ended", waiting=len(starts) - slots)
        self._is_short = slots < len(starts)
        return sorted(starts, key=lambda start: start.attempt == 1)[:slots]

    async def _wait(self) -> None:
        """Wait for a result, a cancel, a shutdown or the time of a retry, whichever comes first."""
        if self._results or self._checks.answered or self._is_over():
            return
        delay: float | None = LEASE_POLL
        if self._services.lease_remaining() >= LEASE_MARGIN:
            now = self._services.now()
            decision = decide(self.definition, self.status, now)
            checks = due(self.definition, self.status, now, self._checks.in_flight)
            starts = decision.starts and not self._slots.awaits(self.uid)
            if (starts or checks.checks) and not self._draining:
                return  # what became due while the last step was being committed
            wakes = [time for time in (decision.wake_at, checks.wake_at) if time is not None]
            delay = (min(wakes) - now).total_seconds() if wakes else None
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return

    def _spawn(self, group: TaskGroup, start: Start, *, in_doubt: bool) -> None:
        address = start.address
        self._in_flight.add(address)
        if in_doubt:
            self._slots.hold(self.uid)  # it has begun already; what begins now has its slot
        look_only = in_doubt and self._look_only
        if look_only:
            self._looked_at.add(address)
        node = self.definition.action(address)
        effect = self._effect(address, self.status, in_doubt=in_doubt, look_only=look_only)
        group.create_task(effect, name=f"action/{node.name}")

    async def _effect(
        self, address: Address, status: DRPlanExecutionStatus, *, in_doubt: bool, look_only: bool
    ) -> None:
        outcome = await attempt(
            self._services,
            self.snapshot,
            self.definition,
            status,
            address,
            in_doubt=in_doubt,
            look_only=look_only,
            on_made=partial(self._note_made, address),
        )
        self._results[address] = outcome
        self._slots.give_back(self.uid)
        self._wake.set()

    def _note_made(self, address: Address, made: ActionOutputs) -> None:
        self._made[address] = made
        self._wake.set()

    async def _adopt(self, status: DRPlanExecutionStatus) -> None:
        old, self.status = self.status, status
        self._checks.end_needless(status)
        if not self.has_ended:  # the end is recorded before it is told
            self.writer.offer(status, urgent=old.phase is not status.phase)
        await self._telling.changes(self.definition, old, status)

    def _entry(self, sequence: int, event: Event) -> Entry:
        return Entry(self.uid, self.snapshot.execution_namespace, self.snapshot.execution_name, sequence, event)

    def _on_written(self, stored: dict[str, Any], sequence: int) -> None:
        self._services.executions.remember(stored)
        # the last entry stays until the end: it tells a later leader how far the run had come, whatever the status says
        self._services.journal.release(self.uid, sequence - 1)
