"""A controller, its journal and the stored status, all in memory, that can be killed at any point.

It drives the engine's step as the runner does, with a journal and a status writer: what a step leads to is journalled
in one write, and only then what may start starts. Killing it drops everything but journal and status.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial, reduce

from app.engine.conditions import cancel_requested
from app.engine.decide import decide
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionFinished, ActionStarted, CheckAnswered, Event, RunResumed, RunSuspended
from app.engine.events import decode as decode_event
from app.engine.events import encode as encode_event
from app.engine.fold import fold, initial_status
from app.engine.health import Answer, due
from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.shrink import shrink
from app.engine.step import Inbox, Step, begin, step
from app.engine.summary import summarize
from app.engine.tree import action_at, running_actions
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Operation, Phase
from tests.property.legal import check_status, check_step, may_start, stored
from tests.unit.engine.runs import START

Behaviour = Callable[[Address, int], str]
"""What an attempt comes to: ok, broken (not worth repeating), flaky (worth repeating), nothing (a rollback only)."""


Health = Callable[[int, int], bool]
"""What an attempt of a health check, by its index and number, finds."""


class World:
    """One run. `tight` stores statuses as small as a huge plan would make them."""

    def __init__(
        self,
        definition: RunDefinition,
        behaviour: Behaviour,
        health: Health = lambda _check, _attempt: True,
        *,
        tight: bool = False,
    ) -> None:
        self.definition = definition
        self.behaviour = behaviour
        self.health = health
        self.probing: list[int] = []
        """Health checks that are being made."""
        self.tight = tight
        self.now: datetime = START
        self.journal: list[str] = []
        self.effects: list[tuple[Address, int]] = []
        self.in_flight: list[Address] = []
        self.finished: set[Address] = set()
        self.answers: list[CheckAnswered] = []
        """What health checks were answered, as journalled."""
        self.cancel_wish = False
        self.journalled = initial_status(definition, self.now)
        """The fold of the whole journal, computed beside the controller and checked at every event."""
        check_status(definition, self.journalled)
        self.status = self.journalled
        self.stored = ""
        self.write_status()

    # what a controller does

    def write_status(self) -> None:
        """Store the status as far as it is committed."""
        status = summarize(self.status)
        wire = shrink(status, lambda _: 10**9) if self.tight else status
        self.stored = json.dumps(wire.to_wire())

    def step(
        self, results: dict[Address, Outcome], *, answers: dict[int, Answer] | None = None, killed: str = ""
    ) -> None:
        """One round of the runner. `killed` is where the process dies: before or after the write."""
        decided = self.decided(results, answers or {})
        for start in decided.starts:
            if start.attempt == 1:
                assert not may_start(self.definition, decided.status, start.address)
        told = begin(self.definition, decided, decided.starts, self.now)
        assert reduce(partial(fold, self.definition), told.events, self.status) == told.status
        if killed == "before":
            self.restart()
            return
        for event in told.events:
            self._commit(event)
        self.status = told.status.model_copy(update={"journal_sequence": len(self.journal)})
        if killed == "after":
            self.restart()
            return
        for start in told.starts:
            self._begin(start.address)
        self.probing = [index for index in self.probing if self.status.health_checks[index].phase is Phase.RUNNING]
        self.probe()

    def decided(self, results: dict[Address, Outcome], answers: dict[int, Answer]) -> Step:
        """The step of the engine that the product takes."""
        cancel = "Execution canceled by user" if self.cancel_wish and not self.over else None
        inbox = Inbox(results, answers=answers, cancel=cancel)
        return step(self.definition, self.status, inbox, self.now, execution=("default", "e"), jitter=lambda: 0.5)

    def restart(self) -> None:
        """Another process takes over: the stored status, the journal's later events, and what is in doubt."""
        self.in_flight, self.probing = [], []
        status = DRPlanExecutionStatus.from_wire(json.loads(self.stored))
        for sequence, line in enumerate(self.journal[status.journal_sequence :], start=status.journal_sequence + 1):
            status = fold(self.definition, status, decode_event(json.loads(line)))
            status = status.model_copy(update={"journal_sequence": sequence})
        self.status = status
        check_status(self.definition, status)
        assert stored(status).to_wire() == status.to_wire()
        for address, action in running_actions(status):
            if action.next_attempt_time is None:
                self._begin(address)

    def suspend(self) -> None:
        """The outcome of a write is unknown for long: phase Unknown."""
        if self.status.phase is Phase.RUNNING:
            self._append(RunSuspended(self.now, "the API server is away"))

    def resume(self) -> None:
        """Somebody says that the run goes on."""
        if self.status.phase is Phase.UNKNOWN:
            self._append(RunResumed(self.now))

    def probe(self) -> None:
        """Begin the health checks that are due. What they are about has succeeded, and nobody has cancelled."""
        for index in due(self.definition, self.status, self.now, self.probing).checks:
            assert self.status.phase is Phase.RUNNING
            assert not cancel_requested(self.journalled)
            gated = self.definition.checks[index].stage
            about = self.status.stage_statuses if gated is None else (self.status.stage_statuses[gated],)
            for stage in about:
                assert {w.phase for w in stage.workflow_executions} <= {Phase.SUCCEEDED, Phase.SKIPPED}
            self.probing.append(index)

    # what the world does

    def answer(self, number: int, *, killed: str = "") -> None:
        """Have one of the health checks answered."""
        index = self.probing.pop(number % len(self.probing))
        healthy = self.health(index, self.status.health_checks[index].attempt + 1)
        self.step({}, answers={index: Answer(healthy, "HTTP 200" if healthy else "HTTP 503")}, killed=killed)

    def end(self, number: int, *, killed: str = "") -> None:
        """End one attempt of those in flight."""
        address = self.in_flight.pop(number % len(self.in_flight))
        self.step({address: self._outcome(address)}, killed=killed)

    def cancel(self, *, killed: str = "") -> None:
        """Somebody asks for a cancel; it stays asked for, as the annotation does."""
        self.cancel_wish = True
        self.step({}, killed=killed)

    def advance(self, seconds: float) -> None:
        """Time passes, or a new leader's clock is behind."""
        self.now += timedelta(seconds=seconds)

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self.status.phase is not None and self.status.phase.is_final

    def finish(self) -> DRPlanExecutionStatus:
        """Let everything take its course. Every run ends."""
        for _ in range(1000):
            if self.over:
                return self.status
            self.resume()
            if self.in_flight:
                self.end(0)
                continue
            self.probe()
            if self.probing:
                self.answer(0)
                continue
            decision = decide(self.definition, self.status, self.now)
            if not decision.starts:
                times = (decision.wake_at, due(self.definition, self.status, self.now).wake_at)
                wakes = [time for time in times if time is not None]
                assert wakes, "nothing runs, nothing may start, nothing is waited for"
                self.now = min(wakes)
            self.step({})
        raise AssertionError("the run does not end")

    def _append(self, event: Event) -> None:
        status = fold(self.definition, self.status, event)
        self._commit(event)
        self.status = status.model_copy(update={"journal_sequence": len(self.journal)})

    def _commit(self, event: Event) -> None:
        line = json.dumps(encode_event(event))
        assert decode_event(json.loads(line)) == event
        self.journal.append(line)
        status = fold(self.definition, self.journalled, event)
        check_status(self.definition, status)
        check_step(self.journalled, status)
        if isinstance(event, ActionStarted):
            assert not cancel_requested(self.journalled), "started after the cancel was recorded"
            assert action_at(self.journalled, event.address).phase in (Phase.PENDING, Phase.RUNNING)
        if isinstance(event, ActionFinished):
            self.finished.add(event.address)
        if isinstance(event, CheckAnswered):
            self.answers.append(event)
        self.journalled = status

    def _begin(self, address: Address) -> None:
        """Have an effect: only what is journalled as started, and never again what is journalled as done."""
        action = action_at(self.journalled, address)
        assert action.phase is Phase.RUNNING, f"effect of {action.name}, which is {action.phase} in the journal"
        assert action.attempt >= 1
        assert self.definition.action(address).step is not None
        assert address not in self.finished, f"{action.name} runs again"
        self.effects.append((address, action.attempt))
        self.in_flight.append(address)

    def _outcome(self, address: Address) -> Outcome:
        attempt = action_at(self.status, address).attempt
        match self.behaviour(address, attempt):
            case "ok":
                return Succeeded("done")
            case "broken":
                return Failed("broke")
            case "nothing" if self.definition.operation is Operation.REVERT:
                return NothingToDo("No automatic rollback for Patch operation")
            case "nothing":
                return Succeeded("done")
            case _:
                return Failed("timed out", retryable=True)
