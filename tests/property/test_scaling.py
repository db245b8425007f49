"""The work an event makes grows with the size of the plan and not faster, counted in calls rather than in time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from app.engine import settle as module
from app.engine.build import execute_definition
from app.engine.decide import decide
from app.engine.definition import Address
from app.engine.events import ActionFinished, ActionStarted, AttemptFailed, CancelRequested, Event
from app.engine.fold import fold, fold_all, initial_status
from app.models.execution import DRPlanExecutionStatus, StageStatus
from app.models.phases import Phase, PlanPolicy, StagePolicy, WorkflowPolicy
from app.models.snapshot import Snapshot
from tests.unit.engine.runs import START, S, W, flow, http, snapshot_of, stage

FIRST = Address(0, 0, 0)


def one_list(count: int) -> list[S]:
    return [stage("s", flow(*(f"a{n}" for n in range(count))))]


def one_graph(count: int) -> list[S]:
    first = http("a0")
    rest = (http(f"a{n}", f"a{max(0, n - 3)}") for n in range(1, count))
    return [stage("s", flow(first, *rest, policy=WorkflowPolicy.CONTINUE))]


def many_workflows(count: int, *, parallel: bool, policy: StagePolicy | None = None) -> list[S]:
    return [stage("s", *(flow(f"a{n}") for n in range(count)), parallel=parallel, policy=policy)]


def many_stages(count: int) -> list[S]:
    return [
        stage(f"s{n}", flow(f"a{n}"), depends_on=(f"s{n - 1}",) if n % 2 else (), policy=StagePolicy.CONTINUE)
        for n in range(count)
    ]


def chain(count: int, *, backwards: bool = False) -> list[S]:
    """Stages of which each waits for the one before it, or for the one behind it."""
    names = [f"s{n}" for n in range(count)]
    if backwards:
        names.reverse()
    chained = [
        stage(name, flow(f"a{name}"), depends_on=(f"s{int(name[1:]) - 1}",) if name != "s0" else ()) for name in names
    ]
    return [replace(each, policy=StagePolicy.CONTINUE) for each in chained]


SHAPES: dict[str, Callable[[int], list[S]]] = {
    "one list": one_list,
    "one graph": one_graph,
    "workflows one after another": lambda count: many_workflows(count, parallel=False),
    "workflows at the same time": lambda count: many_workflows(count, parallel=True),
    "workflows at the same time, FailFast": lambda count: many_workflows(
        count, parallel=True, policy=StagePolicy.FAIL_FAST
    ),
    "stages": many_stages,
    "a chain of stages": chain,
    "a chain of stages written backwards": lambda count: chain(count, backwards=True),
}


def calls(work: Callable[[], object]) -> int:
    """Count the Python calls that `work` makes; a comprehension's steps count through what they call."""
    count = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def half_way(snapshot: Snapshot, count: int) -> tuple[DRPlanExecutionStatus, int]:
    """A run of which the first action has ended and as many run as may."""
    definition = execute_definition(snapshot)
    status = initial_status(definition, START)
    spent = 0
    for start in decide(definition, status, START).starts[:5]:
        status = fold(definition, status, ActionStarted(START, start.address, 1))
    first = decide(definition, initial_status(definition, START), START).starts[0].address

    def an_event() -> None:
        nonlocal status
        status = fold(definition, status, ActionFinished(START, first, Phase.SUCCEEDED, "done"))
        decide(definition, status, START)

    spent = calls(an_event)
    return status, spent


@pytest.mark.parametrize("shape", SHAPES)
def test_an_event_costs_at_most_in_proportion_to_the_plan(shape: str) -> None:
    costs = [half_way(snapshot_of(*SHAPES[shape](count)), count)[1] for count in (200, 1000)]
    assert costs[1] <= costs[0] * 5.5, costs
    assert costs[1] <= 80 * 1000, "calls for one event of a plan of 1,000 actions"


@pytest.mark.parametrize("shape", SHAPES)
def test_an_end_that_concerns_everything_costs_in_proportion_to_the_plan(shape: str) -> None:
    def cost(count: int) -> int:
        definition = execute_definition(snapshot_of(*SHAPES[shape](count)))
        status = initial_status(definition, START)
        status = fold(definition, status, ActionStarted(START, decide(definition, status, START).starts[0].address, 1))
        return calls(lambda: fold(definition, status, CancelRequested(START, "stop")))

    costs = [cost(count) for count in (200, 1000)]
    assert costs[1] <= costs[0] * 5.5, costs


@pytest.mark.parametrize("shape", SHAPES)
def test_a_start_costs_in_proportion_to_the_plan(shape: str) -> None:
    definitions = [execute_definition(snapshot_of(*SHAPES[shape](count))) for count in (200, 1000)]
    costs = [calls(lambda: initial_status(definition, START)) for definition in definitions]  # noqa: B023
    assert costs[1] <= costs[0] * 5.5, costs


@pytest.mark.parametrize("shape", SHAPES)
def test_a_failure_costs_in_proportion_to_the_plan_whatever_it_keeps_back(shape: str) -> None:
    def cost(count: int) -> int:
        definition = execute_definition(snapshot_of(*SHAPES[shape](count)))
        status = initial_status(definition, START)
        first = decide(definition, status, START).starts[0].address
        status = fold(definition, status, ActionStarted(START, first, 1))
        return calls(lambda: fold(definition, status, ActionFinished(START, first, Phase.FAILED, "broke")))

    costs = [cost(count) for count in (200, 1000)]
    assert costs[1] <= costs[0] * 5.5, costs


@pytest.mark.parametrize("shape", ["one wide graph", "workflows at the same time", "wide stages"])
def test_that_everything_starts_in_one_step_costs_in_proportion_to_the_plan(shape: str) -> None:
    def cost(count: int) -> int:
        stages = {
            "one wide graph": [stage("s", flow(*(f"a{n}" for n in range(count - 1)), http("z", "a0")))],
            "workflows at the same time": many_workflows(count, parallel=True),
            "wide stages": [stage(f"s{n}", flow(f"a{n}")) for n in range(count)],
        }[shape]
        definition = execute_definition(snapshot_of(*stages, at_once=count))
        status = initial_status(definition, START)
        starts = [ActionStarted(START, start.address, 1) for start in decide(definition, status, START).starts]
        assert len(starts) >= count - 1
        return calls(lambda: fold_all(definition, status, starts))

    costs = [cost(count) for count in (100, 500)]
    assert costs[1] <= costs[0] * 5.5, costs


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("shape", ["one list", "one graph"])
def test_a_workflow_is_replayed_in_proportion_to_its_events(shape: str, failing: bool) -> None:
    """To look at all of its actions for each event took 5 s for 1,000 actions."""

    def cost(count: int) -> int:
        [only] = SHAPES[shape](count)
        policy = WorkflowPolicy.CONTINUE if failing else WorkflowPolicy.FAIL_FAST
        only = replace(only, workflows=(replace(only.workflows[0], policy=policy),))
        definition = execute_definition(snapshot_of(only))
        status = initial_status(definition, START)
        events: list[Event] = []
        for number in range(count):
            address = Address(0, 0, number)
            broke = failing and shape != "one graph" and number % 2 == 1
            phase = Phase.FAILED if broke else Phase.SUCCEEDED
            again = AttemptFailed(START, address, "busy", START)
            started = (ActionStarted(START, address, attempt) for attempt in (1, 2))
            events += [next(started), again, next(started), ActionFinished(START, address, phase, "done")]
        ended: list[DRPlanExecutionStatus] = []
        spent = calls(lambda: ended.append(fold_all(definition, status, events)))
        assert ended[0].phase is (Phase.FAILED if failing and shape != "one graph" else Phase.SUCCEEDED)
        return spent

    costs = [cost(count) for count in (200, 1000)]
    assert costs[1] <= costs[0] * 5.5, costs


def test_how_often_stages_are_settled_does_not_grow_with_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = 0
    original = module._settle_stage

    def counted(*args: Any, **named: Any) -> StageStatus:
        nonlocal settled
        settled += 1
        return original(*args, **named)

    monkeypatch.setattr(module, "_settle_stage", counted)
    most = {}
    for count in (20, 100):
        definition = execute_definition(snapshot_of(*many_stages(count), policy=PlanPolicy.CONTINUE))
        status, most[count] = initial_status(definition, START), 0.0
        while status.phase is Phase.RUNNING:
            for start in decide(definition, status, START).starts:
                phase = Phase.FAILED if start.address.stage % 4 == 0 else Phase.SUCCEEDED
                for event in (
                    ActionStarted(START, start.address, 1),
                    ActionFinished(START, start.address, phase, "done"),
                ):
                    settled = 0
                    status = fold(definition, status, event)
                    most[count] = max(most[count], settled / count)
    assert most[100] <= most[20] <= 3


def test_a_failure_at_the_head_of_a_chain_of_stages_is_drawn_in_one_event() -> None:
    chain = [
        stage(f"s{n}", W((http(f"a{n}"),)), depends_on=(f"s{n - 1}",) if n else (), policy=StagePolicy.CONTINUE)
        for n in range(300)
    ]
    definition = execute_definition(snapshot_of(*chain))
    status = fold(definition, initial_status(definition, START), ActionStarted(START, FIRST, 1))
    status = fold(definition, status, ActionFinished(START, FIRST, Phase.FAILED, "broke"))
    assert status.phase is Phase.FAILED
    assert {one.phase for one in status.stage_statuses[1:]} == {Phase.SKIPPED}
