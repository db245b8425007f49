"""The one HTTP client for calls to systems of users (HTTP actions, health checks). Only this module imports httpx.

It is httpx's API over an aiohttp transport, which takes a twentieth of the CPU with many calls at once. A call is sent
once: no retries, no cookies, and a new connection each time, so that a kept connection that died unnoticed never looks
like a failed action. Error texts name scheme, host and port only, because paths, queries and headers may hold secrets.
"""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version as package_version
from types import TracebackType
from typing import Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from app.engine.pem import certificates
from app.runtime.decoding import read_body
from app.runtime.tls import load_pem_pair

MAX_REDIRECTS = 10
"""Redirects followed in one call (as Go's client does)."""

MAX_CLIENTS = 32
"""Idle clients kept, one for each TLS setting in use."""


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One call. `timeout` is the whole call in seconds; `client_cert` is PEM certificate and PEM key.

    `ca_bundle` (PEM) replaces the system's CAs. At most `max_bytes` of the answer's body are read.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout: float = 30.0
    follow_redirects: bool = True
    verify: bool = True
    ca_bundle: str | None = None
    client_cert: tuple[str, str] | None = field(default=None, repr=False)
    max_bytes: int = 65536


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer, whatever its status. Header names are lower case; `truncated` when the body was longer.

    `left_out` says why the body was not kept at all, where it could not be decoded.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    left_out: str = ""


class HttpSendError(Exception):
    """No answer came. `retryable` tells whether the same call may succeed later; the text holds no secrets."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


_FOLLOWS = "drplan_follows"
"""Member of a request's extensions: whether its redirects are followed."""
_TlsKey = tuple[bool, str | None, tuple[str, str] | None]


@dataclass(slots=True)
class _Pooled:
    client: httpx.AsyncClient
    users: int = 0


class HttpSender:
    """Sends calls. Use as `async with HttpSender() as http:`; one per process."""

    def __init__(self) -> None:
        self._clients: OrderedDict[_TlsKey, _Pooled] = OrderedDict()
        self._making = asyncio.Lock()
        self._trust_env = bool(urllib.request.getproxies())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._clients:
            _, pooled = self._clients.popitem()
            await pooled.client.aclose()

    async def send(self, call: HttpCall) -> HttpReply:
        """Send one call and read the answer; raises HttpSendError when there is none within the time."""
        try:
            async with asyncio.timeout(call.timeout), self._client(call) as client:
                return await _exchange(client, call)
        except TimeoutError as e:
            raise HttpSendError(f"{_head(call)}: no answer within {call.timeout:g}s", retryable=True) from e
        except httpx.TooManyRedirects as e:
            raise HttpSendError(f"{_head(call)}: more than {MAX_REDIRECTS} redirects", retryable=False) from e
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, aiohttp.InvalidURL) as e:
            raise HttpSendError(
                f"{_head(call)}: the URL is not valid; an http:// or https:// address with a host is needed",
                retryable=False,
            ) from e
        except (httpx.RequestError, aiohttp.ClientError, OSError) as e:
            raise _send_error(_head(call), e, call.timeout) from e
        except ValueError as e:
            raise HttpSendError(
                f"{_head(call)}: the request cannot be sent: a header or the URL has characters that HTTP forbids",
                retryable=False,
            ) from e

    @asynccontextmanager
    async def _client(self, call: HttpCall) -> AsyncIterator[httpx.AsyncClient]:
        """The client of the call's TLS settings, protected from eviction while in use."""
        key: _TlsKey = (call.verify, call.ca_bundle, call.client_cert)
        async with self._making:
            pooled = self._clients.get(key)
            if pooled is None:
                pooled = self._clients[key] = _Pooled(await self._make(call))
            self._clients.move_to_end(key)
            pooled.users += 1
        try:
            yield pooled.client
        finally:
            pooled.users -= 1
            await self._evict()

    async def _make(self, call: HttpCall) -> httpx.AsyncClient:
        try:
            context = await asyncio.to_thread(_tls_context, call)
        except (ssl.SSLError, ValueError) as e:
            raise HttpSendError(
                f"{_head(call)}: the CA bundle or client certificate is not valid PEM, or the key "
                "does not fit the certificate",
                retryable=False,
            ) from e
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=["Content-Type", "User-Agent"],
            trust_env=self._trust_env,
        )
        # aiohttp repeats GET, PUT and DELETE when a connection breaks; whether to try again is the caller's decision.
        session._retry_connection = False
        client = httpx.AsyncClient(
            transport=_Transport(verify=context, client=session),
            max_redirects=MAX_REDIRECTS,
            trust_env=False,
        )
        client._cookies = _NoCookies()
        return client

    async def _evict(self) -> None:
        if len(self._clients) <= MAX_CLIENTS:
            return
        idle = next((key for key, pooled in self._clients.items() if pooled.users == 0), None)
        if idle is not None:
            await self._clients.pop(idle).client.aclose()


