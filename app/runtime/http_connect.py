"""Connections of HTTP actions: only to addresses that were checked, and with an eye on what is sent and answered.

aiohttp looks up names, dials and parses. Its parts are given here what they need for three promises:
an address that was not checked is never dialled;
it is known whether a request can have been sent;
the status of an answer is known, whatever is wrong with the rest of it.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from app.engine.proxies import as_address
from app.runtime.answer_head import AnswerHead
from app.runtime.names import results

_HEADER_BYTES = 64 * 1024
"""Longest header of an answer that is read."""
_TUNNEL_OPEN = 200


@dataclass(slots=True)
class Hop:
    """One request and its answer, as the connection sees them.

    `addresses` are those that may be dialled. `tunnel`: the connection begins with a CONNECT to a proxy. `sent` turns
    true when the connection to the target stands: from then on nobody can say that nothing was sent. `may_send` is
    asked right before; when it says no, nothing is, and `held_back` tells so.
    """

    addresses: tuple[str, ...] = ()
    tunnel: bool = False
    sent: bool = False
    head: AnswerHead = field(default_factory=AnswerHead)
    tunnel_open: bool = False
    may_send: Callable[[], bool] = lambda: True
    held_back: bool = False


HOP: ContextVar[Hop] = ContextVar("hop")
"""The hop of the running task, from which aiohttp's own tasks inherit it."""


def make_session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Return a session whose connections belong to the hop of the task that asks for them."""
    connector = aiohttp.TCPConnector(
        ssl=context,
        limit=0,
        force_close=True,
        use_dns_cache=False,
        resolver=_CheckedAddresses(),
        socket_factory=_checked_socket,
    )
    make: type[ResponseHandler] = _Watched
    connector._factory = functools.partial(make, loop=asyncio.get_running_loop())
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=["Content-Type", "User-Agent"],
        trust_env=False,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
    )
    # aiohttp repeats GET, PUT and DELETE when a connection breaks; whether to try again is the caller's decision.
    session._retry_connection = False
    return session


class _CheckedAddresses(AbstractResolver):
    """Looks nothing up: the hop has the addresses, which were looked up once and checked."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        return results(host, port, HOP.get().addresses)

    async def close(self) -> None:
        """Do nothing."""


def _checked_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket for an address of the hop; the last moment at which an address can be refused."""
    family, kind, protocol, _, target = info
    address, checked = str(target[0]), HOP.get().addresses
    if address not in checked and as_address(address) not in map(as_address, checked):
        raise RuntimeError("an address that was not checked was about to be dialled")
    return socket.socket(family, kind, protocol)


class _Watched(ResponseHandler):
    """aiohttp's protocol of one connection, which tells the hop what comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._hop = HOP.get()
        self._to_target = not self._hop.tunnel or self._hop.tunnel_open
        self._head = AnswerHead()
        if self._to_target:
            self._hop.head = self._head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._to_target:
            return
        if self._hop.may_send():
            self._hop.sent = True
        else:
            self._hop.held_back = True
            cast("asyncio.Transport", transport).abort()

    def data_received(self, data: bytes) -> None:
        if not self._head.is_complete:
            self._head.feed(data)
            if not self._to_target:
                self._hop.tunnel_open |= self._head.status == _TUNNEL_OPEN
            if self._head.flooded and isinstance(self.transport, asyncio.Transport):
                self.transport.abort()
                return
        super().data_received(data)
