"""A plan's lock and history under runs that begin, end, end again and come back from the dead (decision D7)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.engine.history import PlanRun, completed, ended_before_lock, holds_lock, with_lock, without_stale_lock
from app.models.phases import Operation, Phase, PlanPhase
from app.models.plan import HISTORY_LIMIT, DRPlanStatus
from tests.property.tries import tries
from tests.unit.engine.runs import START, after

NAMES = st.sampled_from(["failover", "drill", "back"])
ENDS = st.sampled_from([Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])


class PlanMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.plan = DRPlanStatus(phase=PlanPhase.READY)
        self.ended: list[PlanRun] = []
        self.running: PlanRun | None = None
        self.count = 0
        self.last_good: PlanRun | None = None

    def new(self, name: str, operation: Operation) -> PlanRun:
        self.count += 1
        return PlanRun(
            name=name,
            namespace="ns",
            uid=f"u{self.count}",
            operation=operation,
            phase=Phase.RUNNING,
            start_time=after(self.count),
            completion_time=None,
        )

    def check_idempotent(self, run: PlanRun) -> None:
        assert completed(self.plan, run) is self.plan

    @precondition(lambda self: self.running is None)
    @rule(name=NAMES, operation=st.sampled_from(Operation))
    def a_run_takes_the_lock(self, name: str, operation: Operation) -> None:
        self.running = self.new(name, operation)
        self.plan = with_lock(self.plan, self.running)
        assert with_lock(self.plan, self.running) == self.plan
        assert self.plan.execution_history[0].uid == self.running.uid

    @precondition(lambda self: self.running is not None)
    @rule(phase=ENDS)
    def it_ends(self, phase: Phase) -> None:
        assert self.running is not None
        run = replace(self.running, phase=phase, completion_time=after(self.count + 1))
        before = self.plan
        self.plan = completed(self.plan, run)
        self.check_idempotent(run)
        if phase is Phase.SUCCEEDED:
            self.last_good = run
        else:
            assert self.plan.phase is before.phase
            assert self.plan.last_execution_ref == before.last_execution_ref
        self.running = None
        self.ended.append(run)
        assert [r.phase for r in self.plan.execution_history if r.uid == run.uid] == [phase]

    @precondition(lambda self: self.running is not None)
    @rule()
    def it_is_removed_by_force(self) -> None:
        self.plan = without_stale_lock(self.plan, after(60))
        assert without_stale_lock(self.plan, after(60)) is self.plan
        self.running = None

    @rule(name=NAMES, phase=st.sampled_from([Phase.FAILED, Phase.CANCELLED]))
    def another_is_refused(self, name: str, phase: Phase) -> None:
        run = replace(self.new(name, Operation.EXECUTE), phase=phase, completion_time=START)
        self.plan = ended_before_lock(self.plan, run)
        assert ended_before_lock(self.plan, run) == self.plan
        self.check_idempotent(run)
        self.ended.append(run)

    @precondition(lambda self: self.ended)
    @rule(number=st.integers(0, 100))
    def an_old_execution_is_looked_at_again(self, number: int) -> None:
        self.check_idempotent(self.ended[number % len(self.ended)])

    @invariant()
    def the_lock_is_the_running_ones(self) -> None:
        assert (self.plan.current_execution is not None) == (self.running is not None)
        if self.running is not None:
            assert holds_lock(self.plan, self.running.uid)

    @invariant()
    def the_history_is_ten_distinct_runs_that_are_over(self) -> None:
        history = self.plan.execution_history
        uids = [record.uid for record in history]
        assert len(history) <= HISTORY_LIMIT
        assert len(set(uids)) == len(uids)
        under_way = [record.uid for record in history if not Phase(record.phase).is_final]
        assert under_way in ([], [self.running.uid] if self.running else [])

    @invariant()
    def the_reference_is_to_the_last_success(self) -> None:
        name = self.last_good.name if self.last_good else ""
        assert self.plan.last_execution_ref == name
        if self.last_good is not None:
            executed = self.last_good.operation is Operation.EXECUTE
            assert self.plan.phase is (PlanPhase.EXECUTED if executed else PlanPhase.READY)

    @invariant()
    def a_stored_status_is_the_same_plan(self) -> None:
        wire = self.plan.to_wire()
        assert DRPlanStatus.from_wire(wire).to_wire() == wire


TestPlanMachine = PlanMachine.TestCase
TestPlanMachine.settings = tries(60, steps=40)
