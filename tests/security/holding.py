"""Holds connections to the admission port in the ways that cost the least: `python -m tests.security.holding PORT`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys

import uvloop

from app.kube.registrations import validate_path
from app.kube.resources import WORKFLOWS
from tests.unit.rules.builders import http, workflow_json
from tests.unit.webhook.client import review

ATTACKERS = 600
AGAIN_SECONDS = 1.0
PATH = validate_path(WORKFLOWS).encode()
REVIEW = json.dumps(review("CREATE", workflow_json(http()))).encode()


def post(body: bytes, length: int | None = None, path: bytes = PATH) -> bytes:
    """A request with a body, which may be less than it says."""
    size = len(body) if length is None else length
    return b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (path, size, body)


PLAIN = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    b"\x16\x03\x03\xff\xff",
    b"GET / HTTP/1.1\r\n\r\n" * 50,
)
"""What is sent instead of a handshake: half a ClientHello, a record without content, plain HTTP."""
IDLE = (
    b"",
    b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n",
)
"""After these a connection may stay idle for a while; unless others need its place."""
CHUNKED = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % PATH
HELD: list[bytes | None] = [
    *PLAIN,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"POST / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(90)),
    CHUNKED + b"1;" + b"a=b;" * 5_000,
    CHUNKED + b"0\r\nx: y\r\n",
    post(b"", 0) * 100 + post(b"", 1),
    None,
    *IDLE,
    b"POST /",
    b"POST / HTTP/1.1\r\nx: " + b"y" * 30_000,
    post(b"", 100),
    post(REVIEW[:-1], len(REVIEW)),
    post(b" " * 300_000, 8_000_000),
    b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n     \r\n" % PATH,
    b"POST %b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n" % PATH,
    post(REVIEW) * 200,
]
"""What is sent on a connection that is then held; None: not even a handshake."""


async def hold(port: int, tls: ssl.SSLContext, sent: bytes | None, *, drips: bool) -> None:
    """Hold one connection until the server ends it; with `drips` a byte follows now and then."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=None if sent in (None, *PLAIN) else tls)
        writer.write(sent or b"")
        with contextlib.closing(writer):
            while not reader.at_eof():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(100_000), 0.5)
                if drips:
                    writer.write(b"x")
            writer.close()
            await writer.wait_closed()


async def _again_and_again(port: int, tls: ssl.SSLContext, number: int) -> None:
    while True:
        await hold(port, tls, HELD[number % len(HELD)], drips=number % 3 == 0)
        await asyncio.sleep(AGAIN_SECONDS)


async def main(port: int) -> None:
    """Attack until killed; says `holding` once all have begun."""
    tls = ssl._create_unverified_context()
    async with asyncio.TaskGroup() as group:
        for number in range(ATTACKERS):
            group.create_task(_again_and_again(port, tls, number))
            await asyncio.sleep(0.002)
        await asyncio.sleep(1.0)
        print("holding", flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
