"""No HTTP request leaves without lease time."""

from __future__ import annotations

import asyncio

import pytest

from app.engine.egress import Egress
from app.runtime.http_client import HttpCall, HttpReply, HttpSender
from app.runtime.http_errors import HttpSendError
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
    with pytest.raises(HttpSendError, match="POST was not sent: the leader lease could not be renewed in time") as e:
        await LeasedHttpSender(lambda: 0.0).send(CALL)
    assert e.value.retryable
    assert sent == []


@pytest.mark.looptime(False)
async def test_a_lease_that_ran_out_while_the_connection_was_made_holds_the_request_back() -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            got.append(await reader.read(1))
        except OSError:
            got.append(b"")
        writer.close()

    answers = iter([5.0])
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        call = HttpCall("POST", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", body=b"x", timeout=5.0)
        async with LeasedHttpSender(lambda: next(answers, 0.0), Egress(loopback=True)) as http:
            with pytest.raises(HttpSendError, match=r"may not lead any more \(nothing was sent\)") as caught:
                await http.send(call)
        await asyncio.sleep(0.1)
    assert (caught.value.retryable, caught.value.in_doubt) == (True, False)
    assert got in ([], [b""])
