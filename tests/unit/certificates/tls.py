"""A TLS server on a live context, and clients that look at what it serves."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from cryptography import x509

from webhook.certificates.making import Authority, make_authority, make_certificate, service_names
from webhook.certificates.pair import ServingPair

NAMES = service_names("hook", "dr")
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def pair_of(authority: Authority, *, now: datetime = NOW, lifetime: timedelta = 90 * DAY) -> ServingPair:
    return ServingPair(*make_certificate(authority, NAMES, now, lifetime))


def new_pair(*, now: datetime = NOW, lifetime: timedelta = 90 * DAY) -> ServingPair:
    return pair_of(make_authority(now, 365 * DAY), now=now, lifetime=lifetime)


@asynccontextmanager
async def echo_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Answers each line with itself; yields the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def connect(port: int, trust: bytes | None, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that trusts one authority (everything when None)."""
    if trust is None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cadata=trust.decode())
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)


async def served_by(port: int) -> x509.Certificate:
    """The certificate that a new connection is shown."""
    _, writer = await connect(port, None, "localhost")
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(shown)
