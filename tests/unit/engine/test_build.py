"""From the snapshot of an Execute to its definition."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.engine.build import action_order, execute_definition, retry_of, stage_policy, timeout_of
from app.engine.definition import Address, Forward
from app.engine.retry import RetryPolicy as Retries
from app.models.actions import ActionBody, ActionType, RetryPolicy
from app.models.phases import Operation, PlanPolicy, StagePolicy, WorkflowPolicy
from app.models.snapshot import Snapshot
from tests.unit.engine.runs import flow, http, snapshot_of, stage


def test_a_plan_becomes_a_definition() -> None:
    snapshot = snapshot_of(
        stage("one", flow(http("a", timeout="90s", retry=RetryPolicy(limit=1)), policy=WorkflowPolicy.CONTINUE)),
        stage("two", flow("b"), flow("c"), parallel=True, depends_on=("one",), policy=StagePolicy.FAIL_FAST),
        policy=PlanPolicy.CONTINUE,
        at_once=4,
    )
    definition = execute_definition(snapshot)
    assert (definition.operation, definition.plan_name, definition.mode) == (Operation.EXECUTE, "plan", "install")
    assert (definition.policy, definition.max_parallel_stages, definition.note) == (PlanPolicy.CONTINUE, 4, "")
    one, two = definition.stages
    assert (one.name, one.policy, one.parallel, one.needs, one.snapshot_index) == (
        "one",
        StagePolicy.CONTINUE,
        False,
        (),
        0,
    )
    assert (two.policy, two.parallel, two.depends_on, two.needs, two.snapshot_index) == (
        StagePolicy.FAIL_FAST,
        True,
        ("one",),
        (0,),
        1,
    )
    assert [(w.key, w.snapshot_index) for w in two.workflows] == [("ns/two-0", 0), ("ns/two-1", 1)]
    assert definition.workflow(Address(0, 0, 0)).policy is WorkflowPolicy.CONTINUE
    action = definition.action(Address(0, 0, 0))
    assert (action.name, action.type, action.timeout, action.retry.limit) == ("a", "HTTP", timedelta(seconds=90), 1)
    assert isinstance(action.step, Forward)
    assert action.step.type is ActionType.HTTP


def test_one_stage_at_a_time_is_the_default() -> None:
    assert execute_definition(snapshot_of(stage("one", flow("a")))).max_parallel_stages == 1


def test_a_definition_survives_the_storing_of_its_snapshot() -> None:
    snapshot = snapshot_of(
        stage("one", flow("a", http("b", "a", when='mode == "install"'))), stage("two", flow("c"), depends_on=("one",))
    )
    assert execute_definition(Snapshot.load(snapshot.dump())) == execute_definition(snapshot)


@pytest.mark.parametrize(
    ("own", "plan", "expected"),
    [
        (None, PlanPolicy.STOP, StagePolicy.STOP),
        (None, PlanPolicy.CONTINUE, StagePolicy.CONTINUE),
        (StagePolicy.STOP, PlanPolicy.CONTINUE, StagePolicy.STOP),
        (StagePolicy.CONTINUE, PlanPolicy.STOP, StagePolicy.CONTINUE),
        (StagePolicy.FAIL_FAST, PlanPolicy.STOP, StagePolicy.FAIL_FAST),
        (StagePolicy.FAIL_FAST, PlanPolicy.CONTINUE, StagePolicy.FAIL_FAST),
    ],
)
def test_a_stages_own_policy_wins(own: StagePolicy | None, plan: PlanPolicy, expected: StagePolicy) -> None:
    spec = snapshot_of(stage("one", flow("a"), policy=own), policy=plan).plan_spec
    assert stage_policy(spec.stages[0], plan) is expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 300), ("", 300), ("90s", 90), ("1h", 3600), ("soon", 300), ("0s", 300), ("-5s", 300)],
)
def test_time_outs(text: str | None, seconds: float) -> None:
    """What a stored object may have, and what had no effect in the Go operator, counts as the default."""
    assert timeout_of(ActionBody(timeout=text)).total_seconds() == seconds


def test_retry_policies_that_cannot_be_read_count_as_the_default() -> None:
    assert retry_of(ActionBody(retry_policy=RetryPolicy(limit=1, interval="often"))) == Retries()
    assert retry_of(ActionBody(retry_policy=RetryPolicy(limit=0, interval="1s"))).limit == 0
    assert retry_of(ActionBody()) == Retries()


def test_without_dependencies_each_action_waits_for_the_one_before_and_needs_none() -> None:
    assert action_order((http("a"), http("b"), http("c"))) == [((), ()), ((0,), ()), ((1,), ())]


def test_with_any_dependency_each_action_waits_for_and_needs_its_own() -> None:
    assert action_order((http("a"), http("b"), http("c", "b", "a"))) == [((), ()), ((), ()), ((1, 0), (1, 0))]


def test_dependencies_may_point_forward_and_are_trimmed_and_counted_once() -> None:
    assert action_order((http("a", " b", "b "), http("b"))) == [((1,), (1,)), ((), ())]


def test_a_dependency_that_does_not_exist_is_left_to_admission() -> None:
    assert action_order((http("a", "nobody"), http("b"))) == [((), ()), ((), ())]


@pytest.mark.parametrize(
    ("when", "assumed", "noted"),
    [('mode == "install"', True, True), ('mode == "install"', False, False), ("", True, False)],
)
def test_an_assumed_mode_is_noted_where_it_matters(when: str, assumed: bool, noted: bool) -> None:
    snapshot = snapshot_of(stage("one", flow(http("a", when=when))), mode_assumed=assumed)
    note = "No spec.mode given: mode install was assumed"
    assert execute_definition(snapshot).note == (note if noted else "")
