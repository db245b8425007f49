"""How long it takes until somebody leads again; docs/operating.md tells the figures. Bounds here are generous ones."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from devcluster.services import ServiceProcess
from tests.crash.conftest import Rig
from tests.crash.harness import Crashing
from tests.support.installation import execution, plan, stage, workflow

DEFAULT_LEASE = ("--lease-duration=15", "--renew-deadline=10", "--retry-period=2")
LEASE_SECONDS = 15.0
Start = Callable[..., ServiceProcess]


@pytest.fixture
def start(rig: Rig, drplan: Crashing) -> Iterator[Start]:
    """Start controllers with the lease times of a default installation, in the place of the usual one."""
    rig.controller.stop()
    started: list[ServiceProcess] = []

    def start_(name: str, *arguments: str, wait: bool = True) -> ServiceProcess:
        process = rig.start(name, *DEFAULT_LEASE, *arguments, wait=wait)
        started.append(process)
        return process

    yield start_
    rig.proxy.clear()
    for process in started:
        process.stop()
    drplan.free_lease()


def create(drplan: Crashing) -> None:
    drplan.site.hold(drplan.path("held"))
    drplan.create(
        workflow("w", [drplan.http("first"), drplan.http("held"), drplan.http("last")]), plan("p", [stage("s", "w")])
    )
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path("held"))


def leads(process: ServiceProcess) -> bool:
    return "drplan_leader 1.0" in process.metrics()


def until_taken_up(drplan: Crashing, since: float, times: int = 2) -> float:
    """Seconds from `since` until the call in doubt was sent again."""
    drplan.site.wait_for(drplan.path("held"), times=times, timeout=60.0)
    return time.monotonic() - since


def finish(drplan: Crashing) -> None:
    drplan.site.let_go(drplan.path("held"))
    drplan.ended("e")


def test_a_restarted_container_goes_on_without_waiting(
    drplan: Crashing, start: Start, record_property: Callable[[str, object], None]
) -> None:
    """It takes its own pod's lease, also when a standby of another pod waits for that."""
    pod = f"--pod-uid={uuid.uuid4()}"
    first = start("pod-a", pod)
    start("pod-b", f"--pod-uid={uuid.uuid4()}")
    drplan.wait(lambda: leads(first), 30.0)
    create(drplan)
    first.kill9()
    since = time.monotonic()
    first.start()
    seconds = until_taken_up(drplan, since)
    record_property("same pod, seconds", round(seconds, 2))
    print(f"same pod: {seconds:.2f} s")
    assert seconds < LEASE_SECONDS
    assert leads(first)
    finish(drplan)


def test_two_living_processes_of_one_pod_do_not_take_from_each_other(drplan: Crashing, start: Start) -> None:
    pod = f"--pod-uid={uuid.uuid4()}"
    first = start("pod-a", pod)
    drplan.wait(lambda: leads(first), 30.0)
    create(drplan)
    second = start("pod-b", pod)
    assert "another process of this pod lives" in second.log.read_text()
    time.sleep(3.0)
    assert leads(first)
    assert not leads(second)
    finish(drplan)


def test_another_pod_takes_over_when_the_lease_has_expired(
    drplan: Crashing, start: Start, record_property: Callable[[str, object], None]
) -> None:
    first = start("pod-a", f"--pod-uid={uuid.uuid4()}")
    drplan.wait(lambda: leads(first), 30.0)
    start("pod-b", f"--pod-uid={uuid.uuid4()}")
    create(drplan)
    first.kill9()
    seconds = until_taken_up(drplan, time.monotonic())
    record_property("another pod, seconds", round(seconds, 2))
    print(f"another pod: {seconds:.2f} s")
    assert seconds < 3 * LEASE_SECONDS
    finish(drplan)


def test_a_leader_that_is_told_to_stop_hands_over(
    drplan: Crashing, start: Start, record_property: Callable[[str, object], None]
) -> None:
    first = start("pod-a")
    drplan.wait(lambda: leads(first), 30.0)
    second = start("pod-b")
    since = time.monotonic()
    first.send(signal.SIGTERM)
    drplan.wait(lambda: leads(second), 30.0)
    seconds = time.monotonic() - since
    record_property("clean hand-over, seconds", round(seconds, 2))
    print(f"clean hand-over: {seconds:.2f} s")
    assert seconds < LEASE_SECONDS
    assert first.wait(10.0) == 0
    create(drplan)
    finish(drplan)
