"""One case: a run with a fault at its n-th write, and what must hold during and after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from devcluster.api import RequestError
from tests.chaos.effects import check_calls, check_config_maps, check_writes_of_config_maps
from tests.chaos.faults import Fault, Power, Times
from tests.chaos.sabotage import Sabotage
from tests.chaos.scenarios import Scenario, Side, side
from tests.crash.harness import Crashing
from tests.support.installation import API, FINAL, execution, revert

RESUME = "dr.bkbcs.tencent.com/resume"


@dataclass(frozen=True, slots=True)
class Case:
    """A fault at the `nth` write of an operation of a scenario; none for a run that is only recorded."""

    scenario: Scenario
    operation: str
    fault: Fault | None = None
    nth: int = 0

    @property
    def group(self) -> str:
        """The runs that it belongs to."""
        return f"{self.scenario.name}/{self.operation}"

    @property
    def id(self) -> str:
        """Its name, by which it can be run alone."""
        return f"{self.group}/{self.fault.name if self.fault else 'none'}/{self.nth}"


@dataclass(slots=True)
class Result:
    """What came of a case. `recovery` is the time from the fault's end to the end of the run, in seconds."""

    case: Case
    violation: str = ""
    recovery: float = 0.0
    reached: bool = False
    asked: bool = False
    hit: list[str] = field(default_factory=list)
    writes: int = 0
    """How many writes the run had, when it was only recorded."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`recovery` is how long the end of a run may take after the end of its fault, in seconds."""

    recovery: float
    times: Times


def run_case(drplan: Crashing, case: Case, power: Power, bounds: Bounds) -> Result:
    """Run a case in a namespace of its own, and tell what did not hold."""
    result = Result(case)
    running = _Running(drplan, case, power, bounds, result)
    try:
        running.run()
    except (AssertionError, RequestError, OSError) as error:
        result.violation = f"{type(error).__name__}: {error}"[:2000]
    finally:
        running.clean_up()
    return result


