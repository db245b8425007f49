"""One clock for everything that is compared: the API server's, learnt from the dates of its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from app.kube.server_time import ServerTime
from tests.unit.kube.scripted import answer, scripted

BEGIN = datetime(2026, 5, 1, 12, 0, tzinfo=UTC).timestamp()


class Clocks:
    """This machine's clock and the API server's, `ahead` seconds apart."""

    def __init__(self, ahead: float) -> None:
        self.own = BEGIN
        self.ahead = ahead
        self.time = ServerTime(lambda: self.own)

    def date(self) -> str:
        """What the API server says now."""
        return format_datetime(datetime.fromtimestamp(int(self.own + self.ahead), UTC), usegmt=True)

    def ask(self, seconds: float = 0.02) -> None:
        """Ask something, a while after the last time."""
        self.own += 2.3
        asked = self.own
        self.own += seconds / 2
        date = self.date()
        self.own += seconds / 2
        self.time.note(date, asked)

    def error(self) -> float:
        """How far from the API server's time we are."""
        return self.time.now().timestamp() - (self.own + self.ahead)


@pytest.mark.parametrize("ahead", [70.0, -70.0, 3600.0, -86_400.0, 2.6])
def test_a_clock_that_is_wrong_is_made_up_for(ahead: float) -> None:
    clocks = Clocks(ahead)
    for _ in range(30):
        clocks.ask()
        assert abs(clocks.error()) <= 1.6
    clocks.ahead = 0.0  # somebody sets the clock right in mid-run
    clocks.ask()
    assert abs(clocks.error()) <= 1.6
    assert clocks.time.ahead == 0


def test_clocks_that_agree_are_left_alone() -> None:
    clocks = Clocks(0.4)
    for _ in range(30):
        clocks.ask()
    assert clocks.time.ahead == 0
    assert clocks.time.now() == datetime.fromtimestamp(clocks.own, UTC)


def test_time_never_goes_back_while_the_clocks_run_evenly() -> None:
    clocks = Clocks(-70.3)
    clocks.ask()
    before = clocks.time.now()
    for number in range(100):
        clocks.ask(0.01 * (number % 60))
        assert clocks.time.now() > before
        before = clocks.time.now()


def test_answers_that_tell_too_little_are_not_believed() -> None:
    clocks = Clocks(3.0)
    clocks.ask(seconds=5.0)
    clocks.time.note(None, clocks.own)
    clocks.time.note("yesterday", clocks.own)
    clocks.time.note(clocks.date(), clocks.own + 100)  # our own clock was set back meanwhile
    assert clocks.time.ahead == 0


@pytest.mark.parametrize("ahead", [70.0, -70.0, 600.0, -600.0])
def test_a_server_that_is_slow_to_answer_everybody_tells_of_clocks_far_apart(ahead: float) -> None:
    clocks = Clocks(ahead)
    for seconds in (9.0, 4.0, 20.0, 3.0):
        clocks.ask(seconds)
        assert abs(clocks.error()) <= 1.6 + 4.5
    clocks.ask()
    assert abs(clocks.error()) <= 1.6
    clocks.ahead = 0.0
    clocks.ask(9.0)
    assert abs(clocks.error()) <= 6.1


async def test_the_client_learns_it_from_any_answer() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=70), usegmt=True)

    async def dated(request: web.Request) -> web.StreamResponse:
        response = await answer({})(request)
        response.headers["Date"] = date
        return response

    async with scripted(dated) as (_, kube):
        await kube.version()
        ahead = kube._transport.server_time.ahead
    assert 67 < ahead < 73
