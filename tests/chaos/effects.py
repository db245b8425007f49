"""The oracle: which effects there must be, and how often each may have been brought about.

`judge_...` go by plain values, for runs on a real API server and in memory alike; `check_...` ask a rig for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.chaos.scenarios import Data
from tests.crash.harness import Crashing, key_of
from tests.support.proxy import Request

Stored = Callable[[str], Mapping[str, Any] | None]
"""Returns a ConfigMap of the run's namespace by its name; None when there is none."""


def judge_calls(
    keys: Mapping[str, Sequence[str]], calls: Mapping[str, int], *, again: int, also: Mapping[str, int], also_again: int
) -> None:
    """Assert how often each path was called, under one key each; `keys` has the key of each call that was made.

    A call may be repeated only where a controller was ended that had it under way: at most once for each time.
    """
    made = {path: len(each) for path, each in keys.items()}
    assert set(made) == {*calls, *also}, f"called were {made}, expected {[*calls, *also]}"
    for wanted, more in ((calls, again), (also, also_again)):
        for path, times in wanted.items():
            assert times <= made[path] <= times + more, f"{path} was called {made[path]} times, expected {times}"
            assert len(set(keys[path])) == 1, f"{path} was called under several keys: {sorted(set(keys[path]))}"


def judge_config_maps(stored: Stored, wanted: Mapping[str, Data], before: Mapping[str, str]) -> None:
    """Assert what is stored; what was there before the run and still is, is the same object (`before` has its uid)."""
    for name, data in wanted.items():
        found = stored(name)
        if data is None:
            assert found is None, f"ConfigMap {name} is there"
            continue
        assert found is not None, f"ConfigMap {name} is not there"
        assert found.get("data") == dict(data), f"ConfigMap {name} has {found.get('data')}, expected {dict(data)}"
        assert before.get(name) in ("", None, found["metadata"]["uid"]), f"ConfigMap {name} was made anew"


def judge_once(made: Iterable[str], deleted: Iterable[str]) -> None:
    """Assert that none was made twice and none deleted twice, by the names of what was made and deleted."""
    for word, names in (("made", made), ("deleted", deleted)):
        twice = {name: times for name, times in Counter(names).items() if times > 1}
        assert not twice, f"{word} more than once: {twice}"


def check_calls(
    drplan: Crashing, calls: Mapping[str, int], *, again: int, also: Mapping[str, int], also_again: int
) -> None:
    """Judge the calls of a rig."""
    keys = {path: [key_of(call) for call in drplan.site.calls(drplan.path(path))] for path in drplan.calls()}
    judge_calls(keys, calls, again=again, also=also, also_again=also_again)


def check_config_maps(drplan: Crashing, wanted: Mapping[str, Data], before: Mapping[str, str]) -> None:
    """Judge the ConfigMaps of a rig."""
    judge_config_maps(lambda name: drplan.get("cm", name) if drplan.exists("cm", name) else None, wanted, before)


def check_writes_of_config_maps(drplan: Crashing) -> None:
    """Judge what a rig's proxy has seen written."""

    def accepted(method: str) -> list[Request]:
        def match(request: Request) -> bool:
            return request.method == method and f"/namespaces/{drplan.namespace}/configmaps" in request.path

        return drplan.proxy.accepted(match, since=drplan.since)

    judge_once(
        (request.json["metadata"]["name"] for request in accepted("POST")),
        (request.path.rpartition("/")[2] for request in accepted("DELETE")),
    )
