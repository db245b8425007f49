"""A controller with too little of something: it does less at once, ends what cannot be, and no other run is stopped."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from typing import Any

import pytest

from app.runtime.watchdog import EXIT_OVERDUE
from tests.crash.conftest import Rig
from tests.crash.harness import LEASE, Crashing, key_of
from tests.crash.starving import MemoryLimit, allocated, in_its_place, resident, starved
from tests.support.installation import FAST_LEASE, actions_of, execution, http_action, plan, stage, workflow

WHOLE = bool(os.environ.get("DRPLAN_CHAOS"))
"""Whether there is time for all of it, as in `make chaos`."""
MANY = 1100 if WHOLE else 150
QUICK = 60 if WHOLE else 12
DEAD = ".dead.example"


@pytest.fixture(autouse=True)
def usual(rig: Rig) -> Iterator[None]:
    """Have the usual controller again afterwards."""
    yield
    if not rig.controller.running:
        rig.controller.start().wait_ready()


def test_few_descriptors_and_names_that_nobody_answers(rig: Rig, drplan: Crashing) -> None:
    """More calls at once than descriptors, 200 dead names of another plan, and many small runs beside them."""
    quick = [f"quick-{n}" for n in range(QUICK)]
    local = drplan.url("quick").replace("127.0.0.1", "localhost")
    drplan.create(
        workflow("many", _fan(drplan, [http_action(f"c{n}", drplan.url("many")) for n in range(MANY)])),
        workflow("dead", _fan(drplan, [http_action(f"d{n}", f"http://site-{n}{DEAD}/") for n in range(200)])),
        workflow("quick", [http_action("quick", local)]),
        plan("many", [stage("s", "many")]),
        plan("dead", [stage("s", "dead")]),
        *(plan(name, [stage("s", "quick")]) for name in quick),
    )
    with in_its_place(rig, drplan, "few-descriptors", descriptors=256, names=DEAD) as controller:
        before = drplan.cluster.api.get(LEASE)["spec"]
        drplan.create(execution("dead", "dead"), execution("many", "many"))
        drplan.site.wait_for(drplan.path("many"), times=10, timeout=60.0)
        drplan.create(*(execution(name, name) for name in quick))
        for name in quick:
            drplan.ended(name, plan=name, timeout=120.0)
        drplan.ended("many", plan="many", timeout=180.0)
        drplan.cancel("dead")
        status = drplan.ended("dead", "Cancelled", plan="dead", timeout=120.0)
        asked = {action["phase"]: action["message"] for action in actions_of(status)}
        assert "the name look-up took longer than 10s" in asked["Failed"], asked
        assert drplan.calls() == {"root": 2, "many": MANY, "quick": len(quick)}
        after = drplan.cluster.api.get(LEASE)["spec"]
        for fact in ("holderIdentity", "leaseTransitions"):
            assert after[fact] == before[fact]
        said = controller.log.read_text()
        assert "Too many open files" not in said
        assert "lease not renewed" not in said


def test_a_run_that_takes_all_memory_is_given_up_and_others_go_on(rig: Rig, drplan: Crashing) -> None:
    """The controller is killed by its limit as a container is, and started again; the third time is the last one."""
    drplan.create(
        workflow("hungry", [drplan.http("a"), drplan.http("hungry"), drplan.http("never")]),
        workflow("w", [drplan.http("b", http={"headers": {"X": "1"}}), drplan.http("c")]),
        plan("hungry", [stage("s", "hungry")]),
        plan("p", [stage("s", "w")]),
    )
    with in_its_place(rig, drplan, "little-memory", hungry="/hungry") as controller:
        limit = resident(controller) + 200 * 2**20
        with MemoryLimit(drplan, controller, limit) as memory:
            drplan.create(execution("hungry", "hungry"))
            drplan.wait(lambda: memory.kills, 60.0, "nothing takes memory")
            drplan.create(execution("e", "p"))
            drplan.ended("e", timeout=120.0)
            status = drplan.ended("hungry", "Failed", plan="hungry", timeout=120.0)
            assert memory.kills == 3
            mark = memory.kills
            drplan.create(execution("again", "p"))
            drplan.ended("again", timeout=60.0)
            assert memory.kills == mark
    messages = {action["name"]: action["message"] for action in actions_of(status)}
    assert "given up: the controller was ended 3 times in a row while attempt 1 of action hungry" in messages["hungry"]
    assert drplan.calls() == {"a": 1, "b": 2, "c": 2}


def test_memory_that_is_refused_ends_no_other_run(rig: Rig, drplan: Crashing) -> None:
    """The system gives the process no more, as by `ulimit -d`: it is not killed, what asked for too much fails."""
    drplan.site.hold(drplan.path("held"))
    drplan.create(
        workflow("hungry", [drplan.http("a"), drplan.http("hungry", retryPolicy={"limit": 0})]),
        workflow("w", [drplan.http("held"), drplan.http("c")]),
        plan("hungry", [stage("s", "hungry")]),
        plan("p", [stage("s", "w")]),
    )
    with in_its_place(rig, drplan, "refused-memory", hungry="/hungry") as controller:
        drplan.create(execution("e", "p"))
        drplan.site.wait_for(drplan.path("held"))
        most = allocated(controller) + 150 * 2**20
        assert controller.pid is not None
        resource.prlimit(controller.pid, resource.RLIMIT_DATA, (most, most))
        with MemoryLimit(drplan, controller, 2**40):
            drplan.create(execution("hungry", "hungry"))
            status = drplan.ended("hungry", "Failed", plan="hungry", timeout=120.0)
            drplan.site.let_go(drplan.path("held"))
            drplan.ended("e", timeout=120.0)
            drplan.create(execution("again", "p"))
            drplan.ended("again", timeout=60.0)
    messages = {action["name"]: action["message"] for action in actions_of(status)}
    assert "memory" in messages["hungry"].lower(), messages
    assert drplan.calls()["a"] == 1


def test_a_blocked_leader_is_ended_and_the_other_one_goes_on(rig: Rig, drplan: Crashing) -> None:
    drplan.create(
        workflow("w", [drplan.http("a"), drplan.http("blocks"), drplan.http("c")]),
        workflow("held", [drplan.http("held")]),
        plan("p", [stage("s", "w")]),
        plan("q", [stage("s", "held")]),
    )
    drplan.site.hold(drplan.path("held"))
    with in_its_place(rig, drplan, "blocked", *FAST_LEASE, blocking="/blocks") as blocked:
        drplan.create(execution("other", "q"))
        drplan.site.wait_for(drplan.path("held"))
        standby = starved(rig, "standby", *FAST_LEASE)
        try:
            drplan.create(execution("e", "p"))
            drplan.site.wait_for(drplan.path("blocks"), timeout=60.0)
            assert blocked.wait(20.0) == EXIT_OVERDUE
            assert "the event loop has been blocked" in blocked.log.read_text()
            drplan.controller = standby
            drplan.ended("e")
            drplan.site.let_go(drplan.path("held"))
            drplan.ended("other", plan="q")
        finally:
            standby.kill9()
    assert drplan.calls() == {"a": 1, "blocks": 1, "c": 1, "held": 2}
    assert len({key_of(call) for call in drplan.site.calls(drplan.path("held"))}) == 1


def _fan(drplan: Crashing, actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Actions that begin at once, when a first one has ended."""
    return [drplan.http("root"), *({**action, "dependsOn": ["root"]} for action in actions)]
