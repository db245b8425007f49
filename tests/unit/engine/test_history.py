"""The plan's lock and its history (decisions D7 and D8; acceptance H1 to H5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.engine.history import (
    PlanRun,
    completed,
    ended_before_lock,
    holds_lock,
    last_successful_operation,
    valid_phase,
    with_lock,
    without_stale_lock,
)
from app.models.execution import DRPlanExecution
from app.models.phases import Operation, Phase, PlanPhase
from app.models.plan import CurrentExecution, DRPlanStatus, ExecutionRecord
from tests.unit.engine.runs import START, after

READY = DRPlanStatus(phase=PlanPhase.READY, observed_generation=1)


def execute(number: int = 1, **changes: Any) -> PlanRun:
    run = PlanRun(
        name=f"execute-{number}",
        namespace="ns",
        uid=f"u-e{number}",
        operation=Operation.EXECUTE,
        phase=Phase.RUNNING,
        start_time=START,
        completion_time=None,
    )
    return replace(run, **changes)


def revert(number: int = 1, **changes: Any) -> PlanRun:
    target = {"target_name": f"execute-{number}", "target_uid": f"u-e{number}"}
    run = execute(number, name=f"revert-{number}", uid=f"u-r{number}", operation=Operation.REVERT, **target)
    return replace(run, **changes)


def ended(run: PlanRun, phase: Phase = Phase.SUCCEEDED, seconds: float = 60) -> PlanRun:
    return replace(run, phase=phase, completion_time=after(seconds), message=f"it {phase}")


def done(plan: DRPlanStatus, run: PlanRun, phase: Phase = Phase.SUCCEEDED) -> DRPlanStatus:
    return completed(with_lock(plan, run), ended(run, phase))


def records(plan: DRPlanStatus) -> list[tuple[str, str, str]]:
    return [(record.name, record.operation_type, record.phase) for record in plan.execution_history]


def test_a_run_takes_the_lock_and_gets_its_record_on_top() -> None:
    plan = with_lock(done(READY, execute(1)), execute(2))
    assert plan.current_execution == CurrentExecution(name="execute-2", namespace="ns", uid="u-e2")
    assert holds_lock(plan, "u-e2")
    assert not holds_lock(plan, "u-e1")
    assert records(plan) == [("execute-2", "Execute", "Running"), ("execute-1", "Execute", "Succeeded")]
    assert plan.execution_history[0].start_time == START
    assert plan.phase is PlanPhase.EXECUTED, "a start changes no phase"


def test_taking_the_lock_twice_is_taking_it_once() -> None:
    plan = with_lock(READY, execute())
    assert with_lock(plan, execute()) == plan


def test_h1_two_failovers_and_their_way_back() -> None:
    plan = READY
    for number in (1, 2):
        plan = done(plan, execute(number))
        assert plan.phase is PlanPhase.EXECUTED
        plan = done(plan, revert(number))
        assert plan.phase is PlanPhase.READY
    assert plan.last_execution_ref == "revert-2"
    assert plan.last_execution_time == after(60)
    assert plan.current_execution is None
    assert records(plan) == [
        ("revert-2", "Revert", "Succeeded"),
        ("execute-2", "Execute", "Succeeded"),
        ("revert-1", "Revert", "Succeeded"),
        ("execute-1", "Execute", "Succeeded"),
    ]
    assert [record.reverted_by for record in plan.execution_history] == ["", "revert-2", "", "revert-1"]


@pytest.mark.parametrize("operation", [Operation.EXECUTE, Operation.REVERT])
def test_d8_the_last_success_counts_also_when_the_history_no_longer_has_it(operation: Operation) -> None:
    plan = done(READY, execute(0))
    if operation is Operation.REVERT:
        plan = done(plan, revert(0))
    phase = plan.phase
    for number in range(1, 13):
        plan = done(plan, execute(number), Phase.FAILED)
    assert {record.phase for record in plan.execution_history} == {"Failed"}
    invalid = plan.model_copy(update={"phase": PlanPhase.INVALID})
    assert last_successful_operation(invalid) == operation
    assert valid_phase(invalid) is phase


def test_d8_a_success_while_the_plan_is_invalid_counts_once_it_is_valid_again() -> None:
    plan = with_lock(READY, execute()).model_copy(update={"phase": PlanPhase.INVALID})
    plan = completed(plan, ended(execute(), Phase.SUCCEEDED))
    for number in range(1, 13):
        plan = done(plan, execute(number), Phase.FAILED)
    assert (plan.phase, valid_phase(plan)) == (PlanPhase.INVALID, PlanPhase.EXECUTED)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED])
def test_h2_a_run_that_did_not_succeed_changes_neither_phase_nor_reference(phase: Phase) -> None:
    before = done(READY, execute(1))
    for run in (execute(2), revert(1)):
        plan = done(before, run, phase)
        assert (plan.phase, plan.last_execution_ref) == (PlanPhase.EXECUTED, "execute-1")
        assert plan.last_execution_time == before.last_execution_time
        assert plan.current_execution is None
        record = plan.execution_history[0]
        assert (record.phase, record.completion_time, record.message) == (phase, after(60), f"it {phase}")
        assert plan.execution_history[1].reverted_by == ""


def test_h3_a_run_that_ends_before_it_had_the_lock_gets_its_record_at_that_moment() -> None:
    busy = with_lock(READY, execute(1))
    plan = ended_before_lock(busy, ended(execute(2, start_time=None), Phase.CANCELLED))
    assert holds_lock(plan, "u-e1"), "the lock is another's"
    assert records(plan) == [("execute-2", "Execute", "Cancelled"), ("execute-1", "Execute", "Running")]
    assert plan.execution_history[0].completion_time == after(60)


def test_h3_a_deleted_running_execution_leaves_a_cancelled_record_and_a_free_lock() -> None:
    plan = done(READY, execute(1), Phase.CANCELLED)
    assert plan.current_execution is None
    assert records(plan) == [("execute-1", "Execute", "Cancelled")]


def test_h4_a_record_outlives_its_execution() -> None:
    plan = done(READY, execute(1))
    assert without_stale_lock(plan, after(60)) == plan


def test_h5_ten_records_are_kept() -> None:
    plan = READY
    for number in range(1, 12):
        plan = done(plan, execute(number))
    assert [record.name for record in plan.execution_history] == [f"execute-{number}" for number in range(11, 1, -1)]


def test_completing_twice_is_completing_once() -> None:
    for run in (execute(), revert()):
        for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED):
            plan = done(done(READY, execute(7)), run, phase)
            assert completed(plan, ended(run, phase)) is plan


def test_an_old_execution_changes_nothing() -> None:
    plan = done(done(done(READY, execute(1)), revert(1)), execute(2))
    for run in (execute(1), revert(1)):
        assert completed(plan, ended(run)) is plan
        assert completed(plan, ended(run, Phase.FAILED)) is plan


def test_an_old_execution_does_not_touch_the_lock_of_another() -> None:
    plan = with_lock(done(READY, execute(1)), execute(2))
    assert completed(plan, ended(execute(1))) is plan


def test_an_execution_whose_record_fell_off_the_history_is_not_recorded_again() -> None:
    plan = READY
    for number in range(1, 13):
        plan = done(plan, execute(number))
    assert completed(plan, ended(execute(1))) is plan


def test_the_record_of_the_running_one_comes_back_when_refused_ones_pushed_it_off() -> None:
    plan = with_lock(READY, execute(1))
    for number in range(2, 13):
        plan = ended_before_lock(plan, ended(execute(number), Phase.FAILED))
    assert "execute-1" not in [record.name for record in plan.execution_history]
    plan = completed(plan, ended(execute(1)))
    assert records(plan)[0] == ("execute-1", "Execute", "Succeeded")
    assert len(plan.execution_history) == 10


def test_the_same_name_again_is_another_run() -> None:
    first, second = execute(1), execute(1, uid="u-again")
    plan = with_lock(done(READY, first), second)
    assert records(plan) == [("execute-1", "Execute", "Running"), ("execute-1", "Execute", "Succeeded")]
    assert completed(plan, ended(first)) is plan
    plan = completed(plan, ended(second, Phase.FAILED))
    assert records(plan) == [("execute-1", "Execute", "Failed"), ("execute-1", "Execute", "Succeeded")]
    assert plan.current_execution is None


def test_a_revert_marks_the_run_it_took_back_and_not_its_namesake() -> None:
    plan = done(done(READY, execute(1)), execute(1, uid="u-again"))
    plan = done(plan, revert(1, target_uid="u-again"))
    assert [record.reverted_by for record in plan.execution_history] == ["", "revert-1", ""]


def test_a_revert_whose_target_has_no_known_uid_marks_the_newest_of_that_name() -> None:
    plan = done(done(READY, execute(1)), execute(1, uid="u-again"))
    plan = done(plan, revert(1, target_uid=""))
    assert [record.reverted_by for record in plan.execution_history] == ["", "revert-1", ""]


def test_an_invalid_plan_stays_invalid_when_a_run_ends() -> None:
    plan = with_lock(READY, execute(1)).model_copy(update={"phase": PlanPhase.INVALID})
    plan = completed(plan, ended(execute(1)))
    assert plan.phase is PlanPhase.INVALID
    assert plan.last_execution_ref == "execute-1"
    assert valid_phase(plan) is PlanPhase.EXECUTED


def test_an_end_that_was_recorded_but_never_written_gives_way_to_the_run_after_all() -> None:
    """The process died between the record of a refusal and the execution's own status; the next one could start it."""
    plan = ended_before_lock(done(READY, execute(1)), ended(execute(2), Phase.FAILED))
    plan = with_lock(plan, execute(2))
    assert records(plan) == [("execute-2", "Execute", "Running"), ("execute-1", "Execute", "Succeeded")]
    assert records(completed(plan, ended(execute(2))))[0] == ("execute-2", "Execute", "Succeeded")