async def _exchange(client: httpx.AsyncClient, call: HttpCall) -> HttpReply:
    url = httpx.URL(call.url)
    auth = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
    request = httpx.Request(
        call.method,
        url.copy_with(userinfo=b"") if url.userinfo else url,
        headers=_headers(call),
        content=call.body,
        extensions={"timeout": httpx.Timeout(call.timeout).as_dict(), _FOLLOWS: call.follow_redirects},
    )
    response = await client.send(request, stream=True, auth=auth, follow_redirects=call.follow_redirects)
    try:
        body = await read_body(response.aiter_raw(), response.headers.get("content-encoding", ""), call.max_bytes)
    finally:
        await response.aclose()
    return HttpReply(
        status=response.status_code,
        headers=dict(response.headers),
        body=body.data,
        truncated=body.truncated,
        left_out=body.left_out,
    )


class _Transport(AiohttpTransport):
    """Reads no bodies of redirects that are followed: httpx would read and decode them whole."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        response = await super().handle_async_request(request)
        if not (request.extensions.get(_FOLLOWS) and response.has_redirect_location):
            return response
        await response.aclose()
        headers = [(name, value) for name, value in response.headers.raw if name.lower() == b"location"]
        return httpx.Response(response.status_code, headers=headers, request=request)


def _headers(call: HttpCall) -> list[tuple[bytes, bytes]]:
    """The call's headers and those that every call has unless it says otherwise."""
    given = {name.lower() for name in call.headers}
    own = [(name, value) for name, value in _own_headers() if name.decode().lower() not in given]
    return [*own, *((name.encode(), value.encode()) for name, value in call.headers.items())]


@cache
def _own_headers() -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
        (b"User-Agent", f"drplan/{package_version('drplan')}".encode()),
    )


class _NoCookies(httpx.Cookies):
    """Keeps none, and does not look for any: httpx spends a sixteenth of a call on that."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep none."""


def _tls_context(call: HttpCall) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=certificates(call.ca_bundle) if call.ca_bundle is not None else None)
    if not call.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if call.client_cert is not None:
        load_pem_pair(context, *call.client_cert)
    return context


def _send_error(head: str, error: Exception, timeout: float) -> HttpSendError:
    """Say in few words why no answer came. The transport's own mapping of causes is too coarse, so look beneath it."""
    cause = error.__cause__ if isinstance(error, httpx.RequestError) and error.__cause__ is not None else error
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        reason = getattr(cause.certificate_error, "verify_message", "") or "verification failed"
        return HttpSendError(f"{head}: the server's certificate is not trusted: {reason}", retryable=False)
    if isinstance(cause, (TimeoutError, httpx.TimeoutException)) and not isinstance(
        cause, aiohttp.ClientConnectorError
    ):
        return HttpSendError(f"{head}: no answer within {timeout:g}s", retryable=True)
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return HttpSendError(f"{head}: the host name cannot be resolved", retryable=True)
    if isinstance(cause, aiohttp.ClientSSLError):
        return HttpSendError(f"{head}: the TLS handshake failed", retryable=True)
    if isinstance(cause, aiohttp.ClientConnectorError):
        return HttpSendError(f"{head}: cannot connect: {_os_reason(cause.os_error)}", retryable=True)
    return HttpSendError(f"{head}: the connection broke before the answer was complete", retryable=True)


def _os_reason(error: OSError) -> str:
    text = error.strerror or type(error).__name__
    return text.partition(" [")[0].lower() if "Connect call failed" not in text else "connection refused"


def _head(call: HttpCall) -> str:
    return f"{call.method} {_origin(call.url)}"


def _origin(url: str) -> str:
    """Scheme, host and port of a URL: what of it may be shown."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "(invalid URL)"
    port = f":{parsed.port}" if parsed.port is not None else ""
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{parsed.scheme}://{host}{port}" if host else "(URL without host)"
