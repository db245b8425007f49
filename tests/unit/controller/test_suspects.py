"""Objects at which processes ended: counted over restarts, left alone when it is certain, forgotten on a change."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.kube.errors import ApiUnavailable, Conflict, NotFound
from app.kube.resources import PLANS, WORKFLOWS
from app.runtime.last_work import Left, Work
from controller.suspects import MOST_ENDS, MOST_SUSPECTS, NAME, Suspects, work_of

OWN = "drplan-system"


class Server:
    """Keeps one ConfigMap."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.writes = 0
        self.conflicts = 0
        self.away = False

    async def get(self, *_: Any, **__: Any) -> dict[str, Any]:
        if self.away:
            raise ApiUnavailable("away", server="s", in_doubt=False)
        if self.stored is None:
            raise NotFound(404, "NotFound", "none")
        return self.stored

    async def create(self, _: Any, body: dict[str, Any]) -> dict[str, Any]:
        return await self.replace(_, body)

    async def replace(self, _: Any, body: dict[str, Any]) -> dict[str, Any]:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict(409, "Conflict", "changed")
        self.writes += 1
        self.stored = body
        return body


def stored(uid: str = "u", generation: int = 1, name: str = "p") -> dict[str, Any]:
    return {"metadata": {"namespace": "n", "name": name, "uid": uid, "generation": generation}}


def left(uid: str = "u", generation: int = 1, *, long: bool = False) -> Left:
    return Left(work_of(PLANS, stored(uid, generation)), long)


async def after(server: Server, *found: Left) -> Suspects:
    """The suspects as a process has them that was started after one that left this."""
    suspects = Suspects(cast(KubeClient, server), OWN, found)
    await suspects.load()
    return suspects


def test_work_is_named_by_what_identifies_an_object() -> None:
    assert work_of(WORKFLOWS, stored()) == Work("DRWorkflow", "n", "p", "u", 1)


async def test_where_nothing_ended_nothing_is_written() -> None:
    server = Server()
    suspects = await after(server)
    await suspects.cleared(stored())
    assert (server.writes, suspects.refusal(stored())) == (0, "")


async def test_long_work_is_refused_after_one_end_and_by_every_process() -> None:
    server = Server()
    for suspects in (await after(server, left(long=True)), await after(server)):
        assert NAME in suspects.refusal(stored())
        await suspects.cleared(stored())
    assert server.writes == 1


async def test_short_work_is_refused_after_several() -> None:
    server = Server()
    for number in range(1, MOST_ENDS + 1):
        suspects = await after(server, left())
        assert bool(suspects.refusal(stored())) == (number == MOST_ENDS)


@pytest.mark.parametrize(("uid", "generation"), [("u", 2), ("other", 1)])
async def test_what_changed_or_is_another_is_looked_at(uid: str, generation: int) -> None:
    server = Server()
    suspects = await after(server, left(long=True))
    assert suspects.refusal(stored(uid, generation)) == ""
    await suspects.cleared(stored("u", 2))
    assert server.stored is not None
    assert server.stored["data"] == {}


async def test_ends_of_an_earlier_generation_do_not_count() -> None:
    server = Server()
    for _ in range(MOST_ENDS - 1):
        await after(server, left())
    suspects = await after(server, left(generation=2))
    assert suspects.refusal(stored(generation=2)) == ""


async def test_good_work_clears_a_suspicion() -> None:
    server = Server()
    suspects = await after(server, left())
    await suspects.cleared(stored())
    for _ in range(MOST_ENDS - 1):
        suspects = await after(server, left())
    assert suspects.refusal(stored()) == ""


async def test_who_writes_at_the_same_time_loses_nothing() -> None:
    server = Server()
    server.conflicts = 3
    await after(server, left("a", long=True), left("b"))
    assert server.stored is not None
    assert server.stored["data"] == {"a": f"[1,{MOST_ENDS}]", "b": "[1,1]"}


async def test_an_api_server_that_is_away_stops_nothing() -> None:
    server = Server()
    server.away = True
    suspects = await after(server, left(long=True))
    assert suspects.refusal(stored())
    server.away = False
    await suspects.load()
    assert server.writes == 1


async def test_the_record_is_bounded_and_the_surest_stay() -> None:
    server = Server()
    await after(server, *(left(f"u{n}") for n in range(MOST_SUSPECTS + 50)), left("sure", long=True))
    assert server.stored is not None
    assert len(server.stored["data"]) == MOST_SUSPECTS
    assert "sure" in server.stored["data"]


@pytest.mark.parametrize("text", ["", "x", "[1]", "{}", '["a",1]', "[1,2,3]", "null"])
async def test_entries_of_another_form_are_nothing(text: str) -> None:
    server = Server()
    server.stored = {"data": {"u": text, "v": f"[1,{MOST_ENDS}]"}}
    suspects = await after(server)
    assert suspects.refusal(stored()) == ""
    assert suspects.refusal(stored("v"))


def test_news_are_told_once() -> None:
    suspects = Suspects()
    assert [suspects.is_news(stored()), suspects.is_news(stored()), suspects.is_news(stored("v"))] == [
        True,
        False,
        True,
    ]
