"""uvicorn's HTTP/1.1 protocol with an end to everything a client can drag out or pile up.

It notes since when a connection does what it does, and until when it may; `Acceptor` looks at that twice a second, so
that a request costs no timers. Whatever is cut off before an answer began gets a status and one line that says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.service.crowd import Standing
from app.service.limits import ConnectionLimits

YOUNG_SECONDS = 1.0
"""How long a request may be arriving before its connection counts as slow."""
CLOSING_SECONDS = 2.0
"""How long a client may take for the rest of an answer once its connection is closing."""


class Doing(Enum):
    """What a connection is doing."""

    GREETING = "handshake"
    WAITING = "first byte"
    HEAD = "head"
    BODY = "body"
    ANSWERING = "answer"
    LINGERING = "rest of a body"
    IDLE = "idle"
    CLOSING = "closing"


class LimitError(Exception):
    """A request goes beyond a limit; `status` is the answer, where one can still be given."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class _EndedTransport(asyncio.Transport):
    """Stands for the transport of a connection that is no more."""

    def is_closing(self) -> bool:
        return True

    def write(self, data: object) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


_ENDED = _EndedTransport()


def _nothing() -> None:
    pass


Greeting = Callable[[asyncio.Transport], Any]
"""Looks at a new connection: None, or the ASGI application that answers whatever it asks instead of the usual one."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `ended` is told once why it was cut off, `gone` when it is no more."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        *,
        peer: str,
        limits: ConnectionLimits,
        ended: Callable[[str], None],
        gone: Callable[[GuardedProtocol], None],
        greet: Greeting | None = None,
    ) -> None:
        super().__init__(config, server_state, {})
        self.peer = peer
        self.limits = limits
        self.doing = Doing.GREETING
        self.since = self.loop.time()
        self.deadline = self.since + limits.handshake
        self.handshake: asyncio.Task[object] | None = None
        """Owned by the acceptor; cancelled when the connection has to go before it is made."""
        self._proven = False
        self._ended = ended
        self._gone = gone
        self._greet = greet
        self._bytes = self._lines = 0
        self.made = self._message_open = self._deaf = False

    def standing(self, now: float) -> Standing:
        """What the connection is worth when there are too many."""
        young = now - self.since < YOUNG_SECONDS
        if self.doing is Doing.ANSWERING or (self._proven and young and self.doing in (Doing.HEAD, Doing.BODY)):
            return Standing.BUSY
        return Standing.KEPT if self._proven and self.doing is Doing.IDLE else Standing.UNPROVEN

    def evict(self) -> None:
        """End it at once, to make room."""
        self._ended("evicted")
        self._abort()

    def look(self, now: float) -> None:
        """End the connection if its time is over."""
        if now < self.deadline:
            return
        if self.doing is Doing.CLOSING:
            self._abort()
        elif self.doing is Doing.GREETING:
            self._ended("handshake")
            self._abort()
        elif self.doing in (Doing.HEAD, Doing.BODY):
            self._ended(self.doing.value)
            self._refuse(LimitError(HTTPStatus.REQUEST_TIMEOUT, f"the {self.doing.value} did not arrive in time"))
        else:
            self._ended("answer" if self.doing is Doing.ANSWERING else "idle")
            self._close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: the handshake is over."""
        super().connection_made(transport)
        self.made = True
        self._now(Doing.WAITING, self.limits.first_byte)
        refusal = self._greet(transport) if self._greet is not None else None
        if refusal is not None:
            self._ended("certificate")
            self.app = refusal

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._gone(self)
        self._let_go()

    def _let_go(self) -> None:
        """Leave no cycle behind: transport and protocol know each other, and the garbage collector runs seldom.

        A TLS connection holds hundreds of kilobytes until then.
        """
        self.transport = _ENDED
        self.flow._transport = _ENDED
        for cycle in (self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.transport = _ENDED
                cycle.disconnected = True
                cycle.on_response = _nothing
        self.pipeline.clear()
        self.handshake = None

    def data_received(self, data: bytes) -> None:
        """Take bytes, as long as they keep to the limits."""
        if self._deaf or self.doing is Doing.CLOSING:
            return
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        try:
            while rest:
                size = len(rest) if self.doing is Doing.BODY else min(len(rest), self.limits.head_bytes)
                self._count(size)
                self.parser.feed_data(rest[:size])
                rest = rest[size:]
        except httptools.HttpParserUpgrade:
            self._deaf = True  # this request is answered as HTTP/1.1, and is the last
            self.cycle.keep_alive = False
        except LimitError as error:
            self._too_much(error)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, LimitError):
                self._too_much(cause)
                return
            self._ended("malformed")
            self._refuse(LimitError(HTTPStatus.BAD_REQUEST, "this is not an HTTP/1.1 request"))

    def on_message_begin(self) -> None:
        """Begin a request: its first byte is here."""
        if len(self.pipeline) >= self.limits.pipelined:
            raise LimitError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests wait on this connection")
        super().on_message_begin()
        self._bytes = self._lines = 0
        self._message_open = True
        self._now(Doing.HEAD, self.limits.head)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._lines += 1
        if self._lines > self.limits.header_lines:
            text = f"more than {self.limits.header_lines} headers"
            raise LimitError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End a head; the application is asked."""
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > self.limits.head_bytes:
            raise self._head_too_large()
        self._bytes = 0
        self._now(Doing.BODY, self.limits.body)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self._message_open = False
        self._bytes = 0
        if self.cycle.response_complete and not self.pipeline:
            self._now(Doing.IDLE, self.limits.idle)
        else:
            self._now(Doing.ANSWERING, self.limits.answer)

    def on_response_complete(self) -> None:
        """End an answer."""
        others = bool(self.pipeline)
        super().on_response_complete()
        if self.doing is Doing.CLOSING:
            return
        if self.transport.is_closing():
            self._now(Doing.CLOSING, CLOSING_SECONDS)
        elif others or self.doing is Doing.HEAD:
            return
        elif self._message_open:
            self._now(Doing.LINGERING, min(self.limits.linger, max(0.0, self.deadline - self.loop.time())))
        else:
            self._proven = True
            self._now(Doing.IDLE, self.limits.idle)

    def _count(self, size: int) -> None:
        """Count bytes against the part of the request that they belong to."""
        self._bytes += size
        if self.doing in (Doing.BODY, Doing.ANSWERING, Doing.LINGERING):
            if self._bytes > self.limits.body_bytes + self.limits.head_bytes:
                raise LimitError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
        elif self._bytes > self.limits.head_bytes:
            raise self._head_too_large()

    def _head_too_large(self) -> LimitError:
        text = f"the head is larger than {self.limits.head_bytes} bytes"
        return LimitError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)

    def _too_much(self, error: LimitError) -> None:
        self._ended("too-large")
        self._refuse(error)

    def _refuse(self, error: LimitError) -> None:
        """Answer and close; only close where another answer is under way or owed, or this one was given."""
        if self.doing is Doing.LINGERING:
            self._close()
            return
        owed = self._unanswered
        if self.pipeline or (owed is not None and (owed.response_started or self.doing is not Doing.BODY)):
            self._abort()
            return
        text = f"{error}\n".encode()
        head = f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\n"
        kind = "content-type: text/plain; charset=utf-8\r\n"
        size = f"content-length: {len(text)}\r\nconnection: close\r\n\r\n"
        self.transport.write((head + kind + size).encode() + text)
        self._close()

    def _close(self) -> None:
        """Close once what was written is taken, or `CLOSING_SECONDS` are over."""
        self._stop()
        self.transport.close()

    def _abort(self) -> None:
        self._stop()
        if self.made:
            self.transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    def _stop(self) -> None:
        """Take no more bytes, and let the application know that nobody waits for its answer."""
        self._now(Doing.CLOSING, CLOSING_SECONDS)
        owed = self._unanswered
        if owed is not None:
            owed.disconnected = True
            owed.message_event.set()

    @property
    def _unanswered(self) -> RequestResponseCycle | None:
        """The request that was asked last, if its answer is still owed."""
        cycle: RequestResponseCycle | None = self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _now(self, doing: Doing, seconds: float) -> None:
        self.doing = doing
        self.since = self.loop.time()
        self.deadline = self.since + seconds
