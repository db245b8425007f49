"""Who writes workflows chooses what answers their calls: no answer costs memory, time beyond the action's, or the loop.

Each target says something without end, or little that stands for much.
"""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from app.engine.egress import Egress
from app.runtime.http_client import HttpCall, HttpReply, HttpSender
from app.runtime.http_errors import HttpSendError

OK = b"HTTP/1.1 200 OK\r\n"
SECONDS = 2.0
"""The time-out of the action."""
PATIENCE_SECONDS = 30.0
MOST_BYTES = 24 * 1024 * 1024
ZEROES = b"\0" * 2**20


def forever(head: bytes, part: bytes) -> Iterator[bytes]:
    yield head
    while True:
        yield part


def encoded(encoding: str, body: bytes) -> Iterator[bytes]:
    yield OK + f"content-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def squeezed(times: int, squeeze: Callable[[bytes], bytes], rounds: int = 1) -> bytes:
    body = ZEROES * times
    for _ in range(rounds):
        body = squeeze(body)
    return body


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(data) + packer.flush()


END = b"\r\n\r\n"
GZIP = OK + b"content-encoding: gzip" + END
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
ANSWERS: dict[str, Callable[[], Iterator[bytes]]] = {
    "a status line without end": lambda: forever(b"HTTP/1.1 200 ", b"x" * 10_000),
    "a header line without end": lambda: forever(OK + b"x: ", b"y" * 10_000),
    "a header name without end": lambda: forever(OK, b"x" * 10_000),
    "header lines without end": lambda: forever(OK, b"x-more: y\r\n" * 1_000),
    "cookies without end": lambda: forever(OK, b"set-cookie: a=b\r\n" * 1_000),
    "folded header lines without end": lambda: forever(OK + b"x: y\r\n", b" folded\r\n" * 1_000),
    "100 without end": lambda: forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
    "102 with headers without end": lambda: forever(b"", b"HTTP/1.1 102 Processing\r\nx: y\r\n\r\n" * 500),
    "103 without end": lambda: forever(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n" * 500),
    "a 101 that nobody asked for": lambda: forever(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n", ZEROES),
    "blank lines without end": lambda: forever(b"", b"\r\n" * 5_000),
    "the preface of HTTP/2": lambda: forever(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0" * 100),
    "HTTP/0.9": lambda: forever(b"<html>", b"x" * 10_000),
    "a body without end": lambda: forever(OK + b"\r\n", ZEROES),
    "chunks of one byte without end": lambda: forever(CHUNKED, b"1\r\nx\r\n" * 2_000),
    "a chunk size without end": lambda: forever(CHUNKED, b"0" * 10_000),
    "a chunk extension without end": lambda: forever(CHUNKED + b"1;", b"a=b;" * 2_000),
    "a chunk of 2^63": lambda: forever(CHUNKED + b"7fffffffffffffff\r\n", ZEROES),
    "trailers without end": lambda: forever(CHUNKED + b"1\r\nx\r\n0\r\n", b"x-more: y\r\n" * 1_000),
    "two lengths": lambda: forever(OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", ZEROES),
    "a length of many digits": lambda: forever(OK + b"content-length: " + b"9" * 4_000 + b"\r\n\r\n", ZEROES),
    "a negative length": lambda: forever(OK + b"content-length: -1\r\n\r\n", ZEROES),
    "a small length": lambda: forever(OK + b"content-length: 5\r\n\r\n", ZEROES),
    "multipart without end": lambda: forever(
        OK + b"content-type: multipart/x; boundary=" + b"b" * 3_000 + b"\r\n\r\n", b"--b\r\n\r\nx\r\n" * 1_000
    ),
    "a charset of many letters": lambda: forever(OK + b"content-type: x/y; charset=" + b"u" * 6_000 + END, ZEROES),
    "gzip": lambda: encoded("gzip", squeezed(200, gzip.compress)),
    "gzip of many members": lambda: encoded("gzip", gzip.compress(ZEROES) * 200),
    "gzip of empty members": lambda: forever(OK + b"content-encoding: gzip\r\n\r\n", gzip.compress(b"") * 500),
    "gzip that never begins": lambda: forever(GZIP + b"\x1f\x8b\x08\x08" + b"\0" * 6, b"n" * 10_000),
    "gzip in gzip": lambda: encoded("gzip", squeezed(200, gzip.compress, 2)),
    "said to be gzip twice": lambda: encoded("gzip, gzip", squeezed(200, gzip.compress, 2)),
    "deflate": lambda: encoded("deflate", squeezed(200, lambda data: zlib.compress(data, 9))),
    "deflate without header": lambda: encoded("deflate", squeezed(200, raw_deflate)),
    "br": lambda: encoded("br", b"\xcf\xff\xff\x7f\xf8\x00\x27\x00\x00\x80\xba\x49\x34\x03" * 1_000),
    "zstd": lambda: encoded("zstd", b"\x28\xb5\x2f\xfd\xa0\x00\x00\x40\x06" + b"\x02\x00\x10\x00" * 10_000),
    "many encodings": lambda: encoded(", ".join(["gzip"] * 500), squeezed(1, gzip.compress)),
}  # fmt: skip


async def _say(parts: Iterator[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer), suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)


async def called(parts: Iterator[bytes]) -> tuple[HttpReply | HttpSendError, float]:
    """What comes of a call, and the longest that the event loop computed without a pause, in seconds."""
    longest, last = 0.0, time.thread_time()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    server = await asyncio.start_server(lambda reader, writer: _say(parts, reader, writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    async with server, HttpSender(Egress(loopback=True)) as http:
        watching = asyncio.create_task(watch())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                came: HttpReply | HttpSendError = await http.send(HttpCall("GET", url, timeout=SECONDS))
        except HttpSendError as error:
            came = error
        finally:
            watching.cancel()
    return came, longest


@pytest.mark.parametrize("name", ANSWERS)
async def test_no_answer_costs_more_than_it_may(name: str) -> None:
    parts = ANSWERS[name]()
    tracemalloc.start()
    try:
        came, longest = await called(parts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES, f"{peak / 2**20:.0f} MiB"
    assert longest < 1.0
    if isinstance(came, HttpSendError):
        assert str(came)
    else:
        assert 100 <= came.status < 600
        assert len(came.body) <= MOST_BYTES // 4
