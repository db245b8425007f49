"""HTTP answers that leave in one piece.

uvicorn writes the head of an answer and its body apart. Over TLS each write is a record, a system call and a packet
that wakes the client up, which together cost more than a short review.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 "


class OnePieceProtocol(HttpToolsProtocol):
    """uvicorn's protocol, on connections that send the head of an answer together with what follows it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a connection."""
        super().connection_made(cast(asyncio.Transport, HoldingHeads(transport, self.loop)))


class HoldingHeads:
    """A transport that holds a head until more is written, at most until the event loop's next turn.

    What is not about writing goes straight to the transport underneath.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._release: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """Write, or hold what begins an answer."""
        if self._release is None and data.startswith(_HEAD):
            self._head = data
            self._release = self._loop.call_soon(self._send_head)
            return
        self._transport.write(self._taken() + data)

    def close(self) -> None:
        """Close the connection after what is held was written."""
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if head := self._taken():
            self._transport.write(head)

    def _taken(self) -> bytes:
        """The head that is held, which from now on is not held any more."""
        if self._release is None:
            return b""
        self._release.cancel()
        head, self._head, self._release = self._head, b"", None
        return head

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the transport has)
        return getattr(self._transport, name)
