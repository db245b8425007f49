"""The oracle: which effects there must be, and how often each may have been brought about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.chaos.scenarios import Data
from tests.crash.harness import Crashing, key_of
from tests.support.proxy import Request


def check_calls(
    drplan: Crashing, calls: Mapping[str, int], *, again: int, also: Mapping[str, int], also_again: int
) -> None:
    """Assert how often each path was called, under one key each.

    A call may be repeated only where a controller was ended that had it under way: at most once for each time.
    """
    made = drplan.calls()
    assert set(made) == {*calls, *also}, f"called were {made}, expected {[*calls, *also]}"
    for wanted, more in ((calls, again), (also, also_again)):
        for path, times in wanted.items():
            assert times <= made[path] <= times + more, f"{path} was called {made[path]} times, expected {times}"
            keys = {key_of(call) for call in drplan.site.calls(drplan.path(path))}
            assert len(keys) == 1, f"{path} was called under several keys: {sorted(keys)}"


def check_config_maps(drplan: Crashing, wanted: Mapping[str, Data], before: Mapping[str, str]) -> None:
    """Assert what is stored; what was there before the run and still is, is the same object (`before` has its uid)."""
    for name, data in wanted.items():
        if data is None:
            assert not drplan.exists("cm", name), f"ConfigMap {name} is there"
            continue
        found = drplan.get("cm", name)
        assert found.get("data") == dict(data), f"ConfigMap {name} has {found.get('data')}, expected {dict(data)}"
        assert before.get(name) in ("", None, found["metadata"]["uid"]), f"ConfigMap {name} was made anew"


def check_writes_of_config_maps(drplan: Crashing) -> None:
    """Assert that none was made twice and none deleted twice."""

    def counted(method: str) -> Counter[str]:
        def match(request: Request) -> bool:
            return request.method == method and f"/namespaces/{drplan.namespace}/configmaps" in request.path

        found = drplan.proxy.accepted(match, since=drplan.since)
        names = [r.json["metadata"]["name"] if method == "POST" else r.path.rpartition("/")[2] for r in found]
        return Counter(names)

    for word, method in (("made", "POST"), ("deleted", "DELETE")):
        twice = {name: times for name, times in counted(method).items() if times > 1}
        assert not twice, f"{word} more than once: {twice}"
