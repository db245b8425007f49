"""No HTTP request leaves without lease time."""

from __future__ import annotations

import asyncio

import pytest

from app.runtime.http_client import HttpCall, HttpReply, HttpSender, HttpSendError
from controller.leased_http import LeasedHttpSender

pytestmark = pytest.mark.looptime

CALL = HttpCall(method="POST", url="http://site/switch", timeout=30.0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times left of the calls that were sent."""
    times: list[float] = []

    async def send(_self: HttpSender, call: HttpCall) -> HttpReply:
        times.append(call.timeout)
        return HttpReply(200, {}, b"", truncated=False)

    monkeypatch.setattr(HttpSender, "send", send)
    return times


async def test_with_lease_time_it_is_sent_at_once(sent: list[float]) -> None:
    await LeasedHttpSender(lambda: 5.0).send(CALL)
    assert sent == [30.0]


async def test_without_it_waits_for_the_lease(sent: list[float]) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await LeasedHttpSender(lambda: max(0.0, loop.time() - begin - 10.0)).send(CALL)
    assert len(sent) == 1
    assert 19.5 < sent[0] < 20.0


async def test_when_the_lease_does_not_come_it_is_not_sent(sent: list[float]) -> None:
    with pytest.raises(HttpSendError, match="POST was not sent: the leader lease could not be renewed within 30s") as e:
        await LeasedHttpSender(lambda: 0.0).send(CALL)
    assert e.value.retryable
    assert sent == []
