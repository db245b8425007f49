"""A controller that lacks something: descriptors, memory, names, the right time; see `starved/sitecustomize.py`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import start_controller
from devcluster.services import ServiceProcess
from tests.crash.conftest import LONG_LEASE, Rig
from tests.crash.harness import Crashing
from tests.support.cluster import REPOSITORY

STARVED = Path(__file__).parent / "starved"
PAGE = 4096


def starved(rig: Rig, name: str, *arguments: str, **lacks: object) -> ServiceProcess:
    """Start a controller behind the proxy; `lacks` says of what it has too little."""
    kubeconfig = rig.proxy.kubeconfig(name, rig.plane.identity("controller").token, rig.plane.directory)
    env = {f"STARVE_{what.upper()}": str(amount) for what, amount in lacks.items()}
    return start_controller(
        rig.plane,
        name=name,
        arguments=(f"--kubeconfig={kubeconfig}", *(arguments or LONG_LEASE)),
        env={"PYTHONPATH": f"{STARVED}:{REPOSITORY}", **env},
    )


@contextmanager
def in_its_place(rig: Rig, drplan: Crashing, name: str, *arguments: str, **lacks: object) -> Iterator[ServiceProcess]:
    """Have such a controller instead of the usual one."""
    rig.controller.kill9()
    drplan.free_lease()
    drplan.controller = process = starved(rig, name, *arguments, **lacks)
    try:
        yield process
    finally:
        process.kill9()
        drplan.free_lease()


def resident(process: ServiceProcess) -> int:
    """Bytes of memory that a process holds; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def allocated(process: ServiceProcess) -> int:
    """Bytes of data that a process has allocated, whether it uses them or not: what RLIMIT_DATA limits."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmData:")).split()[1]) * 1024


class MemoryLimit:
    """What a container's memory limit does to a process, and the kubelet afterwards: it is killed, and started again.

    `kills` counts; `most` is the most that was seen.
    """

    def __init__(self, drplan: Crashing, process: ServiceProcess, limit: int) -> None:
        self._drplan = drplan
        self._process = process
        self._limit = limit
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory limit", daemon=True)
        self.kills = 0
        self.most = 0

    def __enter__(self) -> MemoryLimit:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._ended.is_set():
            held = resident(self._process)
            self.most = max(self.most, held)
            if held > self._limit:
                self._process.kill9()
                self.kills += 1
            if not self._process.running:
                self._drplan.free_lease()
                self._process.start()
            time.sleep(0.02)
