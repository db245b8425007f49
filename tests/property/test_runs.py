"""Properties of whole runs: how they end, and that it does not matter where they were interrupted."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from app.engine.build import execute_definition
from app.engine.conditions import cancel_requested
from app.engine.decide import decide
from app.engine.definition import Address
from app.engine.events import ActionStarted, decode
from app.engine.fold import fold, fold_all, initial_status
from app.engine.kube_events import changes
from app.engine.shrink import minimal, shrink
from app.engine.tree import running_actions
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from tests.property.legal import shape, stored
from tests.property.plans import WHENS, snapshots
from tests.property.tries import tries
from tests.property.world import Behaviour, World
from tests.unit.engine.runs import START, actions, nodes

OUTCOMES = ("ok", "ok", "broken", "flaky")
ORDERS = st.lists(st.integers(0, 20), max_size=40)


def always_ok(address: Address, attempt: int) -> str:
    return "ok"


def behaviours(fates: list[str]) -> Behaviour:
    return lambda address, attempt: fates[(sum(address) * 13 + address.action + attempt) % len(fates)]


def played(world: World, order: list[int]) -> DRPlanExecutionStatus:
    world.step({})
    for number in order:
        if world.in_flight:
            world.end(number)
    return world.finish()


@tries(40)
@given(snapshot=snapshots(WHENS[:-1]), order=ORDERS)
def test_without_failure_and_cancel_everything_runs_that_its_condition_lets_run(
    snapshot: Snapshot, order: list[int]
) -> None:
    status = played(World(execute_definition(snapshot), always_ok), order)
    assert status.phase is Phase.SUCCEEDED
    assert all(stage.phase is Phase.SUCCEEDED for stage in status.stage_statuses)
    for _, action in actions(status):
        skipped = action.phase is Phase.SKIPPED and action.message.startswith("when not matched: mode=install")
        assert action.phase is Phase.SUCCEEDED or skipped
        assert action.attempt == (0 if skipped else 1)


@tries(40)
@given(snapshot=snapshots(), fates=st.lists(st.sampled_from(OUTCOMES), min_size=1), order=ORDERS)
def test_every_attempt_is_made_once_and_within_its_policy(
    snapshot: Snapshot, fates: list[str], order: list[int]
) -> None:
    definition = execute_definition(snapshot)
    world = World(definition, behaviours(fates))
    status = played(world, order)
    assert len(world.effects) == len(set(world.effects)), "an attempt was made twice without a crash"
    for address, action in actions(status):
        assert action.attempt <= definition.action(address).retry.limit + 1
        assert [effect for effect in world.effects if effect[0] == address] == [
            (address, number) for number in range(1, action.attempt + 1)
        ]
    failed = any(action.phase is Phase.FAILED for _, action in actions(status))
    assert status.phase is (Phase.FAILED if failed else Phase.SUCCEEDED)


@tries(40)
@given(
    snapshot=snapshots(),
    fates=st.lists(st.sampled_from(OUTCOMES), min_size=1),
    order=ORDERS,
    cut=st.floats(0, 1),
    tight=st.booleans(),
    cancel_after=st.none() | st.integers(0, 10),
)
def test_a_run_replayed_from_any_stored_status_is_the_run_that_was_never_interrupted(
    snapshot: Snapshot, fates: list[str], order: list[int], cut: float, tight: bool, cancel_after: int | None
) -> None:
    definition = execute_definition(snapshot)
    world = World(definition, behaviours(fates))
    if cancel_after is None:
        end = played(world, order)
    else:
        world.step({})
        for number in order[:cancel_after]:
            if world.in_flight:
                world.end(number)
        if not world.over:
            world.cancel()
        end = world.finish()
    events = [decode(json.loads(line)) for line in world.journal]
    kept = int(cut * len(events))
    status = initial_status(definition, START)
    for event in events[:kept]:
        status = fold(definition, status, event)
    status = stored(shrink(status, lambda _: 10**9) if tight else status)
    at_once = fold_all(definition, status, events[kept:])
    for event in events[kept:]:
        status = fold(definition, status, event)
    assert shape(status) == shape(end)
    assert at_once == status


@tries(40)
@given(snapshot=snapshots(), fates=st.lists(st.sampled_from(OUTCOMES), min_size=1), order=ORDERS)
def test_a_minimal_status_can_be_taken_up_again(snapshot: Snapshot, fates: list[str], order: list[int]) -> None:
    world = World(execute_definition(snapshot), behaviours(fates))
    world.step({})
    for number in order:
        if world.in_flight:
            world.end(number)
    world.stored = json.dumps(minimal(world.status).to_wire())
    before = shape(world.status)
    world.restart()
    assert shape(world.status) == before
    world.finish()


@tries(40)
@given(snapshot=snapshots(), fates=st.lists(st.sampled_from(OUTCOMES), min_size=1), order=ORDERS)
def test_a_cancel_starts_nothing_and_names_itself(snapshot: Snapshot, fates: list[str], order: list[int]) -> None:
    definition = execute_definition(snapshot)
    world = World(definition, behaviours(fates))
    world.step({})
    for number in order:
        if world.in_flight:
            world.end(number)
    if world.over:
        return
    ended = {address for address, action in actions(world.status) if action.phase.is_final}
    running = {address for address, _ in running_actions(world.status)}
    begun = len(world.effects)
    world.cancel()
    assert cancel_requested(world.status)
    assert not decide(definition, world.status, world.now).starts
    status = world.finish()
    assert len(world.effects) == begun
    assert status.phase is Phase.CANCELLED
    for address, action in actions(status):
        if address in ended or address in running:
            continue
        assert action.phase is Phase.SKIPPED
        assert "Canceled by user" in action.message


@tries(40)
@given(snapshot=snapshots(), fates=st.lists(st.sampled_from(OUTCOMES), min_size=1), order=ORDERS)
def test_events_tell_of_every_start_end_and_retry(snapshot: Snapshot, fates: list[str], order: list[int]) -> None:
    definition = execute_definition(snapshot)
    world = World(definition, behaviours(fates))
    end = played(world, order)
    status, reasons = initial_status(definition, START), []
    first = status
    for line in world.journal:
        following = fold(definition, status, decode(json.loads(line)))
        reasons += [note.reason for note in changes(definition, status, following)]
        status = following
    starts = [
        event for event in (decode(json.loads(line)) for line in world.journal) if isinstance(event, ActionStarted)
    ]
    assert reasons.count("ActionStarted") == sum(event.attempt == 1 for event in starts)
    assert reasons.count("ActionRetrying") == sum(event.attempt > 1 for event in starts)
    was = {id(old): old.phase for old in nodes(first)}
    assert len(was) == len(list(nodes(end)))
    for reason, phase in (("ActionSucceeded", Phase.SUCCEEDED), ("ActionFailed", Phase.FAILED)):
        ended = sum(action.phase is phase for _, action in actions(end))
        known_before = sum(action.phase is phase for _, action in actions(first))
        assert reasons.count(reason) == ended - known_before
    assert reasons.count("StageStarted") == sum(
        new.phase is not Phase.SKIPPED and old.phase is Phase.PENDING
        for old, new in zip(first.stage_statuses, end.stage_statuses, strict=True)
    )
    if not (first.phase and first.phase.is_final):
        assert reasons[-1] == ("ExecutionSucceeded" if end.phase is Phase.SUCCEEDED else "ExecutionFailed")
