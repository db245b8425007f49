"""Runs are looked at only while the watch is silent, and what changed unseen has everything listed anew."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from app.kube.errors import NotFound
from controller.lookout import CONFIRM_SECONDS, MOST_COMPARED, SILENT_SECONDS, SPEAKING_SECONDS, Lookout
from controller.run.runs import Runs
from controller.services import Services

pytestmark = pytest.mark.looptime


class World:
    """One cached execution, what the API server has of it, and what was asked."""

    def __init__(
        self,
        *,
        silent: float,
        cached: int | None = 7,
        live: int | None = 7,
        others: list[dict[str, Any]] | None = None,
        old: int = 0,
        shown: bool = True,
    ) -> None:
        self.seconds_since_last_line = silent
        self.cached = cached
        self.live = live
        self.asked: list[str] = []
        self.refreshed = 0
        self.counted = 0
        self.limits: list[int] = []
        self.others = others
        self.old = old
        self.shown = shown
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

    def items(self) -> list[dict[str, Any]]:
        return [seen("e", self.cached or 7)] + [seen(f"old-{n}", 1) for n in range(self.old)]

    async def list(self, _resource: object, *, limit: int, metadata_only: bool) -> dict[str, Any]:
        assert metadata_only
        self.counted += 1
        self.limits.append(limit)
        there = self.others if self.others is not None else self.items()
        metadata: dict[str, Any] = {"continue": "next"} if len(there) > limit else {}
        if len(there) > limit and self.shown:
            metadata["remainingItemCount"] = len(there) - limit
        return {"metadata": metadata, "items": there[:limit]}

    async def refresh(self, _since: float, _timeout: float) -> None:
        self.refreshed += 1


async def test_a_watch_that_speaks_is_believed() -> None:
    world = World(silent=SILENT_SECONDS - 1, live=9)
    world.lookout._looked = asyncio.get_running_loop().time()
    await world.lookout.look()
    assert (world.asked, world.counted, world.refreshed) == ([], 0, 0)


async def test_a_watch_that_speaks_may_have_lost_a_change_all_the_same() -> None:
    world = World(silent=0, live=9)
    world.lookout._looked = asyncio.get_running_loop().time()
    await asyncio.sleep(SPEAKING_SECONDS)
    await world.lookout.look()
    assert world.refreshed == 1


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


def seen(uid: str, version: int) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "resourceVersion": str(version)}}


@pytest.mark.parametrize(
    "others",
    [[], [seen("e", 7), seen("new", 9)], [seen("new", 9)], [seen("e", 8)]],
    ids=["gone", "new", "one gone and one new", "changed before it runs"],
)
async def test_other_executions_than_known_have_all_of_them_listed(others: list[dict[str, Any]]) -> None:
    world = World(silent=30, others=others)
    await world.lookout.look()
    assert world.refreshed == 1


async def test_an_older_version_than_that_of_an_own_write_does_not() -> None:
    world = World(silent=30, others=[seen("e", 6)])
    await world.lookout.look()
    assert world.refreshed == 0


@pytest.mark.parametrize(("more", "shown", "refreshed"), [(0, True, 0), (1, True, 1), (1, False, 0)])
async def test_of_many_only_the_number_is_asked_for(more: int, shown: bool, refreshed: int) -> None:
    world = World(silent=30, old=MOST_COMPARED, shown=shown)
    world.others = [*world.items(), *[seen("new", 9)] * more]
    await world.lookout.look()
    assert set(world.limits) == {1}
    assert world.refreshed == refreshed


async def test_what_was_only_on_its_way_has_nothing_listed() -> None:
    world = World(silent=30, live=9)
    looking = asyncio.create_task(world.lookout.look())
    await asyncio.sleep(CONFIRM_SECONDS / 2)
    assert world.asked
    world.cached = 9
    await looking
    assert world.refreshed == 0
