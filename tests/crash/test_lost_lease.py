"""Whoever lost the lease to another one has ended within ten seconds; whoever lost it to nobody goes on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest

from devcluster.services import ServiceProcess
from tests.crash.conftest import Rig, replaced
from tests.crash.harness import LEASE, Crashing, key_of
from tests.support.installation import FAST_LEASE, execution, plan, stage, workflow
from tests.support.proxy import Match, Request, hold, lose_request

ENDED_SECONDS = 10.0
"""How long a process that lost its lease may live on."""
WAY_BEYOND_THE_LEASE = 5.0
"""Longer than the lease of these tests."""


@pytest.fixture
def hasty(rig: Rig, drplan: Crashing) -> Iterator[Crashing]:
    """drplan with a controller whose lease is soon lost."""
    with replaced(rig, drplan, "lost", *FAST_LEASE) as crashing:
        yield crashing


@pytest.fixture
def second(rig: Rig, drplan: Crashing) -> Iterator[ServiceProcess]:
    """A standby with the same short lease, not started yet."""
    process = rig.start("standby", *FAST_LEASE, wait=False)
    process.kill9()
    yield process
    process.kill9()


def create(drplan: Crashing, *names: str) -> None:
    """A plan that has run once for each name, each with a call that is held."""
    for name in names:
        drplan.site.hold(drplan.path(f"held-{name}"))
        drplan.create(
            workflow(f"w-{name}", [drplan.http(f"first-{name}"), drplan.http(f"held-{name}")]),
            plan(f"p-{name}", [stage("s", f"w-{name}")]),
        )


def ended_in_time(process: ServiceProcess, since: float) -> None:
    """Assert that a process that no longer leads ends, and says so."""
    assert process.wait(ENDED_SECONDS - (time.monotonic() - since)) == 1, process.last_lines()
    assert "no longer leads" in process.last_lines()


def by(client: str, match: Match) -> Match:
    """Requests of one client."""
    return lambda request: request.client == client and match(request)


RECONCILES = {
    "reads of a start": lambda r: r.method == "GET" and "/drplans/" in r.path,
    "lock": lambda r: r.method == "PUT" and "/drplans/" in r.path and r.path.endswith("/status"),
    "first status": lambda r: r.method == "PUT" and "/drplanexecutions/" in r.path and r.path.endswith("/status"),
    "commit": lambda r: r.method == "PUT" and r.writes_journal,
    "renewal": lambda r: r.method == "PUT" and "/leases/" in r.path,
}
"""Requests in which a process may be caught that is stopped: while it reads, locks a plan, begins to run, records, or
renews its lease."""


@pytest.mark.parametrize("caught", RECONCILES)
def test_stopped_in_mid_reconcile_and_replaced(hasty: Crashing, second: ServiceProcess, caught: str) -> None:
    """The first wakes up with an answer that never comes, and everything due at once."""
    drplan, first = hasty, hasty.controller
    create(drplan, "x")
    rule = drplan.proxy.on(by("lost", RECONCILES[caught]), hold)
    drplan.create(execution("e", "p-x"))
    rule.wait()
    first.pause()
    began = drplan.calls().get("held-x", 0)  # a renewal may be caught when the run is under way already
    second.start()
    drplan.wait(lambda: "journal claimed" in second.last_lines(), 60.0)
    drplan.site.wait_for(drplan.path("held-x"), times=began + 1, timeout=60.0)
    mark = len(drplan.proxy.log)
    since = time.monotonic()
    first.resume()
    ended_in_time(first, since)
    written = drplan.proxy.accepted(by("lost", writes), since=mark)
    assert [(request.method, request.path, request.body[-300:]) for request in written] == []
    drplan.site.let_go(drplan.path("held-x"))
    drplan.ended("e", plan="p-x")
    assert drplan.calls() == {"first-x": 1, "held-x": began + 1}
    assert len({key_of(call) for call in drplan.site.calls(drplan.path("held-x"))}) == 1


def writes(request: Request) -> bool:
    """Whether a request changes anything; the question which rights one has is a POST that does not."""
    return request.method != "GET" and "accessreviews" not in request.path


def test_stopped_for_longer_than_the_lease_with_nobody_to_take_over(hasty: Crashing) -> None:
    """It takes its lease back, goes on with what it had in flight, starts new runs, and obeys SIGTERM."""
    drplan, first = hasty, hasty.controller
    create(drplan, "x", "y")
    drplan.create(execution("e", "p-x"))
    drplan.site.wait_for(drplan.path("held-x"))
    rule = drplan.proxy.on(by("lost", RECONCILES["reads of a start"]), lose_request)
    drplan.create(execution("f", "p-y"))
    rule.wait()
    first.pause()
    time.sleep(WAY_BEYOND_THE_LEASE)
    pid = first.pid
    first.resume()
    for name in ("x", "y"):
        drplan.site.wait_for(drplan.path(f"held-{name}"))
        drplan.site.let_go(drplan.path(f"held-{name}"))
    drplan.ended("e", plan="p-x")
    drplan.ended("f", plan="p-y")
    assert drplan.calls() == {"first-x": 1, "held-x": 1, "first-y": 1, "held-y": 1}
    assert (first.running, first.pid) == (True, pid)
    assert first.fetch(first.health_port, "/healthz") == (200, "ok")
    first.send(signal.SIGTERM)
    assert first.wait(10.0) == 0, first.last_lines()


def test_cut_off_while_another_one_leads(hasty: Crashing, second: ServiceProcess) -> None:
    """The API server does not answer the first any more; it begins and writes nothing, and ends once it hears of it."""
    drplan, first = hasty, hasty.controller
    create(drplan, "x")
    drplan.create(execution("e", "p-x"))
    drplan.site.wait_for(drplan.path("held-x"))
    cut = drplan.proxy.on(by("lost", lambda r: True), lose_request, times=None)
    second.start()
    drplan.site.wait_for(drplan.path("held-x"), times=2, timeout=60.0)
    drplan.site.let_go(drplan.path("held-x"))
    drplan.ended("e", plan="p-x")
    assert first.running
    assert first.fetch(first.health_port, "/healthz") == (200, "ok")
    mark = len(drplan.proxy.log)
    since = time.monotonic()
    cut.match = lambda _request: False
    ended_in_time(first, since)
    written = drplan.proxy.accepted(by("lost", writes), since=mark)
    assert [(request.method, request.path, request.body[-300:]) for request in written] == []
    assert len({key_of(call) for call in drplan.site.calls(drplan.path("held-x"))}) == 1


def test_stopped_while_it_stands_by_and_while_it_shuts_down(hasty: Crashing, second: ServiceProcess) -> None:
    """A standby that wakes up takes no lease that is held; a leader that wakes up at its end writes nothing more."""
    drplan, first = hasty, hasty.controller
    create(drplan, "x")
    drplan.create(execution("e", "p-x"))
    drplan.site.wait_for(drplan.path("held-x"))
    second.start()
    drplan.wait(lambda: "waiting for the leader lease" in second.last_lines(), 60.0)
    transitions = drplan.cluster.api.get(LEASE)["spec"]["leaseTransitions"]
    second.pause()
    time.sleep(WAY_BEYOND_THE_LEASE)
    second.resume()
    second.wait_ready()
    renewed = drplan.cluster.api.get(LEASE)["spec"]["renewTime"]
    drplan.wait(lambda: drplan.cluster.api.get(LEASE)["spec"]["renewTime"] > renewed, 20.0)
    assert drplan.cluster.api.get(LEASE)["spec"]["leaseTransitions"] == transitions
    first.send(signal.SIGTERM)
    drplan.wait(lambda: "shutting down" in first.last_lines(), 20.0)
    first.pause()
    drplan.site.wait_for(drplan.path("held-x"), times=2, timeout=60.0)
    mark, since = len(drplan.proxy.log), time.monotonic()
    first.resume()
    assert first.wait(ENDED_SECONDS - (time.monotonic() - since)) is not None, first.last_lines()
    assert not drplan.proxy.accepted(by("lost", writes), since=mark)
    drplan.site.let_go(drplan.path("held-x"))
    drplan.ended("e", plan="p-x")
    assert (drplan.calls()["first-x"], len({key_of(call) for call in drplan.site.calls(drplan.path("held-x"))})) == (
        1,
        1,
    )


def test_a_lease_that_somebody_writes_into_loses_no_run(hasty: Crashing) -> None:
    """Deleted, stolen, renewed by hand, full of nonsense: whoever has to end does, and the next one goes on."""
    drplan, process = hasty, hasty.controller
    by_hand: dict[str, dict[str, object] | None] = {
        "deleted": None,
        "stolen": {"holderIdentity": "thief", "leaseDurationSeconds": 2},
        "renewed": {"renewTime": "2999-01-01T00:00:00.000000Z"},
        "freed": {"holderIdentity": None, "leaseTransitions": 2**31 - 1},
        "for-ever": {"leaseDurationSeconds": 2**31 - 1, "acquireTime": None},
    }
    create(drplan, *by_hand)
    for name, spec in by_hand.items():
        drplan.create(execution(f"e-{name}", f"p-{name}"))
        drplan.site.wait_for(drplan.path(f"held-{name}"), timeout=60.0)
        before = drplan.cluster.api.get(LEASE)["spec"]["renewTime"]
        drplan.delete(LEASE) if spec is None else drplan.merge(LEASE, {"spec": spec})

        def led_again(before: str = before) -> bool:
            if not process.running:
                assert "no longer leads" in process.last_lines(), process.last_lines()
                process.start()
            code, body = drplan.cluster.api.raw("GET", LEASE)
            found = json.loads(body)["spec"] if code == 200 else {}
            is_own = found.get("holderIdentity", "thief") not in ("", "thief")
            return is_own and found["leaseDurationSeconds"] < 60 and before < found["renewTime"] < "2998"

        drplan.wait(led_again, 60.0, f"nobody leads after {spec}: {process.last_lines()}")
        drplan.site.let_go(drplan.path(f"held-{name}"))
        drplan.ended(f"e-{name}", plan=f"p-{name}")
        assert drplan.calls()[f"first-{name}"] == 1
        assert len({key_of(call) for call in drplan.site.calls(drplan.path(f"held-{name}"))}) == 1


def test_shutdown_while_the_api_server_hangs(drplan: Crashing, rig: Rig) -> None:
    create(drplan, "x")
    drplan.create(execution("e", "p-x"))
    drplan.site.wait_for(drplan.path("held-x"))
    server = rig.plane.components["kube-apiserver"]
    server.pause()
    try:
        drplan.controller.send(signal.SIGTERM)
        assert drplan.controller.wait(10.0) == 0, drplan.controller.last_lines()
    finally:
        server.resume()
    drplan.site.let_go(drplan.path("held-x"))
    drplan.restart()
    drplan.ended("e", plan="p-x")


def test_a_stopped_process_obeys_sigterm_when_it_wakes(hasty: Crashing) -> None:
    drplan, first = hasty, hasty.controller
    create(drplan, "x")
    drplan.create(execution("e", "p-x"))
    drplan.site.wait_for(drplan.path("held-x"))
    first.pause()
    time.sleep(WAY_BEYOND_THE_LEASE)
    first.send(signal.SIGTERM)
    first.resume()
    assert first.wait(10.0) == 0, first.last_lines()
    drplan.site.let_go(drplan.path("held-x"))
    drplan.restart()
    drplan.ended("e", plan="p-x")
