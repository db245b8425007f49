"""Writes of a leader only within its lease.

A process that was stopped, or whose API server was away, may wake up in the middle of anything: a reconcile that is
about to lock a plan, a status on its way out. So the last thing before each write is a look at the clock. What is
refused here was certainly not sent, and counts as an API server that does not answer: whoever writes tries again, and
gets through once the lease has been renewed. Reads are not affected.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from app.kube.client import KubeClient
from app.kube.errors import ApiUnavailable
from app.kube.transport import MOST_BYTES, Transport, Warn

LeaseTime = Callable[[], float]
"""Seconds for which this process may still begin what only the leader may; 0 when it may not."""


class NoLeaseTimeError(ApiUnavailable):
    """Not sent, because this process does not hold the leader lease at the moment."""


def demand_lease_time(remaining: LeaseTime, what: str, *, server: str = "") -> None:
    """Raise `NoLeaseTimeError` unless there is lease time left to begin `what`."""
    if remaining() <= 0:
        text = f"{what} was not begun, because the leader lease could not be renewed; it is tried again"
        raise NoLeaseTimeError(text, server=server, in_doubt=False)


class LeasedKubeClient(KubeClient):
    """A client over the connection of `kube` whose writes demand lease time. Its owner closes the connection."""

    def __init__(self, kube: KubeClient, remaining: LeaseTime) -> None:
        self.config = kube.config
        self.server = kube.server
        self.server_time = kube._transport.server_time
        self._transport = _LeasedTransport(kube._transport, remaining)
        self._discovery = kube._discovery
        self._page_sizes = kube._page_sizes
        self._metadata_page_sizes = kube._metadata_page_sizes


class _LeasedTransport(Transport):
    """The requests of `transport`, of which all but GET demand lease time."""

    def __init__(self, transport: Transport, remaining: LeaseTime) -> None:
        self.config = transport.config
        self.server_time = transport.server_time
        self._wrapped = transport
        self._remaining = remaining

    @property
    def idle_seconds(self) -> float:
        return self._wrapped.idle_seconds

    async def request(
        self,
        verb: str,
        label: str,
        method: str,
        path: str,
        *,
        timeout: float,
        query: dict[str, str] | None = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        max_bytes: int = MOST_BYTES,
        warn: Warn | None = None,
    ) -> tuple[int, bytes]:
        if method != "GET":
            demand_lease_time(self._remaining, f"{method} {path}", server=self.config.server)
        return await self._wrapped.request(
            verb,
            label,
            method,
            path,
            timeout=timeout,
            query=query,
            data=data,
            headers=headers,
            max_bytes=max_bytes,
            warn=warn,
        )

    async def open_stream(
        self, label: str, path: str, query: dict[str, str], *, timeout: float
    ) -> aiohttp.ClientResponse:
        return await self._wrapped.open_stream(label, path, query, timeout=timeout)
