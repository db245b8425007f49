"""A batch that is refused for good: the offending entry is found, the others go on."""

from __future__ import annotations

import asyncio

import pytest

from controller.journal import EntryRefusedError
from controller.journal.batch import Waiting, store_each
from controller.journal.format import Line
from controller.journal.store import SegmentRefusedError


class Server:
    """Takes lines, except those whose text begins with `bad`; everything is refused while it is in a `mood`."""

    def __init__(self, mood: int = 0) -> None:
        self.mood = mood
        self.stored: list[str] = []
        self.writes = 0

    async def write(self, lines: list[Line]) -> None:
        self.writes += 1
        if self.mood > 0 or any(line.text.startswith("bad") for line in lines):
            self.mood -= 1
            raise SegmentRefusedError("admission webhook denied it")
        self.stored += [line.text for line in lines if line.text not in self.stored]

    async def is_sound(self) -> bool:
        return self.mood <= 0


def item(uid: str, *texts: str) -> Waiting:
    return Waiting([Line(uid, number, text) for number, text in enumerate(texts, start=1)])


async def store(server: Server, items: list[Waiting]) -> list[int | None]:
    """Return of each item how many entries were committed before a refusal; None where all were."""
    await store_each(items, server.write, server.is_sound)
    results: list[int | None] = []
    for each in items:
        error = each.committed.exception()
        assert error is None or isinstance(error, EntryRefusedError)
        results.append(None if error is None else error.committed)
    return results


async def test_a_good_batch_is_one_write() -> None:
    server = Server()
    assert await store(server, [item("a", "a1", "a2"), item("b", "b1")]) == [None, None]
    assert (server.stored, server.writes) == (["a1", "a2", "b1"], 1)


@pytest.mark.parametrize("position", range(9))
async def test_one_bad_entry_among_many_runs_is_found(position: int) -> None:
    items = [item(f"r{n}", f"r{n}") for n in range(9)]
    items[position] = item("x", "good", "bad", "after")
    server = Server()
    expected: list[int | None] = [None] * 9
    expected[position] = 1
    assert await store(server, items) == expected
    assert set(server.stored) == {f"r{n}" for n in range(9) if n != position} | {"good"}
    assert server.writes <= 16


async def test_several_bad_ones() -> None:
    server = Server()
    items = [item("a", "bad"), item("b", "b1"), item("c", "c1", "bad2"), item("d", "d1")]
    assert await store(server, items) == [0, None, 1, None]
    assert set(server.stored) == {"b1", "c1", "d1"}


async def test_a_refusal_of_everything_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota or a policy that takes no write at all: what waits is tried again until it is gone."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    server = Server(mood=8)
    assert await store(server, [item("a", "a1"), item("b", "b1")]) == [None, None]
    assert set(server.stored) == {"a1", "b1"}
    assert len(waits) >= 4
