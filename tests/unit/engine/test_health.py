"""Health checks of a run: when they are due, what is said of them, what they end, and how answers add up."""

from __future__ import annotations

import pytest

from app.engine.abandon import abandoned
from app.engine.build import execute_definition
from app.engine.definition import RunDefinition
from app.engine.events import CancelRequested, CheckAnswered
from app.engine.fold import IllegalEventError, fold
from app.engine.health import Due, due
from app.engine.kube_events import changes
from app.engine.outcome import Failed
from app.models.execution import DRPlanExecutionStatus, HealthCheckStatus
from app.models.health import HealthChecks, PlanHealthChecks
from app.models.phases import Phase
from tests.unit.engine.runs import Player, S, after, flow, http, snapshot_of, stage


def block(*names: str, **more: object) -> dict[str, object]:
    checks = [{"name": name, "http": {"url": "http://site.invalid/"}, "attempts": 2} for name in names]
    return {"checks": checks, **more}


def definition_of(
    *stages: S, gate: dict[str, object] | None = None, end: dict[str, object] | None = None, mode: str = "install"
) -> RunDefinition:
    """The run of a plan whose first stage has the checks `gate`, and which ends by those of `end`."""
    snapshot = snapshot_of(*stages, mode=mode)
    first, *rest = snapshot.plan_spec.stages
    first = first.model_copy(update={"health_check": HealthChecks.from_wire(gate) if gate else None})
    health = PlanHealthChecks.from_wire({"onExecute": True, **end}) if end else None
    spec = snapshot.plan_spec.model_copy(update={"stages": (first, *rest), "health_check": health})
    return execute_definition(snapshot.model_copy(update={"plan_spec": spec}))


class Checked(Player):
    """A player that also answers health checks."""

    def answer(self, name: str, at: float, *, healthy: bool = True) -> list[str]:
        """Answer a check; return the reasons of the Events that tell of it."""
        index = [check.name for check in self.status.health_checks].index(name)
        event = CheckAnswered(after(at), index, healthy, "HTTP 200" if healthy else "HTTP 503")
        old, self.status = self.status, fold(self.definition, self.status, event)
        return [note.reason for note in changes(self.definition, old, self.status)]

    def due(self, at: float) -> Due:
        return due(self.definition, self.status, after(at))

    def check(self, name: str) -> HealthCheckStatus:
        return next(check for check in self.status.health_checks if check.name == name)


def phases(status: DRPlanExecutionStatus) -> dict[str, str]:
    return {check.name: str(check.phase) for check in status.health_checks}


def test_a_stage_waits_for_its_checks_and_the_run_for_its_own() -> None:
    player = Checked(definition_of(stage("one", flow("a")), stage("two", flow("b")), gate=block("x"), end=block("y")))
    assert phases(player.status) == {"x": "Pending", "y": "Pending"}
    assert player.due(0) == Due()
    player.end("a")
    assert phases(player.status) == {"x": "Running", "y": "Pending"}
    assert player.started == ["a"]
    assert player.due(1).checks == (0,)
    assert due(player.definition, player.status, after(1), in_flight={0}) == Due()
    assert player.answer("x", 2, healthy=False) == ["HealthCheckUnhealthy"]
    assert player.due(4.9) == Due((), after(5))
    assert player.due(5).checks == (0,)
    assert player.status.message == (
        "health check x of stage one: attempt 1 failed, the next is at 2026-03-01T08:00:05Z: HTTP 503"
    )
    assert player.answer("x", 5) == ["HealthCheckSucceeded", "StageSucceeded"]
    assert player.status.message == ""
    player.start()
    player.end("b")
    assert player.status.phase is Phase.RUNNING
    assert player.answer("y", 9)[-1] == "ExecutionSucceeded"
    assert player.status.message == "All stages completed successfully; verified by 1 health check"


