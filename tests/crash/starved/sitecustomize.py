"""Starves the controller that it is loaded into, as its environment says; see test_starved and test_clocks.

What a call over HTTP does here stands for whatever takes so much: a fault of a library, an object nobody thought of.
"""

import asyncio
import os
import resource
import socket
import time
from typing import Any


def limit(kind: int, amount: str | None) -> None:
    """Set a hard limit, which the process cannot raise again."""
    if amount:
        resource.setrlimit(kind, (int(amount), int(amount)))


limit(resource.RLIMIT_NOFILE, os.environ.get("STARVE_DESCRIPTORS"))
limit(resource.RLIMIT_DATA, os.environ.get("STARVE_BYTES"))
_ahead = float(os.environ.get("STARVE_CLOCK", "0"))
_silent = os.environ.get("STARVE_NAMES", "")
_hungry = os.environ.get("STARVE_HUNGRY", "")
_blocking = os.environ.get("STARVE_BLOCKING", "")
_MANY = 8 * 2**20
_LONG_SECONDS = 120.0

if _ahead:
    _right = time.time
    time.time = lambda: _right() + _ahead

if _silent:
    _found = socket.getaddrinfo

    def _getaddrinfo(host: Any, *arguments: Any, **more: Any) -> Any:
        if str(host).endswith(_silent):
            time.sleep(_LONG_SECONDS)
        return _found(host, *arguments, **more)

    socket.getaddrinfo = _getaddrinfo

if _hungry or _blocking:
    from app.runtime.http_client import HttpCall, HttpReply, HttpSender

    _sent = HttpSender.send

    async def _send(self: HttpSender, call: HttpCall) -> HttpReply:
        if _blocking and call.url.endswith(_blocking):
            time.sleep(_LONG_SECONDS)
        hoard = []
        while _hungry and call.url.endswith(_hungry):
            hoard.append(os.urandom(1) * _MANY)
            await asyncio.sleep(0.01)
        return await _sent(self, call)

    HttpSender.send = _send  # type: ignore[method-assign]
