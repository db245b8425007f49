"""May an execution that has not run begin? Each answer, in the order in which it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.models.execution import DRPlanExecution
from app.models.failures import FailureReason
from app.models.meta import ObjectMeta
from app.models.phases import Phase
from app.models.plan import DRPlan
from app.models.suspension import Reason
from controller.executions import DELETED
from controller.plans.lock import by_lock
from controller.start.may_begin import Rival, by_history, by_itself, by_plan, by_rival, called_off
from controller.verdict import Again, End, Go, Wait

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
PATIENT = 1800.0
DR = "dr.bkbcs.tencent.com"


def execution(*, created: timedelta = timedelta(), deleted: bool = False, **annotations: str) -> DRPlanExecution:
    stamp = f"{NOW - created:%Y-%m-%dT%H:%M:%SZ}"
    metadata: dict[str, Any] = {"name": "e", "namespace": "ns", "uid": "u", "creationTimestamp": stamp}
    metadata["annotations"] = {f"{DR}/{name.replace('_', '-')}": value for name, value in annotations.items()}
    if deleted:
        metadata["deletionTimestamp"] = stamp
    return DRPlanExecution.from_wire({"metadata": metadata, "spec": {"planRef": "p", "operationType": "Execute"}})


def plan(phase: str = "Ready", *, observed: int = 3, **status: object) -> DRPlan:
    return DRPlan.from_wire(
        {
            "metadata": {"name": "p", "namespace": "ns", "uid": "plan", "generation": 3},
            "spec": {"stages": [{"name": "s", "workflows": [{"workflowRef": {"name": "w"}}]}]},
            "status": {"phase": phase, "observedGeneration": observed, **status},
        }
    )


def test_one_that_is_deleted_ends_cancelled() -> None:
    assert by_itself(execution(deleted=True), NOW, PATIENT) == End(Phase.CANCELLED, DELETED)
    assert called_off(execution(deleted=True)) == End(Phase.CANCELLED, DELETED)


@pytest.mark.parametrize("word", ["true", "yes", "True"])
def test_one_that_is_cancelled_is_let_in_to_be_recorded_so(word: str) -> None:
    old = execution(created=timedelta(days=9), cancel=word)
    assert by_itself(old, NOW, PATIENT) == Go()
    assert called_off(old) == End(Phase.CANCELLED, "Execution canceled by user")
    assert called_off(execution()) is None


@pytest.mark.parametrize(
    ("age", "goes"), [(-3600, True), (0, True), (1800, True), (1801, False), (86_400, False)], ids=str
)
def test_one_from_long_ago_waits_for_a_human(age: int, goes: bool) -> None:
    told = by_itself(execution(created=timedelta(seconds=age)), NOW, PATIENT)
    assert isinstance(told, Go) is goes
    if isinstance(told, Wait):
        assert (told.reason, told.seconds) == (Reason.CREATED_LONG_AGO, None)
        assert f'{DR}/resume: "true"' in told.message
    assert by_itself(execution(created=timedelta(seconds=age), resume="true"), NOW, PATIENT) == Go()
    assert by_itself(execution(created=timedelta(seconds=age), start_restored="true"), NOW, PATIENT) == Go()


BUSY = End(Phase.FAILED, "plan p already has a running execution: ns/f", FailureReason.PLAN_BUSY)


def not_ready(message: str) -> End:
    return End(Phase.FAILED, message, FailureReason.PLAN_NOT_READY)


@pytest.mark.parametrize(
    ("found", "unreadable", "patience", "expected"),
    [
        (None, "DRPlan ns/p cannot be read: x", 60.0, not_ready("DRPlan ns/p cannot be read: x")),
        (None, "", 60.0, not_ready(f'plan not found: drplans.{DR} "p" not found')),
        (plan("Invalid"), "", 60.0, not_ready("plan p is not ready (phase=Invalid)")),
        (plan(observed=2), "", 60.0, Wait("Waiting until plan p has been validated", 2.0)),
        (plan(observed=2), "", 0.5, Wait("Waiting until plan p has been validated", 0.5)),
        (plan(), "", 0.0, Go()),
    ],
    ids=["unreadable", "missing", "invalid", "not validated", "nearly out of patience", "ready"],
)
def test_what_its_plan_says(found: DRPlan | None, unreadable: str, patience: float, expected: object) -> None:
    assert by_plan(execution(), found, unreadable, patience) == expected


def test_patience_with_a_plan_that_nobody_validates_ends() -> None:
    told = by_plan(execution(), plan(observed=2), "", -0.1)
    assert isinstance(told, End)
    assert "was not validated within 60 s" in told.message


def test_an_execution_that_the_history_has_ended_does_not_run_again() -> None:
    record = {"name": "e", "namespace": "ns", "uid": "u", "operationType": "Execute", "phase": "Succeeded"}
    told = by_history(execution(), plan(executionHistory=[record]))
    assert isinstance(told, End)
    assert "ended Succeeded" in told.message
    assert by_history(execution(), plan(executionHistory=[{**record, "uid": "another"}])) == Go()
    assert by_history(execution(), plan(executionHistory=[{**record, "phase": "Running"}])) == Go()


def test_a_rival_refuses_and_one_that_is_being_completed_is_waited_for() -> None:
    assert by_rival(execution(), None) == Go()
    assert by_rival(execution(), Rival("f")) == BUSY
    assert isinstance(by_rival(execution(), Rival("f", is_completing=True)), Again)


def test_whose_the_lock_is() -> None:
    held = {"name": "f", "namespace": "ns", "uid": "other", "operationType": "Execute"}
    other = ObjectMeta.from_wire({"name": "f", "namespace": "ns", "uid": "other"})
    own = ObjectMeta.from_wire({"name": "e", "namespace": "ns", "uid": "u"})
    assert by_lock(plan(currentExecution=held).status, execution()) == BUSY
    assert by_lock(plan(currentExecution={**held, "uid": "u"}).status, execution(), [own]) == Go()
    assert by_lock(plan().status, execution()) == Go()
    assert by_lock(plan().status, execution(), [other]) == Again("execution f is not taken up yet")
