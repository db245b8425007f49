"""`make chaos`: every write of representative runs and every fault, and the tests of whole processes, in one table.

The order is the same in every run, and worth stopping in: first every fault at every write of every plan, in memory;
then, with real processes on a real API server, every fault at one write of every plan, the groups of tests, and further
writes. What was not reached in time is said. Ends with 1 when something was violated.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from devcluster import Profile
from tests.chaos import memory
from tests.chaos.case import Bounds, Case, Result
from tests.chaos.faults import FAULTS, STOPS, Fault, Times
from tests.chaos.groups import GROUPS, Group, Outcome, run_group
from tests.chaos.points import passes, recordings
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stand import LATE_SECONDS, SIDE_BY_SIDE, Stand
from tests.chaos.table import by_fault, memory_rows, rows, text
from tests.crash.conftest import running_rig
from tests.support.site import Site

GROUP_SECONDS = 1500.0
"""How long one group of tests may take on a busy machine."""

PROGRESS_SECONDS = 30.0


class Run:
    """What is run, until when, and what came of it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.bounds = Bounds(arguments.bound, Times(slow=arguments.slow, late=LATE_SECONDS))
        self.only: list[str] = [word for word in arguments.only.split(",") if word]
        self.profile: Profile = "minimal" if arguments.minimal else "full"
        self.until: float = time.monotonic() + arguments.minutes * 60
        self.results: list[Result] = []
        self.in_memory: list[memory.Found] = []
        self.outcomes: list[Outcome] = []
        self.recorded: dict[str, int] = {}
        self.left = 0
        self.told = time.monotonic()

    @property
    def violations(self) -> int:
        """How many cases and tests did not hold."""
        cases = [each.violation for each in self.results] + [each.violation for each in self.in_memory]
        return sum(map(bool, cases)) + sum(len(o.failed) for o in self.outcomes)

    def wanted(self, name: str) -> bool:
        """Whether ONLY asks for a case or a group: by its whole name, a pattern, or the beginning of its name."""
        return not self.only or any(fnmatch.fnmatch(name, word) or name.startswith(f"{word}/") for word in self.only)

    def cases_in_memory(self) -> None:
        """Run every fault at every write of the plans in memory."""
        for found in memory.everything(lambda group: self.wanted(f"memory/{group}")):
            self.in_memory += found
            for each in found:
                if each.violation:
                    print(f"VIOLATION {each.id}: {each.violation}", flush=True)
            if found:
                print(f"memory/{found[0].group}: {len(found)} cases", flush=True)

    def cases(self) -> None:
        """Run passes of cases, with the groups of tests after the first pass."""
        with (
            tempfile.TemporaryDirectory() as folder,
            Site().serving() as site,
            running_rig(Path(folder), self.profile) as rig,
        ):
            stand = Stand(rig, site, self.bounds)
            stand.use("lasting")
            self._record(stand)
            lasting, stopping = self._passes(FAULTS), self._passes(STOPS)
            for number in range(max(len(lasting), len(stopping), 1)):
                self._run(stand, "lasting", lasting[number : number + 1])
                for kind in ("short", "standby"):
                    self._run(stand, kind, stopping[number : number + 1])
                if number == 0:
                    stand.stop()
                    self._run_groups()
            stand.stop()

    def _record(self, stand: Stand) -> None:
        runs = recordings(s for s in SCENARIOS if not s.needs_jobs or self.profile == "full")
        for result in stand.run([case for case in runs if self._wants_run(case)]):
            self.recorded[result.case.group] = result.writes
            if result.violation:
                self._take(result)

    def _wants_run(self, case: Case) -> bool:
        words = ["/".join(word.split("/")[:2]) for word in self.only]
        return not words or any(fnmatch.fnmatch(case.group, word) or case.scenario.name == word for word in words)

    def _passes(self, faults: tuple[Fault, ...]) -> list[list[Case]]:
        runs = [case for case in recordings(SCENARIOS) if case.group in self.recorded]
        found = passes(self.recorded, runs, faults)
        return [[case for case in each if self.wanted(case.id)] for each in found]

    def _run(self, stand: Stand, kind: str, chosen: list[list[Case]]) -> None:
        cases = [case for each in chosen for case in each]
        for chunk in _chunks(cases):
            if time.monotonic() > self.until:
                self.left += len(chunk)
                continue
            stand.use(kind)
            for result in stand.run(chunk):
                self._take(result)

    def _take(self, result: Result) -> None:
        self.results.append(result)
        if result.violation:
            hit = ", ".join(result.hit)
            print(f"VIOLATION {result.case.id} (at {hit or 'no write'}): {result.violation}", flush=True)
        elif time.monotonic() - self.told > PROGRESS_SECONDS:
            self.told = time.monotonic()
            print(f"{len(self.results)} cases, {self.violations} violations; now {result.case.id}", flush=True)

    def _run_groups(self) -> None:
        for group in GROUPS:
            if self.wanted(f"tests/{group.name}") and not self._late(group):
                outcome = run_group(group, GROUP_SECONDS)
                self.outcomes.append(outcome)
                for failed in outcome.failed:
                    print(f"VIOLATION tests/{group.name}: {failed}", flush=True)

    def _late(self, group: Group) -> bool:
        late = time.monotonic() > self.until
        if late:
            print(f"no time left for tests/{group.name}", flush=True)
        return late


def _chunks(cases: list[Case]) -> Iterator[list[Case]]:
    """Cases that may run side by side, in chunks of so many; each other one alone."""
    together = [case for case in cases if case.fault is not None and not case.fault.alone]
    yield from (together[n : n + SIDE_BY_SIDE] for n in range(0, len(together), SIDE_BY_SIDE))
    yield from ([case] for case in cases if case.fault is not None and case.fault.alone)


def main() -> int:
    """Run what the arguments ask for and print the table."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin nothing more after so long (default 60)")
    parser.add_argument("--only", default="", help="names or patterns of cases and groups, with commas in between")
    parser.add_argument("--bound", type=float, default=30.0, help="seconds from a fault's end to a run's (default 30)")
    parser.add_argument("--slow", type=float, default=30.0, help="seconds that a slow answer takes (default 30)")
    parser.add_argument("--minimal", action="store_true", help="a control plane without Jobs, which starts faster")
    run = Run(parser.parse_args())
    began = time.monotonic()
    run.cases_in_memory()
    if not run.only or any(not word.startswith("memory") for word in run.only):
        run.cases()
    print(text([*memory_rows(run.in_memory), *rows(run.results, run.outcomes, run.recorded)]))
    print("\nby fault:", *by_fault(run.results), sep="\n")
    reached = sum(result.reached for result in run.results)
    asked = sum(result.asked for result in run.results)
    took = (time.monotonic() - began) / 60
    print(
        f"\n{len(run.in_memory)} cases in memory and {reached} on a real API server in {took:.0f} minutes "
        f"(load {os.getloadavg()[0]:.1f}), {run.left} not begun for want of time; "
        f"{asked} runs asked and were told to go on; {run.violations} violations"
    )
    return 1 if run.violations else 0


if __name__ == "__main__":
    sys.exit(main())