def test_a_lock_whose_execution_is_gone_is_released_and_its_record_ended() -> None:
    plan = without_stale_lock(with_lock(done(READY, execute(1)), execute(2)), after(60))
    assert plan.current_execution is None
    assert records(plan) == [("execute-2", "Execute", "Cancelled"), ("execute-1", "Execute", "Succeeded")]
    assert plan.execution_history[0].message == "The execution is gone"
    assert plan.execution_history[0].completion_time == after(60), "when that was seen"


# Records and locks of the Go operator have no uid.

GO = DRPlanStatus(
    phase=PlanPhase.READY,
    current_execution=CurrentExecution(name="execute-1", namespace="ns"),
    execution_history=(
        ExecutionRecord(name="execute-1", namespace="ns", operation_type="Execute", phase="Pending", start_time=START),
        ExecutionRecord(name="execute-0", namespace="ns", operation_type="Execute", phase="Canceled", start_time=START),
    ),
)


def test_a_lock_without_uid_whose_execution_is_gone_is_released() -> None:
    plan = without_stale_lock(GO, after(60))
    assert plan.current_execution is None
    assert records(plan) == [("execute-1", "Execute", "Cancelled"), ("execute-0", "Execute", "Canceled")]


def test_a_record_without_uid_that_was_under_way_becomes_the_runs_own() -> None:
    plan = with_lock(GO, execute(1))
    assert records(plan) == [("execute-1", "Execute", "Running"), ("execute-0", "Execute", "Canceled")]
    assert plan.execution_history[0].uid == "u-e1"
    assert records(completed(plan, ended(execute(1)))) == [
        ("execute-1", "Execute", "Succeeded"),
        ("execute-0", "Execute", "Canceled"),
    ]


