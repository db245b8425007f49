"""Looking up the addresses of host names, so that names which do not answer never hold up others.

The C library's own look-up is used, so that /etc/hosts, search domains, `ndots` and name services mean what they mean
to every other program. It cannot be stopped: each look-up has a thread of its own, is waited for only so long, and goes
on without anybody waiting. One name is looked up once at a time. Names that were too slow lately may hold no more than
half of the threads, so that the others are left for names that answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult
from cachetools import TTLCache

from app.engine.proxies import Address
from app.runtime import metrics

LOOKUP_SECONDS = 10.0
"""How long a caller waits for a name."""
KEPT_SECONDS = 10.0
"""How long found addresses are used again."""
SUSPECT_SECONDS = 300.0
"""How long a name counts as slow."""
THREADS = 256
"""Look-ups under way at once, of which half may be of slow names."""
_NAMES = 1024
_IPV4 = 4
_DISCARD = 9
"""A port; any would do."""
_NUMERIC = re.compile(r"[0-9a-fA-FxX.]+")


class NameLookupError(OSError):
    """A name has no addresses, or they could not be found out in time (`slow`)."""

    def __init__(self, message: str, *, slow: bool = False) -> None:
        super().__init__(message)
        self.slow = slow


@dataclass(slots=True)
class _Flight:
    """One look-up: what it found, or why it found nothing."""

    host: str
    suspect: bool
    answer: asyncio.Future[tuple[str, ...] | str]
    running: bool = False
    began: float = field(default_factory=time.perf_counter)


class NameLookups:
    """Look-ups of one purpose, with threads of their own. To be used on one event loop."""

    def __init__(self, purpose: str, *, seconds: float = LOOKUP_SECONDS, threads: int = THREADS) -> None:
        self._purpose = purpose
        self._seconds = seconds
        self._threads = threads
        self._kept: TTLCache[str, tuple[str, ...]] = TTLCache(_NAMES, KEPT_SECONDS)
        self._slow: TTLCache[str, None] = TTLCache(_NAMES, SUSPECT_SECONDS)
        self._flights: dict[str, _Flight] = {}
        self._fresh: deque[_Flight] = deque()
        self._suspects: deque[_Flight] = deque()
        self._running = 0
        self._running_suspects = 0

    async def find(self, host: str) -> tuple[str, ...]:
        """Return the addresses of `host` as text. Raises NameLookupError."""
        literal = numeric(host)
        if literal is not None:
            return (literal,)
        kept = self._kept.get(host)
        if kept is not None:
            return kept
        flight = self._flights.get(host) or self._begin(host)
        try:
            async with asyncio.timeout(self._seconds) as bound:
                found = await asyncio.shield(flight.answer)
        except TimeoutError:
            if not bound.expired():
                raise
            self._suspect(flight)
            metrics.name_lookups_total.labels(self._purpose, "slow").inc()
            raise NameLookupError(f"the name look-up took longer than {self._seconds:g}s", slow=True) from None
        if isinstance(found, str):
            raise NameLookupError(found)
        return found

    def _begin(self, host: str) -> _Flight:
        flight = _Flight(host, host in self._slow, asyncio.get_running_loop().create_future())
        self._flights[host] = flight
        (self._suspects if flight.suspect else self._fresh).append(flight)
        self._start_waiting()
        return flight

    def _start_waiting(self) -> None:
        """Start what may start: names that are not known to be slow first."""
        while self._running < self._threads:
            if self._fresh:
                flight = self._fresh.popleft()
            elif self._suspects and self._running_suspects < self._threads // 2:
                flight = self._suspects.popleft()
            else:
                break
            flight.running = True
            self._running += 1
            self._running_suspects += flight.suspect
            loop = asyncio.get_running_loop()
            try:
                threading.Thread(target=self._look, args=(loop, flight), name="name look-up", daemon=True).start()
            except RuntimeError:
                loop.call_soon(self._end, flight, "no thread could be started for the name look-up")
        metrics.name_lookups_running.labels(self._purpose).set(self._running)

    def _look(self, loop: asyncio.AbstractEventLoop, flight: _Flight) -> None:
        """In the thread: ask, and tell the event loop, which may have ended meanwhile."""
        answer: tuple[str, ...] | str
        try:
            found = socket.getaddrinfo(flight.host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            answer = tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)) or "the host name has no address"
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no host name"
            answer = f"the host name cannot be resolved: {reason[:1].lower()}{reason[1:]}"
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end, flight, answer)

    def _end(self, flight: _Flight, answer: tuple[str, ...] | str) -> None:
        del self._flights[flight.host]
        self._running -= 1
        self._running_suspects -= flight.suspect
        seconds = time.perf_counter() - flight.began
        metrics.name_lookup_seconds.labels(self._purpose).observe(seconds)
        if not isinstance(answer, str):
            self._kept[flight.host] = answer
        if seconds < self._seconds:
            self._slow.pop(flight.host, None)
            result = "failed" if isinstance(answer, str) else "found"
            metrics.name_lookups_total.labels(self._purpose, result).inc()
        flight.answer.set_result(answer)
        self._start_waiting()

    def _suspect(self, flight: _Flight) -> None:
        """Count a look-up as one of a slow name from now on; one that never had its turn is given up."""
        self._slow[flight.host] = None
        if flight.running:
            self._running_suspects += not flight.suspect
            flight.suspect = True
        elif not flight.answer.done():
            (self._suspects if flight.suspect else self._fresh).remove(flight)
            del self._flights[flight.host]
            flight.answer.set_result("the name look-up had to wait for others for too long")


class LookupResolver(AbstractResolver):
    """The look-ups as aiohttp asks for them."""

    def __init__(self, lookups: NameLookups) -> None:
        self._lookups = lookups

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`; raises OSError."""
        del family
        return results(host, port, await self._lookups.find(host))

    async def close(self) -> None:
        """Do nothing: threads end by themselves."""


def results(host: str, port: int, addresses: tuple[str, ...]) -> list[ResolveResult]:
    """Return addresses in the form of aiohttp."""
    return [
        ResolveResult(
            hostname=host,
            host=address,
            port=port,
            family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            proto=0,
            flags=socket.AI_NUMERICHOST,
        )
        for address in addresses
    ]


def numeric(host: str) -> str | None:
    """Return the address that a host is by itself, in every form that the C library takes (`0x7f.1`, `2130706433`).

    A dot behind it changes nothing for many a resolver, so it does not here.
    """
    host = host.rstrip(".")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return host
    if _NUMERIC.fullmatch(host):
        with contextlib.suppress(OSError):
            return socket.inet_ntoa(socket.inet_aton(host))
    return None


def is_own(address: Address) -> bool:
    """Tell whether what is sent to an address stays on this host, by its routes; nothing is sent.

    Loopback has many addresses and one source, so it has to be known without this.
    """
    family = socket.AF_INET if address.version == _IPV4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        probe.connect((str(address), _DISCARD))
        return bool(probe.getsockname()[0] == str(address))
    return False
