"""Child processes: how they start, end, freeze, and what is said when one fails."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster.ports import free_port, release
from devcluster.processes import ComponentError, ManagedProcess
from tests.devcluster.support import state, until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
PARENT = """
import sys, time
from pathlib import Path
from devcluster.processes import ManagedProcess
child = ManagedProcess("child", [sys.executable, "-c", "import time; time.sleep(600)"], Path(sys.argv[1])).start()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], ManagedProcess]]:
    started: list[ManagedProcess] = []

    def start(program: str) -> ManagedProcess:
        process = ManagedProcess("part", [sys.executable, "-c", program], tmp_path / "part.log").start()
        started.append(process)
        until(lambda: "up" in process.log.read_text() or not process.running)
        return process

    yield start
    for process in started:
        process.kill9()


def test_stop_ends_it(run: Callable[[str], ManagedProcess]) -> None:
    process = run(SLEEPER)
    assert process.running
    assert process.stop() == -signal.SIGTERM
    assert not process.running
    assert process.pid is not None
    assert state(process.pid) == "gone"


def test_stop_kills_one_that_does_not_listen(run: Callable[[str], ManagedProcess]) -> None:
    assert run(STUBBORN).stop(timeout=0.2) == -signal.SIGKILL


def test_a_paused_one_can_be_resumed_and_stopped(run: Callable[[str], ManagedProcess]) -> None:
    process = run(SLEEPER)
    pid = process.pid or 0
    process.pause()
    until(lambda: state(pid) == "T")
    process.resume()
    until(lambda: state(pid) == "S")
    process.pause()
    assert process.stop() == -signal.SIGTERM


def test_it_can_be_started_again(run: Callable[[str], ManagedProcess]) -> None:
    process = run(SLEEPER)
    with pytest.raises(RuntimeError, match="already runs"):
        process.start()
    first = process.pid
    process.kill9()
    assert process.returncode == -signal.SIGKILL
    process.start()
    assert process.running
    assert process.pid != first


def test_early_end_is_told_with_the_log(run: Callable[[str], ManagedProcess]) -> None:
    process = run("print('cannot bind'); raise SystemExit(7)")
    with pytest.raises(
        ComponentError, match=r"part ended with exit code 7 before it could become ready(.|\n)*cannot bind"
    ):
        process.wait_until(lambda: False, timeout=60)


def test_slowness_is_told_with_the_log(run: Callable[[str], ManagedProcess]) -> None:
    with pytest.raises(ComponentError, match=r"part did not become ready within 0.1 s(.|\n)*up"):
        run(SLEEPER).wait_until(lambda: False, timeout=0.1)


def test_missing_program_is_told(tmp_path: Path) -> None:
    process = ManagedProcess("part", ["/no/such/program"], tmp_path / "log").start()
    with pytest.raises(ComponentError, match="cannot start /no/such/program: No such file or directory"):
        process.wait_until(lambda: False, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_killing_the_parent_ends_the_child(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert state(child) != "gone"
        parent.kill()
    until(lambda: state(child) == "gone")


def test_the_end_of_the_thread_that_started_it_is_no_matter(run: Callable[[str], ManagedProcess]) -> None:
    started: list[ManagedProcess] = []
    thread = threading.Thread(target=lambda: started.append(run(SLEEPER)))
    thread.start()
    thread.join()
    assert started[0].wait(0.3) is None


def test_ports_are_not_given_twice() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert reserve_elsewhere(ports[0]) != 0
    for port in ports:
        release(port)
    assert reserve_elsewhere(ports[0]) == 0


def reserve_elsewhere(port: int) -> int:
    """Try to reserve a port from another process; its exit code."""
    script = f"import random, devcluster.ports as p; random.sample = lambda *_: [{port}]; p.free_port()"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode
