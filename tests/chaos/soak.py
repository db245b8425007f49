"""`make soak`: a hundred runs at once, under faults, stops and kills by chance, for as long as is asked for.

Kills happen in the first half only: in the second half one process lives through everything else, and what its memory
does is told as a trend. Every run has to end as it should, to have called each path under one key, and to leave
nothing behind; a run that does not end within two minutes is a violation. Ends with 1 when there was one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Any

from devcluster.api import RequestError
from devcluster.services import ServiceProcess
from tests.crash.conftest import LONG_LEASE, Rig, running_rig
from tests.crash.harness import OWN, Crashing, key_of
from tests.support.installation import API, FINAL, check_summary, config_map_action, execution, plan, stage, workflow
from tests.support.proxy import Answer, Forward, Request, Rule, lose_answer, lose_request, refuse
from tests.support.site import Site

RUNS = 100
END_SECONDS = 120.0
"""How long a run may take, with a hundred others and the faults of that time."""
FAULTY = 0.02
"""Part of the writes that meet a fault."""
ROUND_SECONDS = 1.0


@dataclass(slots=True)
class Soak:
    """Who runs, since when, and what was found."""

    drplan: Crashing
    rand: random.Random
    running: dict[str, float] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    disturbed: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    number: int = 0
    kills: int = 0

    def violated(self, what: str) -> None:
        """Note a violation, and say it at once."""
        self.violations.append(what)
        print(f"VIOLATION {what}", flush=True)

    # runs

    def prepare(self) -> None:
        """A hundred plans: two calls around an object that is made and taken away again."""
        for n in range(RUNS):
            made = config_map_action("make", f"cm{n}", self.drplan.namespace)
            gone = config_map_action("take", f"cm{n}", self.drplan.namespace, "Delete")
            actions = [self.drplan.http(f"a{n}"), made, self.drplan.http(f"b{n}"), gone]
            self.drplan.create(workflow(f"w{n}", actions), plan(f"p{n}", [stage("s", f"w{n}")]))

    def round(self) -> None:
        """Judge what has ended, delete it, and begin the next run of each plan that is free."""
        root = f"/apis/{API}/namespaces/{self.drplan.namespace}/drplanexecutions"
        found = {item["metadata"]["name"]: item for item in self.drplan.cluster.api.get(root)["items"]}
        for name in list(self.running):
            item = found.get(name)
            if item is None:
                self.running.pop(name)
            elif not item["metadata"].get("deletionTimestamp") and (item.get("status") or {}).get("phase") in FINAL:
                self.judge(name, item)
                self.drplan.remove(name)
            elif time.monotonic() - self.running[name] > END_SECONDS:
                status = item.get("status") or {}
                self.violated(f"{name} is {status.get('phase')} after {END_SECONDS:g} s: {status.get('message')}")
                self.running[name] = time.monotonic()
        for n in range(RUNS):
            if not any(name.startswith(f"e{n}-") for name in self.running):
                self._begin(n)

    def _begin(self, n: int) -> None:
        self.number += 1
        name = f"e{n}-{self.number}"
        try:
            self.drplan.create(execution(name, f"p{n}"))
        except RequestError as error:
            if error.status != 403:  # the plan's last run is still being taken off it
                self.violated(f"{name} was not let in: {error}")
            return
        self.running[name] = time.monotonic()

    def judge(self, name: str, item: dict[str, Any]) -> None:
        status = item["status"]
        self.ended[status["phase"]] += 1
        if status["phase"] != "Succeeded":
            self.violated(f"{name} is {status['phase']}: {status.get('message')}")
        with_problem = ""
        try:
            check_summary(status)
        except AssertionError as error:
            with_problem = f"its summary is wrong: {error}"
        uid, n = item["metadata"]["uid"], name[1:].partition("-")[0]
        for letter in "ab":
            calls = [c for c in self.drplan.site.calls(self.drplan.path(f"{letter}{n}")) if key_of(c).startswith(uid)]
            if not 1 <= len(calls) <= 1 + self.kills:
                with_problem = f"{letter}{n} was called {len(calls)} times"
        if with_problem:
            self.violated(f"{name}: {with_problem}")

    # faults

    async def disturb(self, rule: Rule, forward: Forward) -> Answer | None:
        """Do something to a write, mostly nothing."""
        if self.rand.random() > FAULTY:
            return await forward()
        word = self.rand.choice(("request lost", "answer lost", "500", "slow"))
        self.disturbed[word] += 1
        if word == "slow":
            await asyncio.sleep(self.rand.uniform(0.1, 3.0))
            return await forward()
        return await {"request lost": lose_request, "answer lost": lose_answer, "500": refuse(500)}[word](rule, forward)

    def strike(self, controller: ServiceProcess, *, kills: bool) -> None:
        """Stop the controller for a moment, or kill it."""
        if kills and self.rand.random() < 0.5:
            self.kills += 1
            self.disturbed["killed"] += 1
            controller.kill9()
            self.drplan.free_lease()
            controller.start()
            return
        self.disturbed["stopped"] += 1
        controller.pause()
        time.sleep(self.rand.uniform(0.2, 4.0))
        controller.resume()

    def weigh(self, controller: ServiceProcess) -> float:
        """Note the resident memory of the controller, in MB (10^6 bytes)."""
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{controller.pid}/status").read_text().splitlines()
            kibibytes = int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
            self.memory.append((time.monotonic(), kibibytes * 1024 / 1e6))
        return self.memory[-1][1] if self.memory else 0.0


def writes(request: Request) -> bool:
    """Whether a request changes something, the lease left out."""
    return request.method != "GET" and "/leases/" not in request.path


def soaked(rig: Rig, site: Site, minutes: float, seed: int) -> Soak:
    """Run it, and wait until everything has ended."""
    soak = Soak(
        Crashing(rig.cluster, site, rig.cluster.namespace("soak"), rig.proxy, rig.controller), random.Random(seed)
    )
    soak.prepare()
    rig.proxy.on(writes, soak.disturb, times=None)
    began, shown, struck = time.monotonic(), 0.0, time.monotonic()
    while (passed := time.monotonic() - began) < minutes * 60:
        soak.round()
        if not rig.controller.running:
            soak.violated(f"the controller ended: {rig.controller.last_lines(5)}")
            rig.controller.start()
        if time.monotonic() - struck > soak.rand.uniform(10.0, 30.0):
            soak.strike(rig.controller, kills=passed < minutes * 30)
            struck = time.monotonic()
        size = soak.weigh(rig.controller)
        if passed - shown >= 30.0:
            shown = passed
            print(f"{passed / 60:5.1f} min  {size:6.1f} MB  ended {dict(soak.ended)}", flush=True)
        rig.proxy.forget()
        time.sleep(ROUND_SECONDS)
    rig.proxy.clear()
    _drain(soak)
    return soak


def _drain(soak: Soak) -> None:
    """Let everything end without faults; afterwards nothing may be left."""
    deadline = time.monotonic() + END_SECONDS
    root = f"/apis/{API}/namespaces/{soak.drplan.namespace}/drplanexecutions"
    while (items := soak.drplan.cluster.api.get(root)["items"]) and time.monotonic() < deadline:
        for item in items:
            name = item["metadata"]["name"]
            ended = (item.get("status") or {}).get("phase") in FINAL
            if ended and not item["metadata"].get("deletionTimestamp"):
                soak.judge(name, item)
                soak.drplan.remove(name)
        time.sleep(ROUND_SECONDS)
    if items:
        soak.violated(f"{len(items)} executions do not end without faults")
    stored = [
        cm["metadata"]["name"] for cm in soak.drplan.cluster.api.get(f"/api/v1/namespaces/{OWN}/configmaps")["items"]
    ]
    left = [name for name in stored if name.startswith(("drplan-snapshot-", "drplan-prior-", "drplan-outcome-"))]
    if left and not items:
        soak.violated(f"left behind: {left[:10]}")


def trend(samples: Sequence[tuple[float, float]]) -> str:
    """Say in words where memory goes, by a straight line through the samples (seconds, MB)."""
    if len(samples) < 3:
        return "too few samples for a trend"
    line = linear_regression([at for at, _ in samples], [size for _, size in samples])
    sizes = [size for _, size in samples]
    return f"{min(sizes):.0f} to {max(sizes):.0f} MB, trend {line.slope * 600:+.1f} MB in ten minutes"


def main() -> int:
    """Soak, and print what was found."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=20260)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Site().serving() as site, running_rig(Path(folder)) as rig:
        rig.controller.kill9()
        rig.controller = rig.start("soaked", *LONG_LEASE, "--write-timeout=4")
        began = time.monotonic()
        soak = soaked(rig, site, arguments.minutes, arguments.seed)
    second = [sample for sample in soak.memory if sample[0] - began > arguments.minutes * 30]
    print(f"ended {dict(soak.ended)}; faults {dict(soak.disturbed)}; violations {len(soak.violations)}")
    print(f"memory of the controller in the second half: {trend(second)}")
    return 1 if soak.violations else 0


if __name__ == "__main__":
    sys.exit(main())
