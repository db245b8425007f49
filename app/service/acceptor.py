"""Accepts the connections of one port, and ends those that take too long or are too many.

Connections are accepted here rather than by the event loop's server, because only so they count from their first
packet: one that never finishes its TLS handshake has no protocol that could be asked about it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable

import uvicorn
from uvicorn.server import ServerState

from app.runtime import metrics
from app.runtime.logging import get_logger
from app.service.crowd import Crowd
from app.service.guarded import Greeting, GuardedProtocol
from app.service.limits import ConnectionLimits, peer_of

log = get_logger(__name__)

TlsContext = Callable[[], ssl.SSLContext]
"""Gives the context for a new connection, so that what it demands may change while the port is open."""

RETRY_SECONDS = 0.1
"""Until the next attempt after the system could not give a connection, for want of file descriptors for instance."""
TELL_SECONDS = 10.0
"""At most one log line in this time says what connections were ended."""
ORDINARY = ("idle",)
"""Reasons that are not worth a warning."""


class Acceptor:
    """The listening socket of one port, and its connections."""

    def __init__(
        self,
        name: str,
        listener: socket.socket,
        config: uvicorn.Config,
        state: ServerState,
        *,
        limits: ConnectionLimits,
        tls: TlsContext | None,
        greet: Greeting | None,
    ) -> None:
        self._name = name
        self._listener = listener
        self._config = config
        self._state = state
        self._limits = limits
        self._tls = tls
        self._greet = greet
        self._crowd = Crowd(limits.connections, limits.per_peer)
        self._ended: Counter[str] = Counter()
        self._told = float("-inf")
        self._open = metrics.connections.labels(name)
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = asyncio.create_task(self._accept(), name=f"accept/{self._name}")

    def check(self) -> None:
        """Raise what ended the accepting, if anything did."""
        if self._accepting is not None and self._accepting.done() and not self._accepting.cancelled():
            self._accepting.result()

    def sweep(self) -> None:
        """End the connections whose time is over, and tell what was ended."""
        now = asyncio.get_running_loop().time()
        for guest in self._crowd.guests():
            if isinstance(guest, GuardedProtocol):
                guest.look(now)
        self._open.set(len(self._crowd))
        if now - self._told >= TELL_SECONDS and any(reason not in ORDINARY for reason in self._ended):
            log.warning("connections ended", server=self._name, open=len(self._crowd), **self._ended)
            self._ended.clear()
            self._told = now

    def end_connections(self) -> None:
        """End the connections that are made: idle ones now, others after their answer."""
        for guest in self._crowd.guests():
            if isinstance(guest, GuardedProtocol) and guest.made:
                guest.shutdown()

    async def close(self) -> None:
        """Accept no more, and end the handshakes; connections that are made are the server's to close."""
        tasks = [*self._handshakes, *([self._accepting] if self._accepting is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError as error:
                self._count("system")
                log.warning("cannot accept a connection", server=self._name, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._greeted(connection, peer_of(address[0]))

    def _greeted(self, connection: socket.socket, peer: str) -> None:
        """Let a new connection in, or close it."""
        protocol = GuardedProtocol(
            self._config,
            self._state,
            peer=peer,
            limits=self._limits,
            ended=self._count,
            gone=self._crowd.leave,
            greet=self._greet,
        )
        entered, _ = self._crowd.admit(protocol, protocol.since)
        if not entered:
            self._count("crowded")
            connection.close()
            return
        connection.setblocking(False)
        task: asyncio.Task[object] = asyncio.create_task(self._shake(protocol, connection), name=f"tls/{self._name}")
        protocol.handshake = task
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake(self, protocol: GuardedProtocol, connection: socket.socket) -> None:
        """Make the connection, which with TLS takes a handshake; one that fails is nobody's error but the client's."""
        loop = asyncio.get_running_loop()
        times = {} if self._tls is None else {"ssl_handshake_timeout": 2 * self._limits.handshake}
        if self._tls is not None:
            times["ssl_shutdown_timeout"] = self._limits.linger
        try:
            context = None if self._tls is None else self._tls()
            await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context, **times)
            protocol.handshake = None
        except OSError:  # ssl.SSLError and TimeoutError are OSErrors, too
            self._count("handshake")
            self._crowd.leave(protocol)
            connection.close()
        except asyncio.CancelledError:
            self._crowd.leave(protocol)
            protocol.handshake = None
            connection.close()
            raise

    def _count(self, reason: str) -> None:
        self._ended[reason] += 1
        metrics.connections_ended_total.labels(self._name, reason).inc()