class _Running:
    def __init__(self, drplan: Crashing, case: Case, power: Power, bounds: Bounds, result: Result) -> None:
        self._drplan = drplan
        self._case = case
        self._power = power
        self._bounds = bounds
        self._result = result
        self._side: Side = side(case.scenario, case.operation)
        self._name = "e" if case.operation == "Execute" else "r"
        self._sabotage: Sabotage | None = None
        self._uids: dict[str, str] = {}

    def run(self) -> None:
        drplan, case = self._drplan, self._case
        drplan.create(*case.scenario.objects(drplan))
        before = {name: self._uid_of(name) for name in (*case.scenario.execute.config_maps, *self._side.config_maps)}
        if case.operation == "Revert":
            self._hold(case.scenario.execute)
            drplan.create(execution("e", "p"))
            self._uids["e"] = drplan.uid("drpe", "e")
            self._meanwhile(case.scenario.execute, "e")
            drplan.ended("e", case.scenario.execute.phase, timeout=2 * self._bounds.recovery)
        self._hold(self._side)
        self._disturb()
        self._meanwhile(self._side, self._name)
        self._await_end()
        self._sabotage_or_fail().settle(self._patience())
        kills = case.fault.kills if case.fault else 0
        again = kills + (case.fault.stops if case.fault else 0)
        expected = dict(case.scenario.execute.calls) if case.operation == "Revert" else {}
        check_calls(drplan, expected, again=0, also=self._side.calls, also_again=again)
        check_config_maps(drplan, self._side.config_maps, before)
        self._remove_executions()
        check_config_maps(drplan, self._side.config_maps, before)
        check_writes_of_config_maps(drplan)

    def _disturb(self) -> None:
        """Set up the fault, then create the run that meets it."""
        drplan, fault = self._drplan, self._case.fault
        acts = fault.acts(self._power, self._bounds.times) if fault else []
        self._sabotage = Sabotage(drplan, self._case.nth, acts)
        self._sabotage.writes.uids.update(self._uids.values())
        drplan.create(execution("e", "p") if self._name == "e" else revert("r", "p", "e"))
        self._uids[self._name] = drplan.uid("drpe", self._name)
        self._sabotage.writes.uids.add(self._uids[self._name])

    def _hold(self, wanted: Side) -> None:
        """Keep the call waiting in whose midst something is to be done."""
        if held := wanted.cancels or wanted.removes:
            self._drplan.site.hold(self._drplan.path(held))

    def _meanwhile(self, wanted: Side, name: str) -> None:
        """Do what somebody does while the run is under way."""
        drplan = self._drplan
        if wanted.meanwhile is not None:
            wanted.meanwhile(drplan)
        held = wanted.cancels or wanted.removes
        if not held:
            return
        path = drplan.path(held)
        try:
            drplan.site.wait_for(path, timeout=self._patience())
            drplan.cancel(name) if wanted.cancels else drplan.remove(name)
            seen = drplan.entry("CancelRequested", name)
            drplan.wait(
                lambda: drplan.proxy.accepted(seen, since=drplan.since),
                self._patience(),
                "the cancel was never recorded",
            )
        finally:
            drplan.site.let_go(path)

    def _await_end(self) -> None:
        if self._side.removes:
            self._await(lambda: not self._drplan.exists("drpe", self._name), "the deleted execution is still there")
            self._check_record(self._name, "Cancelled")
            return
        self._await(self._has_ended, "the run did not end")
        self._drplan.ended(self._name, self._side.phase, timeout=self._patience())

    def _has_ended(self) -> bool:
        status = self._drplan.status(self._name)
        if status.get("phase") == "Unknown" and not self._result.asked:
            self._answer(status)
        return status.get("phase") in FINAL

    def _answer(self, status: dict[str, Any]) -> None:
        """Let a run go on that asks, after a look at the question."""
        [condition] = [c for c in status["conditions"] if c["type"] == "Suspended"]
        assert condition["status"] == "True"
        assert condition["reason"]
        assert RESUME in condition["message"], condition["message"]
        self._result.asked = True
        path = f"/apis/{API}/namespaces/{self._drplan.namespace}/drplanexecutions/{self._name}"
        self._drplan.merge(path, {"metadata": {"annotations": {RESUME: "true"}}})

    def _await(self, done: Callable[[], bool], message: str) -> None:
        """Wait until something is so; fail when it takes too long after the end of the fault."""
        sabotage = self._sabotage_or_fail()
        begun = time.monotonic()
        while not done():
            late = time.monotonic() - max(sabotage.ended, begun)
            if not sabotage.busy and late > self._bounds.recovery:
                raise AssertionError(
                    f"{message} within {self._bounds.recovery:g} s of the end of the fault{self._shown()}"
                )
            time.sleep(0.05)
        if sabotage.hit:
            self._result.recovery = max(self._result.recovery, time.monotonic() - max(sabotage.ended, begun))

    def _shown(self) -> str:
        """How the run stands, for the words of a violation."""
        drplan = self._drplan
        if not drplan.exists("drpe", self._name):
            return ""
        status = drplan.status(self._name)
        stands = f"{status.get('phase') or 'not begun'} ({status.get('progress', '0/0')}): {status.get('message', '')}"
        return f"; it is {stands}; namespace {drplan.namespace}"

    def _check_record(self, name: str, phase: str) -> None:
        """Assert that the plan is free and has one record of the run."""
        drplan = self._drplan
        self._await(lambda: "currentExecution" not in drplan.plan_status("p"), "the plan is still locked")
        records = [r for r in drplan.plan_status("p")["executionHistory"] if r["uid"] == self._uids[name]]
        assert [record["phase"] for record in records] == [phase], records

    def _remove_executions(self) -> None:
        """Delete the executions; nothing of them may be left but their records in the plan's history."""
        drplan = self._drplan
        phases = {"e": self._case.scenario.execute.phase, self._name: self._side.phase}
        for name, uid in self._uids.items():
            if drplan.exists("drpe", name):
                drplan.remove(name)
            self._await(lambda name=name: not drplan.exists("drpe", name), f"{name} is still there")  # type: ignore[misc]
            self._sabotage_or_fail().settle(self._patience())
            self._await(lambda uid=uid: drplan.stored_for(uid) == [], "what was stored for the run is left")  # type: ignore[misc]
            self._check_record(name, phases[name])

    def clean_up(self) -> None:
        """Take the case's rules and objects away, so that later cases do not pay for earlier ones."""
        drplan, sabotage = self._drplan, self._sabotage
        if sabotage is not None:
            sabotage.remove()
            self._result.hit = sabotage.hit
            self._result.reached = bool(sabotage.hit)
            self._result.writes = sabotage.rule.seen
        if self._result.violation:
            return  # what is left shows what happened
        root = f"/apis/{API}/namespaces/{drplan.namespace}"
        for path in (f"{root}/drplans", f"{root}/drworkflows", f"/api/v1/namespaces/{drplan.namespace}/configmaps"):
            with suppress(OSError):
                drplan.cluster.api.raw("DELETE", path)

    def _patience(self) -> float:
        """Seconds until something happens that waits for the end of a fault."""
        return 2 * self._bounds.recovery + 2 * max(self._bounds.times.slow, self._bounds.times.late)

    def _sabotage_or_fail(self) -> Sabotage:
        assert self._sabotage is not None
        return self._sabotage

    def _uid_of(self, name: str) -> str:
        return self._drplan.uid("cm", name) if self._drplan.exists("cm", name) else ""
