"""The processes that cases are run on: the controllers, how they are killed and stopped, and what holds of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from devcluster.services import ServiceProcess
from tests.chaos.case import Bounds, Case, Result, run_case
from tests.crash.conftest import LONG_LEASE, Rig
from tests.crash.harness import LEASE, Crashing
from tests.support.installation import FAST_LEASE
from tests.support.site import Site

LASTING = (*LONG_LEASE, "--write-timeout=3")
"""A lease that is not lost, and a short wait for answers, so that late ones are really late."""
LATE_SECONDS = 4.0
"""Longer than that wait."""
STOP_SECONDS = 5.0
"""Longer than the lease of controllers that are stopped."""
ENDED_SECONDS = 10.0
"""How long a process that lost its lease may live on."""
SEGMENTS = 3
SIDE_BY_SIDE = 8


class Stand:
    """Controllers in the place of the rig's own one, and the cases that are run with them."""

    def __init__(self, rig: Rig, site: Site, bounds: Bounds) -> None:
        self._rig = rig
        self._site = site
        self._bounds = bounds
        self._controllers: list[ServiceProcess] = []
        self._known: dict[str, ServiceProcess] = {}
        self._killing = threading.Lock()
        rig.controller.kill9()

    def use(self, kind: str) -> None:
        """Have other controllers: `lasting`, `short` (a short lease) or `standby` (a short lease and two of them)."""
        names = {"lasting": ["lasting"], "short": ["short-1"], "standby": ["short-1", "short-2"]}[kind]
        if [process.name for process in self._controllers] == names and all(p.running for p in self._controllers):
            return
        self.stop()
        self._free_lease()
        self._controllers = [self._started(name) for name in names]

    def stop(self) -> None:
        """End the controllers."""
        for process in self._controllers:
            process.resume()
            process.kill9()
        self._controllers = []

    def run(self, cases: Sequence[Case]) -> list[Result]:
        """Run cases, side by side as far as their faults allow it."""
        results: list[Result] = []
        together = [case for case in cases if case.fault is None or not case.fault.alone]
        for first in range(0, len(together), SIDE_BY_SIDE):
            results += self._at_once(together[first : first + SIDE_BY_SIDE])
        for case in (case for case in cases if case.fault is not None and case.fault.alone):
            results += self._at_once([case])
        return results

    def _at_once(self, cases: Sequence[Case]) -> list[Result]:
        with ThreadPoolExecutor(max(1, len(cases))) as pool:
            results = list(pool.map(self._one, cases))
        self._rig.proxy.clear()
        problem = self._problem()
        self._rig.proxy.forget()
        if problem:
            results[0].violation = results[0].violation or problem
        if any(result.violation for result in results):
            logs = "\n".join(f"end of the log of {p.name}:\n{p.last_lines(30)}" for p in self._controllers)
            next(result for result in results if result.violation).violation += f"\n{logs}"
        return results

    def _one(self, case: Case) -> Result:
        namespace = self._rig.cluster.namespace("chaos")
        drplan = Crashing(self._rig.cluster, self._site, namespace, self._rig.proxy, self._controllers[0])
        stops = case.fault is not None and case.fault.stops
        return run_case(drplan, case, self._stop_leader if stops else self._kill, self._bounds)

    def _kill(self) -> None:
        """Kill the controller and start it again; nobody waits until its lease has expired."""
        process = self._controllers[0]
        with self._killing:  # a write that is sent again may meet the next kill while this one is under way
            process.kill9()
            self._free_lease()
            process.start()

    def _stop_leader(self) -> None:
        """Stop the controller that leads for longer than its lease; if another one leads then, it has to end."""
        leader = next((process for process in self._controllers if leads(process)), self._controllers[0])
        leader.pause()
        time.sleep(STOP_SECONDS)
        replaced = any(leads(process) for process in self._controllers if process is not leader)
        leader.resume()
        if replaced:
            assert leader.wait(ENDED_SECONDS) is not None, f"{leader.name} lost its lease and lives on"

    def _problem(self) -> str:
        """What is wrong with the controllers when nothing is under way."""
        ended = [process.name for process in self._controllers if not process.running]
        for process in self._controllers:
            if not process.running:
                process.start()
        if "lasting" in ended:
            return "the controller ended by itself, though nobody took its lease; its log says why"
        deadline = time.monotonic() + self._bounds.recovery
        while time.monotonic() < deadline:
            if not (wrong := self._wrong()):
                return ""
            time.sleep(0.1)
        return wrong

    def _wrong(self) -> str:
        leaders = [process.name for process in self._controllers if leads(process)]
        if len(leaders) != 1:
            return f"{leaders} lead, expected one of {[process.name for process in self._controllers]}"
        for process in self._controllers:
            if process.fetch(process.health_port, "/healthz")[0] != 200:
                return f"{process.name} is not healthy"
        segments = len(self._crashing().segments())
        return "" if segments <= SEGMENTS else f"{segments} journal segments are left"

    def _crashing(self) -> Crashing:
        return Crashing(self._rig.cluster, self._site, "default", self._rig.proxy, self._controllers[0])

    def _free_lease(self) -> None:
        status, _ = self._rig.cluster.api.raw("GET", LEASE)
        if status == 200:
            api = self._rig.cluster.api
            api.request("PATCH", LEASE, {"spec": {"holderIdentity": ""}}, "application/merge-patch+json")

    def _started(self, name: str) -> ServiceProcess:
        if name not in self._known:
            flags = LASTING if name == "lasting" else FAST_LEASE
            self._known[name] = self._rig.start(name, *flags)
        else:
            self._known[name].start().wait_ready()
        return self._known[name]


def leads(process: ServiceProcess) -> bool:
    """Whether a controller says that it leads; one that stands still says nothing."""
    return "drplan_leader 1.0" in process.metrics()
