"""What the suite's own parts decide, without a control plane: its oracle notices, its table has every case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from tests.chaos.case import Case, Result
from tests.chaos.effects import check_calls, check_config_maps, check_writes_of_config_maps
from tests.chaos.faults import FAULTS, STOPS
from tests.chaos.groups import GROUPS, Outcome
from tests.chaos.points import passes, recordings
from tests.chaos.sabotage import Writes
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.soak import trend
from tests.chaos.table import rows, text
from tests.crash.harness import OWN, Crashing
from tests.support.cluster import REPOSITORY
from tests.support.proxy import Request
from tests.support.site import Call

NAMESPACE = "chaos-1-abc"


class Seen:
    """Stands for an installation: what was called, stored and written."""

    def __init__(
        self,
        keys: Mapping[str, list[str]] | None = None,
        stored: Mapping[str, tuple[str, dict[str, str]]] | None = None,
        accepted: list[Request] | None = None,
    ) -> None:
        self._keys = keys or {}
        self._stored = stored or {}
        self._accepted = accepted or []
        self.namespace = NAMESPACE
        self.since = 0
        self.site = self
        self.proxy = self

    def as_installation(self) -> Crashing:
        return cast(Crashing, self)

    def path(self, path: str) -> str:
        return path

    def calls(self, path: str | None = None) -> Any:
        if path is None:
            return {name: len(keys) for name, keys in self._keys.items()}
        return [Call("POST", path, {"Idempotency-Key": key}, "", 0.0) for key in self._keys[path]]

    def exists(self, kind: str, name: str) -> bool:
        return name in self._stored

    def get(self, kind: str, name: str) -> dict[str, Any]:
        uid, data = self._stored[name]
        return {"metadata": {"uid": uid}, "data": data}

    def accepted(self, match: Any, since: int) -> list[Request]:
        return [request for request in self._accepted if match(request)]


def request(method: str, path: str, body: dict[str, Any] | None = None) -> Request:
    return Request("controller", method, path, {}, json.dumps(body or {}).encode())


@pytest.mark.parametrize(
    ("keys", "again", "problem"),
    [
        ({"a": ["k"]}, 0, ""),
        ({"a": ["k", "k"]}, 1, ""),
        ({"a": ["k", "k"]}, 0, "2 times"),
        ({"a": ["k", "l"]}, 1, "several keys"),
        ({}, 1, "expected"),
        ({"a": ["k"], "b": ["k"]}, 0, "called were"),
    ],
)
def test_calls_that_are_too_many_too_few_or_under_other_keys(
    keys: dict[str, list[str]], again: int, problem: str
) -> None:
    def check() -> None:
        check_calls(Seen(keys).as_installation(), {}, again=0, also={"a": 1}, also_again=again)

    if not problem:
        check()
        return
    with pytest.raises(AssertionError, match=problem):
        check()


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        ({"kept": ("u1", {"by": "x"})}, ""),
        ({}, "KeyError|kept"),
        ({"kept": ("u1", {"by": "y"})}, "expected"),
        ({"kept": ("u2", {"by": "x"})}, "made anew"),
        ({"kept": ("u1", {"by": "x"}), "gone": ("u3", {})}, "is there"),
    ],
)
def test_objects_that_differ(stored: dict[str, tuple[str, dict[str, str]]], problem: str) -> None:
    def check() -> None:
        wanted = {"kept": {"by": "x"}, "gone": None}
        check_config_maps(Seen(stored=stored).as_installation(), wanted, {"kept": "u1"})

    if not problem:
        check()
        return
    with pytest.raises((AssertionError, KeyError), match=problem):
        check()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_objects_that_were_made_or_deleted_twice(method: str) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps" + ("/one" if method == "DELETE" else "")
    once = [request(method, path, {"metadata": {"name": "one"}})]
    check_writes_of_config_maps(Seen(accepted=once).as_installation())
    with pytest.raises(AssertionError, match="more than once"):
        check_writes_of_config_maps(Seen(accepted=once * 2).as_installation())


def journal(*numbers: int, namespace: str = NAMESPACE) -> Request:
    lines = ['{"header": 1}'] + [json.dumps({"u": "u", "s": n, "ns": namespace, "n": "e", "e": "x"}) for n in numbers]
    path = f"/api/v1/namespaces/{OWN}/configmaps/drplan-journal-1"
    return request("PUT", path, {"metadata": {"name": "drplan-journal-1"}, "data": {"journal": "\n".join(lines)}})


def test_what_counts_as_a_write_of_a_run() -> None:
    writes = Writes(NAMESPACE)
    assert [writes(journal(1)), writes(journal(1)), writes(journal(1, 2))] == [True, False, True]
    assert not writes(journal(1, namespace="other"))
    assert not writes(request("POST", f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"))
    assert not writes(request("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/a"))
    assert not writes(request("PUT", "/apis/x/v1/namespaces/other/drplans/p/status"))
    assert writes(request("PUT", f"/apis/x/v1/namespaces/{NAMESPACE}/drplans/p/status"))
    snapshot = f"/api/v1/namespaces/{OWN}/configmaps"
    assert writes(request("POST", snapshot, {"metadata": {"annotations": {"of": NAMESPACE}}}))
    assert not writes(request("DELETE", f"{snapshot}/drplan-snapshot-u1"))
    writes.uids.add("u1")
    assert writes(request("DELETE", f"{snapshot}/drplan-snapshot-u1"))
    writes.repeated = True
    assert writes(journal(1, 2))


def test_every_point_has_every_fault_and_the_first_pass_has_all_of_them() -> None:
    runs = recordings(SCENARIOS)
    recorded = {case.group: 5 for case in runs}
    found = passes(recorded, runs, (*FAULTS, *STOPS))
    assert len(found) == 5
    faults = len(FAULTS) + len(STOPS)
    for each in found:
        assert len({(case.group, case.fault) for case in each}) == len(runs) * faults
    ids = [case.id for each in found for case in each]
    assert len(set(ids)) == len(ids) == len(runs) * faults * 5
    assert found == passes(recorded, runs, (*FAULTS, *STOPS))


def test_the_table_counts_what_happened() -> None:
    runs = recordings(SCENARIOS[:1])
    [case, *_] = passes({runs[0].group: 2}, runs, FAULTS)[0]
    results = [
        Result(case, reached=True, recovery=1.5),
        Result(Case(case.scenario, case.operation, FAULTS[1], 2), violation="x", reached=True, recovery=2.5),
        Result(Case(case.scenario, case.operation, FAULTS[2], 1)),
    ]
    found = rows(results, [Outcome(GROUPS[0], 7, ("a",), 12.0)], {case.group: 2})
    assert [row.cells() for row in found] == [
        ("sequential/Execute", "2", "2 of 2", "2", "1", "2.5 s"),
        (f"tests/{GROUPS[0].name}", GROUPS[0].about, "", "7", "1", "(took 12 s)"),
    ]
    assert len({len(line) for line in text(found).splitlines()}) == 1


def test_groups_name_tests_that_are_there() -> None:
    for group in GROUPS:
        for path in group.select:
            assert (REPOSITORY / path).exists(), path


def test_trend_of_memory() -> None:
    assert trend([(0.0, 100.0), (300.0, 105.0), (600.0, 110.0)]) == "100 to 110 MB, trend +10.0 MB in ten minutes"
    assert "too few" in trend([(0.0, 1.0)])
