"""Crashes in the middle of a Revert."""

from __future__ import annotations

import pytest

from tests.crash.harness import Crashing, key_of
from tests.support.installation import (
    actions_of,
    config_map_action,
    execution,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.proxy import request_to
from tests.support.site import Answer


def executed(drplan: Crashing) -> None:
    """A run that made two ConfigMaps, around a call with a rollback of its own."""
    drplan.create(
        workflow(
            "w",
            [
                config_map_action("first", "one", drplan.namespace),
                drplan.http("call", rollback=drplan.http("back")),
                config_map_action("last", "two", drplan.namespace),
            ],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.ended("e")


@pytest.mark.parametrize("moment", ["intent", "effect", "result"])
def test_object_deleted_and_result_not_committed(drplan: Crashing, moment: str) -> None:
    executed(drplan)
    match moment:
        case "intent":
            rule = drplan.killed_after(drplan.entry("ActionStarted", "r", 0, 0, 0))
        case "effect":
            rule = drplan.killed_after(request_to("DELETE", f"/{drplan.namespace}/configmaps/two"))
        case _:
            rule = drplan.killed_before(drplan.entry("ActionFinished", "r", 0, 0, 0))
    drplan.create(revert("r", "p", "e"))
    drplan.crash(rule)
    assert drplan.exists("cm", "two") == (moment == "intent")
    assert drplan.exists("cm", "one")
    assert drplan.calls() == {"call": 1}
    drplan.restart()
    status = drplan.ended("r")
    assert phases_of(status) == {"first": "Succeeded", "call": "Succeeded", "last": "Succeeded"}
    messages = {item["name"]: item["message"] for item in actions_of(status)}
    assert messages["last"] == f"Rolled back: deleted resource ConfigMap {drplan.namespace}/two"
    assert not drplan.exists("cm", "one")
    assert not drplan.exists("cm", "two")
    assert drplan.calls() == {"call": 1, "back": 1}
    target = {item["name"]: item.get("rolledBackBy") for item in actions_of(drplan.status("e"))}
    assert target == {"first": "r", "call": "r", "last": "r"}
    assert drplan.plan_status("p")["phase"] == "Ready"


def test_rollback_call_that_arrived_is_sent_again_under_the_same_key(drplan: Crashing) -> None:
    executed(drplan)
    drplan.site.hold(drplan.path("back"))
    drplan.create(revert("r", "p", "e"))
    drplan.site.wait_for(drplan.path("back"))
    drplan.controller.kill9()
    drplan.site.let_go(drplan.path("back"))
    drplan.delete(f"/api/v1/namespaces/{drplan.namespace}/configmaps/one")
    drplan.restart()
    status = drplan.ended("r", "Failed")
    assert phases_of(status) == {"first": "Failed", "call": "Succeeded", "last": "Succeeded"}
    assert drplan.calls() == {"call": 1, "back": 2}
    assert {key_of(call) for call in drplan.site.calls(drplan.path("back"))} == {f"{drplan.uid('drpe', 'r')}/s/0/call"}
    [failed] = [item for item in actions_of(status) if item["phase"] == "Failed"]
    assert "deleted outside this plan" in failed["message"]


def test_target_deleted_while_the_controller_is_down(drplan: Crashing) -> None:
    executed(drplan)
    rule = drplan.killed_after(drplan.entry("ActionStarted", "r", 0, 0, 0))
    drplan.create(revert("r", "p", "e"))
    drplan.crash(rule)
    drplan.remove("e")
    drplan.restart()
    drplan.ended("r")
    drplan.wait(lambda: not drplan.exists("drpe", "e"), 30.0)
    assert not drplan.exists("cm", "one")
    assert not drplan.exists("cm", "two")
    assert drplan.calls() == {"call": 1, "back": 1}


def test_health_check_goes_on_where_it_was(drplan: Crashing) -> None:
    """What was answered and recorded counts; an answer that was not is asked for again."""
    path = f"/health{drplan.path('web')}"
    drplan.site.script(path, *[Answer(503)] * 3, Answer(200))
    web = {"name": "web", "http": {"url": f"{drplan.site.url}{path}"}, "interval": "1s"}
    drplan.create(
        workflow("w", [config_map_action("made", "one", drplan.namespace)]),
        plan("p", [stage("s", "w")], healthCheck={"checks": [web]}),
        execution("e", "p"),
    )
    drplan.ended("e")
    rule = drplan.killed_before(drplan.entry("CheckAnswered", "r"), nth=2)
    drplan.create(revert("r", "p", "e"))
    drplan.crash(rule)
    drplan.restart()
    status = drplan.ended("r")
    [check] = status["healthChecks"]
    assert (check["phase"], check["attempt"], check["failedAttempts"]) == ("Succeeded", 3, 2)
    assert len(drplan.site.calls(path)) == 4
    assert phases_of(status) == {"made": "Succeeded"}
