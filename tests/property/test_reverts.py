"""Properties of Reverts: nothing is forgotten, nothing is done twice (decisions R2, R4, R6, R7)."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from app.engine.build import execute_definition
from app.engine.definition import Address, RollBack, RunDefinition
from app.engine.revert import mark_reverted, revert_definition, target_problem
from app.models.base import rfc3339
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.revert_options import RevertFailurePolicy, RevertOptions
from app.models.snapshot import Snapshot
from tests.property.legal import stored
from tests.property.plans import snapshots
from tests.property.tries import tries
from tests.property.world import World
from tests.unit.engine.runs import actions, revert_of

FATES = st.lists(st.sampled_from(["ok", "ok", "ok", "broken", "flaky", "nothing"]), min_size=1, max_size=8)
ORDERS = st.lists(st.integers(0, 20), max_size=20)
OPTIONS = st.sampled_from([None, *(RevertOptions(failure_policy=policy) for policy in RevertFailurePolicy)])


def run(definition: RunDefinition, fates: list[str], order: list[int], *, kills: bool = False) -> World:
    world = World(definition, lambda address, attempt: fates[(sum(address) * 5 + attempt) % len(fates)])
    world.step({})
    for number in order:
        if world.in_flight and not world.over:
            world.end(number, killed=("", "before", "after")[number % 3] if kills else "")
    world.finish()
    return world


def everything(status: DRPlanExecutionStatus) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """All that is listed, in an order of its own."""
    return sorted(
        (s.name, sorted((w.workflow_ref.key, sorted(a.name for a in w.action_statuses)) for w in s.workflow_executions))
        for s in status.stage_statuses
    )


def is_reverse_of_the_work(definition: RunDefinition, world: World, executed: RunDefinition) -> bool:
    """Tell whether nothing is taken back before what depended on it, or before what began later."""
    of_target = [
        step.target_address
        for stage in definition.stages
        for workflow in stage.workflows
        for node in workflow.actions
        if isinstance(step := node.step, RollBack)
    ]
    taken_back = {address: position for position, address in enumerate(of_target)}
    for address in of_target:
        earlier = executed.workflow(address).actions[address.action].after
        for other in (Address(address.stage, address.workflow, index) for index in earlier):
            if taken_back.get(other, len(of_target)) < taken_back[address]:
                return False
        for need in executed.stages[address.stage].needs:
            if any(other.stage == need and position < taken_back[address] for other, position in taken_back.items()):
                return False
    started = {address: action.start_time for address, action in actions(world.status)}
    for one, two in itertools.combinations(of_target, 2):
        same_place = (one.stage, one.workflow) == (two.stage, two.workflow)
        if same_place and rfc3339(started[one]) < rfc3339(started[two]):
            return False
    return True


@tries(30)
@given(snapshot=snapshots(), fates=FATES, back=FATES, order=ORDERS, options=OPTIONS)
def test_everything_is_listed_in_the_reverse_of_the_work_and_only_what_succeeded_is_taken_back(
    snapshot: Snapshot, fates: list[str], back: list[str], order: list[int], options: RevertOptions | None
) -> None:
    executed = run(execute_definition(snapshot), fates, order)
    target = stored(executed.status)
    definition = revert_definition(revert_of(snapshot, target, options=options))
    world = run(definition, back, order, kills=True)
    status = world.status
    assert everything(status) == everything(target)
    assert is_reverse_of_the_work(definition, executed, execute_definition(snapshot))
    originals = {action.name: action for _, action in actions(target)}
    for address, action in actions(status):
        original = originals[action.name]
        if original.phase is not Phase.SUCCEEDED:
            assert action.phase is Phase.SKIPPED
            assert not action.attempt
        step = definition.action(address).step
        if isinstance(step, RollBack):
            of_target = dict(actions(target))[step.target_address]
            assert of_target.name == action.name
    begun = [address for address, attempt in world.effects if attempt == 1]
    assert begun == sorted(begun), "the work is not done in the order of the lists"
    failed = any(action.phase is Phase.FAILED for _, action in actions(status))
    assert status.phase is (Phase.FAILED if failed else Phase.SUCCEEDED)
    if failed and not (options and options.failure_policy is RevertFailurePolicy.CONTINUE):
        broken = next(address for address, action in actions(status) if action.phase is Phase.FAILED)
        assert all(not action.attempt for address, action in actions(status) if address > broken)


@tries(30)
@given(snapshot=snapshots(), fates=FATES, back=FATES, order=ORDERS, options=OPTIONS)
def test_a_further_revert_does_what_is_left_and_nothing_twice(
    snapshot: Snapshot, fates: list[str], back: list[str], order: list[int], options: RevertOptions | None
) -> None:
    target = stored(run(execute_definition(snapshot), fates, order).status)
    done: set[Address] = set()
    for number in range(1, 40):
        if target_problem("Execute", target, same_plan=True, target="ns/run-1"):
            break
        name = f"revert-{number}"
        definition = revert_definition(revert_of(snapshot, target, options=options, name=name))
        behaviour = back if number < 3 else ["ok"]
        world = run(definition, behaviour, order, kills=True)
        for address, action in actions(world.status):
            step = definition.action(address).step
            if action.phase is Phase.SUCCEEDED:
                assert isinstance(step, RollBack)
                assert step.target_address not in done, "taken back twice"
                done.add(step.target_address)
        marked = mark_reverted(target, definition, world.status, name)
        assert mark_reverted(marked, definition, world.status, name) == marked
        assert {address for address, action in actions(marked) if action.rolled_back_by} == done
        assert bool(marked.reverted_by) == (world.status.phase is Phase.SUCCEEDED)
        target = stored(marked)
    assert target.reverted_by, "the third Revert meets no failure"
    assert f"was already reverted by {target.reverted_by}" in target_problem(
        "Execute", target, same_plan=True, target="ns/run-1"
    )
    again = revert_definition(revert_of(snapshot, target))
    for address, _ in actions(target):
        if address in done:
            mirrored = next(
                node
                for stage in again.stages
                for workflow in stage.workflows
                for node in workflow.actions
                if node.name == dict(actions(target))[address].name
            )
            assert mirrored.step is None
            assert mirrored.skip.startswith("already rolled back by revert-")