def test_the_first_check_without_attempts_left_fails_its_stage_and_ends_the_others() -> None:
    player = Checked(
        definition_of(stage("one", flow("a")), stage("two", flow("b")), gate=block("x", "y"), end=block("z"))
    )
    player.end("a")
    player.answer("x", 1, healthy=False)
    reasons = player.answer("x", 4, healthy=False)
    assert reasons[:2] == ["HealthCheckFailed", "StageFailed"]
    assert phases(player.status) == {"x": "Failed", "y": "Cancelled", "z": "Skipped"}
    assert player.check("z").message == "Not started: the run ended Failed before"
    assert player.stage("one").reason == "HealthCheckFailed"
    assert player.stage("two").phase is Phase.SKIPPED
    assert player.status.message == ("Stage one failed: health check x failed: not healthy after 2 attempts: HTTP 503")
    conditions = {condition.type: condition for condition in player.status.conditions}
    assert conditions["Failed"].reason == "HealthCheckFailed"
    assert conditions["Completed"].message.endswith(": 1 of 2 actions Succeeded, 1 Skipped, 1 health check Failed")


def test_healthy_for_a_while_means_all_together_without_a_break() -> None:
    player = Checked(definition_of(stage("one", flow("a")), end=block("x", "y", sustainedFor="10s")))
    player.end("a")
    player.answer("x", 1)
    player.answer("y", 4)
    player.answer("x", 6, healthy=False)
    assert player.status.message.startswith("health check x: attempt 2 failed")
    player.answer("x", 9)
    for at in (12, 15, 18):
        player.answer("y", at)
        player.answer("x", at)
    assert player.due(18) == Due((), after(19))
    player.answer("y", 19)
    assert player.phase() is Phase.RUNNING, "y was seen to be healthy at the end, x was not"
    player.answer("x", 19.5)
    assert player.phase() is Phase.SUCCEEDED
    assert player.check("x").message == "healthy for 10s (attempt 7)"
    assert (player.check("x").failed_attempts, player.check("y").failed_attempts) == (1, 0)


def test_a_site_that_goes_up_and_down_uses_its_attempts_up() -> None:
    player = Checked(definition_of(stage("one", flow("a")), end=block("x", sustainedFor="10s")))
    player.end("a")
    for at, healthy in enumerate((True, False, True, False)):
        player.answer("x", at, healthy=healthy)
    assert player.status.phase is Phase.FAILED
    assert player.status.message == (
        "health check x failed: not healthy: 2 of 4 attempts failed, the last one: HTTP 503 "
        "(before that: All stages completed successfully)"
    )


@pytest.mark.parametrize("answered", [False, True])
def test_a_cancel_ends_what_is_made_and_keeps_back_the_rest(answered: bool) -> None:
    player = Checked(definition_of(stage("one", flow("a")), gate=block("x"), end=block("y")))
    player.end("a")
    if answered:
        player.answer("x", 1, healthy=False)
    player.status = fold(player.definition, player.status, CancelRequested(after(2), "stop"))
    assert phases(player.status) == {"x": "Cancelled", "y": "Skipped"}
    assert {check.message for check in player.status.health_checks} == {"Canceled by user"}
    assert (player.status.phase, player.stage("one").phase) == (Phase.CANCELLED, Phase.CANCELLED)


def test_a_stage_in_which_nothing_is_done_and_mode_delete_make_no_checks() -> None:
    idle = stage("one", flow(http("a", when='mode == "delete"')))
    player = Checked(definition_of(idle, stage("two", flow("b")), gate=block("x")))
    assert (player.check("x").phase, player.check("x").reason) == (Phase.SKIPPED, "NothingToDo")
    assert player.check("x").message == "Not started: nothing was done in this stage"
    assert player.stage("one").phase is Phase.SUCCEEDED
    assert definition_of(idle, gate=block("x"), end=block("y"), mode="delete").checks == ()


def test_a_failed_run_makes_no_checks_and_a_lost_one_none_any_more() -> None:
    player = Checked(definition_of(stage("one", flow("a")), gate=block("x"), end=block("y")))
    player.end("a", Failed("broke"))
    assert phases(player.status) == {"x": "Skipped", "y": "Skipped"}
    player = Checked(definition_of(stage("one", flow("a")), gate=block("x"), end=block("y")))
    player.end("a")
    lost = abandoned(player.status, "nobody knows", after(5))
    assert phases(lost) == {"x": "Cancelled", "y": "Skipped"}


def test_only_a_check_that_is_being_made_is_answered() -> None:
    player = Checked(definition_of(stage("one", flow("a")), end=block("y")))
    for number in (0, 1, -1):
        with pytest.raises(IllegalEventError):
            fold(player.definition, player.status, CheckAnswered(after(1), number, healthy=True, answer=""))
