"""Two controllers, an API server that is away, and shutdown in mid-run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from devcluster.services import ServiceProcess
from tests.crash.conftest import Rig, replaced
from tests.crash.harness import Crashing, key_of
from tests.support.installation import FAST_LEASE, config_map_action, execution, phases_of, plan, stage, workflow
from tests.support.proxy import Answer, Forward, Rule, hold

ALL_SUCCEEDED = {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded", "d": "Succeeded"}


def create(drplan: Crashing) -> None:
    drplan.create(
        workflow(
            "w",
            [drplan.http("a"), config_map_action("b", "marker", drplan.namespace), drplan.http("c"), drplan.http("d")],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )


@pytest.fixture
def second(rig: Rig, drplan: Crashing) -> Iterator[ServiceProcess]:
    """A second controller, not started yet."""
    process = rig.start("controller-2", wait=False)
    process.kill9()
    yield process
    process.kill9()


@pytest.fixture
def hasty(rig: Rig, drplan: Crashing) -> Iterator[Crashing]:
    """drplan with a controller whose lease is soon lost."""
    with replaced(rig, drplan, "hasty", *FAST_LEASE) as crashing:
        yield crashing


@pytest.fixture
def patient(rig: Rig, drplan: Crashing) -> Iterator[Crashing]:
    """drplan with a controller whose lease lasts longer than the API server is away."""
    with replaced(rig, drplan, "patient", "--lease-duration=40", "--renew-deadline=35", "--retry-period=1") as crashing:
        yield crashing


def test_stopped_leader_wakes_up_deposed(hasty: Crashing, second: ServiceProcess) -> None:
    drplan = hasty
    drplan.site.hold(drplan.path("c"))
    drplan.site.hold(drplan.path("d"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    marker = drplan.uid("cm", "marker")
    first = drplan.controller
    first.pause()
    second.start()
    drplan.site.wait_for(drplan.path("c"), times=2, timeout=40.0)  # settled by the second: the one in flight
    drplan.site.let_go(drplan.path("c"))
    drplan.site.wait_for(drplan.path("d"))
    first.resume()
    assert first.wait(20.0) == 1, first.last_lines()
    assert "no longer leads" in first.last_lines()
    drplan.site.let_go(drplan.path("d"))
    status = drplan.ended("e")
    assert phases_of(status) == ALL_SUCCEEDED
    assert drplan.calls() == {"a": 1, "c": 2, "d": 1}
    assert len({key_of(call) for call in drplan.site.calls(drplan.path("c"))}) == 1
    assert drplan.uid("cm", "marker") == marker


def test_leader_stopped_while_its_intent_was_committed_does_not_begin_it(
    hasty: Crashing, second: ServiceProcess
) -> None:
    drplan = hasty
    first = drplan.controller

    async def stop(rule: Rule, forward: Forward) -> Answer:
        answer = await forward()
        first.pause()
        rule.done()
        return answer  # waits in the stopped process's socket

    rule = drplan.proxy.on(drplan.entry("ActionStarted", "e", 0, 0, 2), stop)
    drplan.site.hold(drplan.path("d"))
    create(drplan)
    rule.wait()
    assert drplan.calls() == {"a": 1}
    second.start()
    drplan.site.wait_for(drplan.path("d"), timeout=40.0)
    first.resume()
    assert first.wait(20.0) == 1, first.last_lines()
    drplan.site.let_go(drplan.path("d"))
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 1, "d": 1}


def test_successor_that_took_over_by_the_journal_alone(drplan: Crashing, second: ServiceProcess) -> None:
    """The lease is deleted by hand, so that a second one leads beside a living first: the journal's fence holds."""
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    lease_writes = lambda r: r.client == "controller" and "/leases/" in r.path and r.method == "PUT"  # noqa: E731
    rule = drplan.proxy.on(lease_writes, hold, times=None)
    rule.wait()
    drplan.free_lease()
    second.start()
    claimed = lambda r: r.client == "controller-2" and r.writes_journal  # noqa: E731
    drplan.wait(lambda: len(drplan.proxy.accepted(claimed, since=drplan.since)) >= 2, 30.0)
    drplan.site.let_go(drplan.path("c"))
    assert drplan.controller.wait(20.0) == 1, drplan.controller.last_lines()
    drplan.ended("e")
    calls = drplan.calls()
    assert (calls["a"], calls["d"]) == (1, 1)
    assert calls["c"] <= 2


def test_expired_lease_is_taken_without_help(hasty: Crashing) -> None:
    drplan = hasty
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    drplan.controller.kill9()
    drplan.site.let_go(drplan.path("c"))
    drplan.restart(expire=True)
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 2, "d": 1}


def test_api_server_away_in_mid_run(patient: Crashing) -> None:
    drplan = patient
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    pid = drplan.controller.pid
    with drplan.proxy.away():
        drplan.site.let_go(drplan.path("c"))
        mark = len(drplan.proxy.log)
        lost = lambda r: r.writes_journal or "configmaps" in r.path  # noqa: E731
        drplan.wait(lambda: len(drplan.proxy.exchanges(lost, since=mark)) >= 6, 40.0, "nothing was tried again")
        assert drplan.calls() == {"a": 1, "c": 1}
    status = drplan.ended("e")
    assert phases_of(status) == ALL_SUCCEEDED
    assert drplan.calls() == {"a": 1, "c": 1, "d": 1}
    assert (drplan.controller.running, drplan.controller.pid) == (True, pid)