def test_a_record_left_unfinished_moves_to_the_top_with_a_new_run_of_its_name() -> None:
    older = GO.model_copy(update={"execution_history": GO.execution_history[::-1]})
    assert records(with_lock(older, execute(1))) == [
        ("execute-1", "Execute", "Running"),
        ("execute-0", "Execute", "Canceled"),
    ]


def test_a_finished_record_without_uid_is_another_run() -> None:
    plan = with_lock(GO.model_copy(update={"current_execution": None}), execute(0))
    assert records(plan)[0] == ("execute-0", "Execute", "Running")
    assert records(plan)[-1] == ("execute-0", "Execute", "Canceled")


def test_what_is_recorded_of_an_execution() -> None:
    execution = DRPlanExecution.from_wire(
        {
            "metadata": {"name": "r", "namespace": "ns", "uid": "u"},
            "spec": {"planRef": "p", "operationType": "Revert", "revertExecutionRef": "e"},
            "status": {
                "phase": "Failed",
                "startTime": "2026-03-01T08:00:00Z",
                "completionTime": "2026-03-01T08:01:00Z",
                "message": "m" * 1000,
            },
        }
    )
    run = PlanRun.of(execution, target_uid="u-e")
    assert (run.name, run.uid, run.phase, run.target_name, run.target_uid) == ("r", "u", Phase.FAILED, "e", "u-e")
    record = ended_before_lock(READY, run).execution_history[0]
    assert (record.start_time, record.completion_time, record.operation_type) == (START, after(60), "Revert")
    assert len(record.message.encode()) <= 256


@pytest.mark.parametrize(
    ("plan", "operation", "phase"),
    [
        (READY, "", PlanPhase.READY),
        (READY.model_copy(update={"phase": PlanPhase.EXECUTED}), "", PlanPhase.EXECUTED),
        (READY.model_copy(update={"phase": PlanPhase.INVALID}), "", PlanPhase.READY),
        (READY.model_copy(update={"phase": None}), "", PlanPhase.READY),
        (done(READY, execute(1)), "Execute", PlanPhase.EXECUTED),
        (done(done(READY, execute(1)), revert(1)), "Revert", PlanPhase.READY),
        (done(done(READY, execute(1)), revert(1), Phase.FAILED), "Execute", PlanPhase.EXECUTED),
    ],
)
def test_the_phase_of_a_valid_plan_is_that_of_its_last_successful_operation(
    plan: DRPlanStatus, operation: str, phase: PlanPhase
) -> None:
    assert last_successful_operation(plan) == operation
    assert valid_phase(plan) is phase
