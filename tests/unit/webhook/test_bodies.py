"""Bodies that are under way, and the places of those that are judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Request

from webhook.bodies import GIVEN_WAY, TOO_LATE, Bodies, BodyError, Gate, OverloadError


class Sender:
    """A request whose body comes as a test sends it."""

    def __init__(self, **headers: str) -> None:
        self._parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.request = Request({"type": "http", "headers": raw, "method": "POST"}, self._parts.get)

    def send(self, body: bytes, *, more: bool = True) -> None:
        self._parts.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def hang_up(self) -> None:
        self._parts.put_nowait({"type": "http.disconnect"})


async def reading(bodies: Bodies, sender: Sender, seconds: float = 30.0) -> bytes:
    return await bodies.read(sender.request, seconds)


@pytest.fixture
async def three() -> AsyncIterator[tuple[Bodies, list[Sender], list[asyncio.Task[bytes]]]]:
    """Three bodies that arrive together, with a budget of 100 bytes, begun in order."""
    bodies, senders = Bodies(80, 100), [Sender() for _ in range(3)]
    tasks = [asyncio.create_task(reading(bodies, sender)) for sender in senders]
    for sender in senders:
        sender.send(b"x" * 30)
        await asyncio.sleep(0.01)
    yield bodies, senders, tasks
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_the_oldest_gives_way_when_the_budget_is_used_up(three: Any) -> None:
    _, senders, tasks = three
    senders[2].send(b"x" * 30)
    with pytest.raises(BodyError, match=GIVEN_WAY) as refused:
        await tasks[0]
    assert refused.value.status == 408
    senders[2].send(b"y", more=False)
    senders[1].send(b"z", more=False)
    assert (len(await tasks[1]), len(await tasks[2])) == (31, 61)


async def test_what_has_arrived_counts_no_more(three: Any) -> None:
    bodies, senders, tasks = three
    for sender, task in zip(senders, tasks, strict=True):
        sender.send(b"", more=False)
        await task
    for _ in range(3):
        sender = Sender()
        sender.send(b"x" * 80, more=False)
        assert len(await reading(bodies, sender)) == 80
    assert bodies._held == 0


async def test_a_body_ends_with_its_time_its_size_or_its_sender() -> None:
    bodies, slow = Bodies(80, 100), Sender()
    slow.send(b"x")
    with pytest.raises(BodyError, match=TOO_LATE):
        await reading(bodies, slow, 0.05)
    for sender, told in ((Sender(), "larger than 80"), (Sender(content_length="81"), "larger than 80")):
        sender.send(b"x" * 81)
        with pytest.raises(BodyError, match=told):
            await reading(bodies, sender)
    gone = Sender(content_length="nonsense")
    gone.send(b"x")
    gone.hang_up()
    with pytest.raises(BodyError, match="ended within"):
        await reading(bodies, gone)
    assert bodies._held == 0
    assert not bodies._arriving


def test_places_are_taken_and_given_back() -> None:
    gate = Gate(2, 10_000_000)
    with gate.place(10), gate.place(10), pytest.raises(OverloadError, match="2 reviews are in progress"), gate.place(1):
        pass
    with pytest.raises(ZeroDivisionError), gate.place(10):
        raise ZeroDivisionError
    assert (gate.in_flight, gate.bytes_in_flight) == (0, 0)


def test_large_bodies_share_a_budget_and_small_ones_pass() -> None:
    gate = Gate(10, 3_000_000)
    with gate.place(2_000_000):
        with pytest.raises(OverloadError, match="2000000 bytes"), gate.place(1_500_000):
            pass
        with gate.place(1_000_000), gate.place(Gate.SMALL_BYTES):
            assert gate.in_flight == 3
    with gate.place(8_000_000):  # alone, the largest passes
        assert gate.bytes_in_flight == 8_000_000
