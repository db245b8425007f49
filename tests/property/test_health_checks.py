"""Properties of health checks: what they come to, wherever a run is interrupted, and that a cancel ends them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from app.engine.build import execute_definition
from app.engine.definition import RunDefinition
from app.engine.events import CheckAnswered
from app.engine.health import due
from app.engine.revert import revert_definition
from app.models.failures import FailureReason
from app.models.health import PlanHealthChecks
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from tests.property.legal import shape
from tests.property.plans import WHENS, checked_snapshots, plan_health_checks, snapshots
from tests.property.tries import tries
from tests.property.world import World
from tests.unit.engine.runs import actions, revert_of

HEALTH = st.lists(st.sampled_from([True, True, False]), min_size=1, max_size=9)
ORDERS = st.lists(st.integers(0, 20), max_size=40)
KILLS = ("", "", "before", "after")


def played(definition: RunDefinition, health: list[bool], order: list[int], *, kills: bool = False) -> World:
    world = World(definition, lambda _, __: "ok", lambda check, attempt: health[(check * 5 + attempt) % len(health)])
    world.step({})
    for number in order:
        if world.over:
            break
        killed = KILLS[number % len(KILLS)] if kills else ""
        if world.in_flight:
            world.end(number, killed=killed)
        elif world.probing:
            world.answer(number, killed=killed)
        else:
            world.advance(1)
            world.step({}, killed=killed)
    world.finish()
    return world


def healthy_together(answers: Sequence[CheckAnswered], gate: Sequence[int]) -> float:
    """For how many seconds at the end every check of a gate was healthy, by its first and last good answer."""
    first: dict[int, datetime] = {}
    last: dict[int, datetime] = {}
    for answer in answers:
        if not answer.healthy:
            first.pop(answer.check, None)
            continue
        first.setdefault(answer.check, answer.at)
        last[answer.check] = answer.at
    assert first.keys() >= set(gate), "a check of the gate was not healthy at last"
    return (min(last[each] for each in gate) - max(first[each] for each in gate)).total_seconds()


def demand_proof(world: World) -> None:
    """Assert that every gate which was passed was so by answers, and every one that failed had no attempt left."""
    for gate in world.definition.gates.values():
        phases = {world.status.health_checks[index].phase for index in gate}
        if phases == {Phase.SUCCEEDED}:
            sustained = world.definition.checks[gate[0]].sustained_for.total_seconds()
            if sustained:
                assert healthy_together(world.answers, gate) >= sustained
            else:
                assert all(any(a.healthy and a.check == index for a in world.answers) for index in gate)
        elif Phase.FAILED in phases:
            used_up = [
                sum(not answer.healthy for answer in world.answers if answer.check == index)
                == world.definition.checks[index].attempts
                for index in gate
            ]
            assert any(used_up)


@tries(60)
@given(snapshot=checked_snapshots(WHENS[:-1]), health=HEALTH, order=ORDERS, kills=st.booleans())
def test_a_run_succeeds_just_when_everything_was_seen_to_be_healthy(
    snapshot: Snapshot, health: list[bool], order: list[int], kills: bool
) -> None:
    world = played(execute_definition(snapshot), health, order, kills=kills)
    failed = [check for check in world.status.health_checks if check.phase is Phase.FAILED]
    assert world.status.phase is (Phase.FAILED if failed else Phase.SUCCEEDED)
    demand_proof(world)
    condition = next(each for each in world.status.conditions if each.type == "Failed")
    if failed:
        assert condition.reason == FailureReason.HEALTH_CHECK_FAILED
        assert any(check.message in world.status.message for check in failed) or (
            world.status.message == "One or more stages failed"
        )


@tries(60)
@given(snapshot=snapshots(), checks=plan_health_checks(), health=HEALTH, order=ORDERS, kills=st.booleans())
def test_a_revert_ends_by_its_checks_and_can_be_checked_again(
    snapshot: Snapshot, checks: PlanHealthChecks, health: list[bool], order: list[int], kills: bool
) -> None:
    done = World(execute_definition(snapshot), lambda _, __: "ok")
    done.step({})
    target = done.finish()
    reverting = revert_of(snapshot, target).model_copy(update={"health_check": checks})
    world = played(revert_definition(reverting), health, order, kills=kills)
    demand_proof(world)
    condition = next(each for each in world.status.conditions if each.type == "Failed")
    if world.status.phase is Phase.FAILED:
        assert condition.reason == FailureReason.ROLLBACK_HEALTH_CHECK_FAILED
        assert all(action.phase is not Phase.FAILED for _, action in actions(world.status))
    else:
        assert world.status.phase is Phase.SUCCEEDED
        assert "; verified by " in world.status.message


@tries(60)
@given(snapshot=checked_snapshots(), health=HEALTH, order=ORDERS, cut=st.integers(0, 40), killed=st.sampled_from(KILLS))
def test_a_cancel_ends_every_check(
    snapshot: Snapshot, health: list[bool], order: list[int], cut: int, killed: str
) -> None:
    definition = execute_definition(snapshot)
    world = World(definition, lambda _, __: "ok", lambda check, attempt: health[(check + attempt) % len(health)])
    world.step({})
    for number in (*order, *range(cut))[:cut]:
        if world.over:
            return
        if world.in_flight:
            world.end(number)
        elif world.probing:
            world.answer(number)
        else:
            world.advance(3)
            world.step({})
    if world.over:
        return
    world.cancel(killed=killed)
    if killed == "before":
        world.step({})
    answered = len(world.answers)
    assert not due(definition, world.status, world.now).checks
    status = world.finish()
    assert len(world.answers) == answered
    assert status.phase is Phase.CANCELLED
    assert all(check.phase.is_final for check in status.health_checks)
    assert shape(status) == shape(world.journalled)
