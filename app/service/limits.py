"""What one connection, one peer and all of them together may take from a port."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one port. Times are seconds, and end however slowly bytes go on to arrive."""

    connections: int = 128
    """Open connections, those in their TLS handshake included."""
    per_peer: int = 64
    """Those of one peer: an IPv4 address, or a /64 of IPv6."""
    handshake: float = 5.0
    """From the connection to the end of the TLS handshake."""
    first_byte: float = 30.0
    """From there to the first byte of a request: clients open connections that they then need later, or never."""
    head: float = 5.0
    """From the first byte of a request to the end of its head."""
    body: float = 10.0
    """From there to the end of its body."""
    answer: float = 60.0
    """From there to the last byte of the answer that the client takes."""
    idle: float = 120.0
    """Between an answer and the next request. Longer than the API server's 90, so that it never writes into a
    connection that is closing."""
    linger: float = 2.0
    """How long the rest of a body is still taken, and thrown away, once the request was answered without it."""
    head_bytes: int = 32 * 1024
    """Request line and headers."""
    header_lines: int = 100
    """Headers of a request, and trailers."""
    body_bytes: int = 64 * 1024
    """Everything after a head: body, framing, trailers."""
    pipelined: int = 4
    """Requests that may wait behind the one that is being answered."""


ORDINARY = ConnectionLimits()


@lru_cache(maxsize=1024)
def peer_of(host: str) -> str:
    """Who counts as one peer: an IPv4 address, also where it is written as IPv6, or the /64 of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
