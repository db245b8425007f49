"""A guarded server with short limits, and clients that misuse it byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from app.service.limits import ConnectionLimits
from app.service.server import HttpServer
from tests.unit.runtime.pki import Authority

SHORT = ConnectionLimits(
    connections=12,
    per_peer=8,
    handshake=0.6,
    first_byte=1.0,
    head=0.6,
    body=0.8,
    answer=2.0,
    idle=1.5,
    linger=0.4,
    head_bytes=2048,
    header_lines=20,
    body_bytes=16_384,
)
PATIENCE = 20.0
OK = b"HTTP/1.1 200 OK"


@dataclass
class Echo:
    """An ASGI application that answers with what it was sent, or what a test wants."""

    calls: int = 0
    answer: bytes = b"done"
    reads: bool = True
    disconnects: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    held_path: str = "/hold"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        if scope["path"] == self.held_path:
            await self.hold.wait()
        while self.reads:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return
            if not message["more_body"]:
                break
        size = str(len(self.answer)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
        await send({"type": "http.response.body", "body": self.answer})


@dataclass(frozen=True)
class Target:
    """A running server."""

    port: int
    app: Echo
    trust: ssl.SSLContext | None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)

    async def ask(self, request: bytes = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") -> bytes:
        """One well-behaved request on a connection of its own; the first line of its answer."""
        reader, writer = await self.connect()
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), PATIENCE)
        writer.close()
        return line.strip()


@contextlib.asynccontextmanager
async def serving(
    limits: ConnectionLimits = SHORT,
    *,
    tls: bool = False,
    app: Echo | None = None,
    host: str = "127.0.0.1",
    **more: Any,
) -> AsyncIterator[Target]:
    authority = Authority() if tls else None
    context = authority.server_context() if authority else None
    echo = app or Echo()
    server = HttpServer(
        echo,
        name="hostile",
        host=host,
        port=0,
        tls=None if context is None else lambda: context,
        limits=limits,
        grace=1.0,
        **more,
    )
    port = server.listen()
    running = asyncio.create_task(server.run())
    trust = ssl.create_default_context(cadata=authority.pem) if authority else None
    try:
        while not server.serving:
            await asyncio.sleep(0.01)
        yield Target(port, echo, trust)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def drip(
    target: Target, start: bytes, endless: Callable[[int], bytes] | None = None, pause: float = 0.02
) -> tuple[bytes, float]:
    """Send `start`, then what `endless` gives for 0, 1, 2 ..., until the server ends it: its answer, and how long."""
    reader, writer = await target.connect()
    began = asyncio.get_running_loop().time()
    got = bytearray()
    answer = asyncio.create_task(_collect(reader, got))
    writer.write(start)
    number = 0
    while not answer.done() and asyncio.get_running_loop().time() - began < PATIENCE:
        await asyncio.wait({answer}, timeout=pause)
        if endless is not None and not answer.done():
            with contextlib.suppress(ConnectionError):
                writer.write(endless(number))
        number += 1
    took = asyncio.get_running_loop().time() - began
    writer.close()
    assert answer.done(), "the server never ended the connection"
    return bytes(got), took


async def _collect(reader: asyncio.StreamReader, got: bytearray) -> None:
    """What arrives until the end; a reset is one."""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            got += part


def chunks(parts: Iterable[bytes]) -> bytes:
    """A chunked body without its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