def test_api_server_stopped_in_mid_run(patient: Crashing, rig: Rig) -> None:
    drplan = patient
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    server = rig.plane.components["kube-apiserver"]
    server.pause()
    try:
        mark = len(drplan.proxy.log)
        drplan.site.let_go(drplan.path("c"))
        drplan.wait(lambda: any(x.request.writes_journal for x in drplan.proxy.log[mark:]), 20.0)
        renewals = lambda r: "/leases/" in r.path  # noqa: E731
        drplan.wait(lambda: len(drplan.proxy.exchanges(renewals, since=mark)) >= 1, 20.0)
        assert drplan.calls() == {"a": 1, "c": 1}
    finally:
        server.resume()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 1, "d": 1}
    assert drplan.controller.running


def test_api_server_away_for_longer_than_the_lease(hasty: Crashing) -> None:
    drplan = hasty
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    first = drplan.controller
    pid = first.pid
    with drplan.proxy.away():
        drplan.wait(lambda: "nothing is begun until it is" in first.last_lines(), 20.0)
        assert first.fetch(first.health_port, "/healthz") == (200, "ok")
        unready = lambda: (found := first.fetch(first.health_port, "/readyz"))[0] == 503 and found[1]  # noqa: E731
        assert "the lease should have been renewed" in drplan.wait(unready, 5.0)
        assert "drplan_leader 0.0" in first.metrics()
        drplan.site.let_go(drplan.path("c"))  # a call in flight ends, and its result is kept
        time.sleep(2.0)
        assert drplan.calls() == {"a": 1, "c": 1}
    status = drplan.ended("e")
    assert phases_of(status) == ALL_SUCCEEDED
    assert drplan.calls() == {"a": 1, "c": 1, "d": 1}
    assert (first.running, first.pid) == (True, pid)
    assert "lease taken back; nobody else had it" in first.last_lines()


def test_shutdown_waits_for_what_runs_and_starts_nothing(drplan: Crashing) -> None:
    """One run has an action that ends in time, the other one that does not; neither starts another one."""
    drplan.create(
        workflow("w", [drplan.http("x"), drplan.http("y")]),
        workflow("long", [drplan.http("l"), drplan.http("m")]),
        plan("p", [stage("s", "w")]),
        plan("q", [stage("s", "long")]),
    )
    for path in ("x", "l"):
        drplan.site.hold(drplan.path(path))
    drplan.create(execution("e", "p"), execution("f", "q"))
    for path in ("x", "l"):
        drplan.site.wait_for(drplan.path(path))
    begun = drplan.controller.log.stat().st_size

    def told() -> str:
        return drplan.controller.log.read_bytes()[begun:].decode()

    drplan.controller.send(signal.SIGTERM)
    drplan.wait(lambda: "shutting down" in told(), 10.0)
    drplan.site.let_go(drplan.path("x"))
    assert drplan.controller.wait(10.0) == 0, drplan.controller.last_lines()
    assert drplan.calls() == {"x": 1, "l": 1}
    assert phases_of(drplan.status("e")) == {"x": "Succeeded", "y": "Pending"}
    drplan.site.let_go(drplan.path("l"))
    drplan.restart(expire=True)  # released at the end, so nobody waits for it
    drplan.ended("e")
    drplan.ended("f", plan="q")
    assert drplan.calls() == {"x": 1, "y": 1, "l": 2, "m": 1}


def test_shutdown_with_the_api_server_away(drplan: Crashing) -> None:
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    with drplan.proxy.away():
        drplan.controller.send(signal.SIGTERM)
        drplan.site.let_go(drplan.path("c"))
        assert drplan.controller.wait(10.0) == 0, drplan.controller.last_lines()
    drplan.restart()
    drplan.ended("e")
    calls = drplan.calls()
    assert (calls["a"], calls["d"]) == (1, 1)
    assert calls["c"] == 2


def test_standby_takes_over_from_a_controller_that_shuts_down(drplan: Crashing, second: ServiceProcess) -> None:
    second.start()
    second.wait_ready()
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    drplan.controller.send(signal.SIGTERM)
    drplan.site.let_go(drplan.path("c"))
    assert drplan.controller.wait(10.0) == 0, drplan.controller.last_lines()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 1, "d": 1}


@pytest.mark.parametrize("write", ["PUT", "POST"])
def test_crash_while_the_journal_is_claimed(drplan: Crashing, write: str) -> None:
    drplan.site.hold(drplan.path("c"))
    create(drplan)
    drplan.site.wait_for(drplan.path("c"))
    drplan.controller.kill9()
    drplan.site.let_go(drplan.path("c"))
    drplan.restart()
    drplan.crash(drplan.killed_after(lambda r: r.method == write and r.writes_journal))
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 2, "d": 1}
