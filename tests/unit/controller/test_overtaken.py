"""Looking back at the journal while its writer goes on: what was overtaken is no sign of a restored etcd."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.kube.errors import NotFound
from controller.journal import Header, Journal
from controller.journal.format import Segment, to_config_map
from controller.journal.store import WoundBackError

OWN = Header("me", 1)


def segment(number: int, version: str) -> Segment:
    return Segment(number, version, OWN, [])


class Server:
    """Answers a read with the state at its arrival; what is done `meanwhile` happens before the answer is there."""

    def __init__(self, *stored: Segment) -> None:
        self.stored = {each.name: each.resource_version for each in stored}
        self.meanwhile: Callable[[], object] = lambda: None

    async def get(self, resource: object, name: str, *, namespace: str) -> dict[str, Any]:
        del resource
        version = self.stored.get(name)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        await asyncio.sleep(0)
        if version is None:
            raise NotFound(404, "NotFound", name)
        found = to_config_map(Segment(int(name.rpartition("-")[2]), version, OWN, []), namespace)
        return {**found, "metadata": {**found["metadata"], "resourceVersion": version}}


def journal_of(server: Any, *segments: Segment) -> Journal:
    journal = Journal(server, "ns", "me")
    journal._segments = list(segments)
    return journal


async def test_a_write_that_is_done_before_the_answer_comes_is_not_older() -> None:
    last = segment(1, "60583")
    server = Server(last)

    def write() -> None:
        server.stored[last.name] = last.resource_version = "60601"

    server.meanwhile = write
    await journal_of(server, last).demand_current()


async def test_a_segment_that_is_followed_and_deleted_before_it_is_read_is_not_gone() -> None:
    last, following = segment(1, "5"), segment(2, "9")
    server = Server(following)
    journal = journal_of(server, last)
    server.meanwhile = lambda: journal._segments.append(following)
    await journal.demand_current()


@pytest.mark.parametrize("stored", [segment(1, "4"), segment(2, "5")], ids=["older", "not there yet"])
async def test_a_journal_that_is_behind_is(stored: Segment) -> None:
    with pytest.raises(WoundBackError):
        await journal_of(Server(stored), segment(1, "5")).demand_current()


async def test_and_one_that_is_behind_what_was_known_before_the_write() -> None:
    last = segment(1, "5")
    server = Server(segment(1, "4"))

    def write() -> None:
        last.resource_version = "6"

    server.meanwhile = write
    with pytest.raises(WoundBackError):
        await journal_of(server, last).demand_current()
