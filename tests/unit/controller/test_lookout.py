"""Runs are looked at only while the watch is silent, and what changed unseen has everything listed anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from app.kube.errors import NotFound
from controller.lookout import SILENT_SECONDS, Lookout
from controller.runs import Runs
from controller.services import Services

pytestmark = pytest.mark.looptime


class World:
    """One cached execution, what the API server has of it, and what was asked."""

    def __init__(self, *, silent: float, cached: int | None = 7, live: int | None = 7) -> None:
        self.seconds_since_last_line = silent
        self.cached = cached
        self.live = live
        self.asked: list[str] = []
        self.refreshed = 0
        run = SimpleNamespace(snapshot=SimpleNamespace(execution_namespace="ns", execution_name="e"))
        runs = SimpleNamespace(under_way=lambda: [run, run])
        self.lookout = Lookout(cast("Services", SimpleNamespace(kube=self, executions=self)), cast("Runs", runs))

    def get(self, _namespace: str, _name: str) -> dict[str, Any] | None:
        return None if self.cached is None else {"metadata": {"resourceVersion": str(self.cached)}}

    async def get_raw(self, path: str, *, accept: str) -> bytes:
        assert "PartialObjectMetadata" in accept
        self.asked.append(path)
        if self.live is None:
            raise NotFound(404, "NotFound", "gone")
        return orjson.dumps({"metadata": {"resourceVersion": str(self.live)}})

    async def refresh(self, _since: float, _timeout: float) -> None:
        self.refreshed += 1


async def test_a_watch_that_speaks_is_believed() -> None:
    world = World(silent=SILENT_SECONDS - 1, live=9)
    await world.lookout.look()
    assert (world.asked, world.refreshed) == ([], 0)


async def test_a_silent_watch_that_missed_nothing_is_left_alone() -> None:
    world = World(silent=30)
    await world.lookout.look()
    assert len(world.asked) == 2
    assert world.asked[0].endswith("/namespaces/ns/drplanexecutions/e")
    assert world.refreshed == 0


@pytest.mark.parametrize(("cached", "live"), [(7, 8), (7, None), (None, 8)], ids=["changed", "gone", "unknown"])
async def test_what_it_missed_is_listed(cached: int | None, live: int | None) -> None:
    world = World(silent=30, cached=cached, live=live)
    await world.lookout.look()
    assert world.refreshed == 1


@pytest.mark.parametrize(("cached", "live"), [(8, 7), (None, None)], ids=["own write", "gone and known to be"])
async def test_what_is_known_better_here_is_not(cached: int | None, live: int | None) -> None:
    world = World(silent=30, cached=cached, live=live)
    await world.lookout.look()
    assert world.refreshed == 0
