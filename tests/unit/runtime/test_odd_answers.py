"""Whatever is odd about an answer: once its status line has arrived, it decides; before, the call is in doubt."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.engine.egress import Egress
from app.runtime.http_client import HttpCall, HttpReply, HttpSender
from app.runtime.http_errors import HttpSendError

OK = b"HTTP/1.1 200 OK\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server of raw bytes, its address, and the requests that it got."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", requests


def saying(*parts: bytes, reset: bool = False, stay: bool = False) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if stay:
            await reader.read()
        if reset:
            raw = writer.get_extra_info("socket")
            await asyncio.sleep(0.05)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    return talk


async def ask(url: str, method: str = "POST", timeout: float = 20.0) -> HttpReply:
    async with HttpSender(Egress(loopback=True)) as http:
        return await http.send(HttpCall(method, url, body=b"x" if method == "POST" else None, timeout=timeout))


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
DECIDED: dict[str, tuple[Talk, bytes]] = {
    "gzip that is none": (saying(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno"), b""),
    "unknown encoding": (saying(OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\nno"), b""),
    "cut gzip": (saying(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"text" * 9)[:-9]), b"text" * 9),
    "shorter than told": (saying(OK + b"Content-Length: 9\r\n\r\nhalf"), b"half"),
    "longer than told": (saying(OK + b"Content-Length: 4\r\n\r\nhalfandmore"), b"half"),
    "reset in the body": (saying(OK + b"Content-Length: 9\r\n\r\nhalf", reset=True), b"half"),
    "bad chunk size": (saying(CHUNKED + b"4\r\nhalf\r\nzz\r\n"), b"half"),
    "chunks without end": (saying(CHUNKED + b"4\r\nhalf\r\n"), b"half"),
    "negative length": (saying(OK + b"Content-Length: -4\r\n\r\nhalf"), b""),
    "two lengths": (saying(OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nhalf"), b""),
    "length and chunks": (
        saying(OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n"),
        b"",
    ),
    "length that is no number": (saying(OK + b"Content-Length: four\r\n\r\nhalf"), b""),
    "only a status line": (saying(OK), b""),
    "reset after the status line": (saying(OK, reset=True), b""),
    "reset in a header": (saying(OK + b"X-A: b\r\nX-", reset=True), b""),
    "header without colon": (saying(OK + b"nonsense\r\n\r\n"), b""),
    "header with a zero": (saying(OK + b"X-A: \0\r\nContent-Length: 0\r\n\r\n"), b""),
    "header of 1 MB": (saying(OK + b"X-A: " + b"a" * 1_000_000 + b"\r\n\r\n"), b""),
    "10,000 headers": (saying(OK + b"X-A: b\r\n" * 10_000 + b"\r\n"), b""),
    "no reason": (saying(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), b""),
    "HTTP/1.0": (saying(b"HTTP/1.0 200 OK\r\n\r\nhalf"), b"half"),
    "unknown charset": (
        saying(OK + b"Content-Type: text/x; charset=klingon\r\nContent-Length: 4\r\n\r\nhalf"),
        b"half",
    ),
    "interim answers": (
        saying(b"HTTP/1.1 100 C\r\n\r\n" * 3 + b"HTTP/1.1 103 E\r\nLink: a\r\n\r\n" + OK + b"\r\nhalf"),
        b"half",
    ),
    "interim and cut": (saying(b"HTTP/1.1 100 C\r\n\r\n" + OK + b"X"), b""),
    "in single bytes": (saying(*[bytes([b]) for b in OK + b"Content-Length: 4\r\n\r\nhalf"]), b"half"),
    "trailers": (saying(CHUNKED + b"4\r\nhalf\r\n0\r\nX-T: a\r\n\r\n"), b"half"),
    "line ends of Unix": (saying(b"HTTP/1.1 200 OK\nContent-Length: 4\n\nhalf"), b"half"),
}


@pytest.mark.parametrize("name", DECIDED)
async def test_the_status_decides(name: str) -> None:
    talk, body = DECIDED[name]
    async with talking(talk) as (url, requests):
        reply = await ask(url)
    assert reply.status == 200
    assert reply.body == body or (reply.truncated and body.startswith(reply.body))
    assert len(requests) == 1


async def test_a_204_with_a_body_and_a_head_with_one() -> None:
    async with talking(saying(b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nhalf")) as (url, _):
        assert (await ask(url)).status == 204
    async with talking(saying(OK + b"Content-Length: 4\r\n\r\nhalf")) as (url, _):
        reply = await ask(url, "HEAD")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"X-A: b\r\n"], ids=["body", "head"])
async def test_what_never_ends_is_cut_at_the_time_and_the_status_decides(head: bytes) -> None:
    async with talking(saying(head, b"a", stay=True)) as (url, requests):
        reply = await ask(url, timeout=0.3)
    assert (reply.status, reply.truncated) == (200, True)
    assert "in time" in reply.odd
    assert len(requests) == 1


async def test_an_endless_body_is_read_to_the_limit() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with talking(talk) as (url, _):
        reply = await ask(url)
    assert (reply.status, len(reply.body), reply.truncated) == (200, 65536, True)


async def test_a_refusal_whose_body_is_cut_is_a_refusal() -> None:
    async with talking(saying(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nhalf")) as (url, _):
        reply = await ask(url)
    assert (reply.status, reply.headers["retry-after"], reply.body) == (503, "7", b"half")


NO_ANSWER: dict[str, tuple[Talk, str]] = {
    "nothing": (saying(), "broke before an answer"),
    "reset": (saying(reset=True), "broke before an answer"),
    "half a status line": (saying(b"HTTP/1.1 200 O"), "broke before an answer"),
    "no HTTP": (saying(b"SSH-2.0-x\r\n"), "no HTTP"),
    "four digits": (saying(b"HTTP/1.1 2000 OK\r\n\r\n"), "no HTTP"),
    "only interim answers": (saying(b"HTTP/1.1 100 C\r\n\r\n" * 3), "broke before an answer"),
    "a flood of interim answers": (saying(*[b"HTTP/1.1 100 C\r\n\r\n" * 1000] * 20), "interim answers"),
    "a line without end": (saying(b"HTTP/1.1 200 " + b"a" * 200_000), "interim answers"),
}


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_without_a_status_line_the_call_is_in_doubt(name: str) -> None:
    talk, text = NO_ANSWER[name]
    async with talking(talk) as (url, requests):
        with pytest.raises(HttpSendError, match=text) as caught:
            await ask(url)
    assert (caught.value.in_doubt, caught.value.retryable) == (True, True)
    assert "nothing was sent" not in str(caught.value)
    assert len(requests) == 1


async def test_an_answer_before_the_body_was_taken_decides() -> None:
    taken = asyncio.Event()

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await taken.wait()

    async with talking(talk) as (url, _), HttpSender(Egress(loopback=True)) as http:
        reply = await http.send(HttpCall("POST", url, body=b"x" * 900_000, timeout=20.0))
        taken.set()
    assert (reply.status, reply.body) == (413, b"no")
