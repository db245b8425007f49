"""The one HTTP client for calls to systems of users (HTTP actions, health checks). Only this module imports httpx.

It is httpx's API over an aiohttp transport, which takes a twentieth of the CPU with many calls at once. A call is sent
once: no retries, no cookies, and a new connection each time, so that a kept connection that died unnoticed never looks
like a failed action. Where it may connect to is the egress policy's matter, decided for the addresses that are dialled.
Once a status line has arrived, it decides: whatever is odd about the rest of the answer is told, and makes no done call
a failed one. Error texts name scheme, host and port only, because paths, queries and headers may hold secrets.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
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
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from app.engine.addresses import forms
from app.engine.egress import Egress
from app.engine.proxies import Proxies, UnusableProxyError, as_address
from app.runtime import metrics
from app.runtime.decoding import read_body
from app.runtime.http_connect import HOP, Hop, make_session
from app.runtime.http_errors import CONNECT_SECONDS, NO_URL, HttpSendError, send_error, unsent
from app.runtime.names import NameLookupError, NameLookups, is_own, numeric
from app.runtime.redirects import MAX_REDIRECTS, SAFE_METHODS, Leg, NotFollowed, follow
from app.runtime.tls import client_context

MAX_CLIENTS = 32
"""Idle clients kept, one for each TLS setting and proxy in use."""
_SEE_OTHER = 303
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f]*:[0-9a-f:.]*(%.+)?")
"""A host name or an address. Whoever decodes anything else may see another host in it than was checked."""


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One call. `timeout` is the whole call in seconds; `client_cert` is PEM certificate and PEM key.

    `ca_bundle` (PEM) replaces the system's CAs. At most `max_bytes` of the answer's body are read. `redirect_as_get`
    lets a 301 or 302 turn a call with an effect into GET. `secret_headers` are names, in lower case, of headers that
    never travel on to another origin.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout: float = 30.0
    follow_redirects: bool = True
    redirect_as_get: bool = False
    secret_headers: frozenset[str] = frozenset()
    verify: bool = True
    ca_bundle: str | None = None
    client_cert: tuple[str, str] | None = field(default=None, repr=False)
    max_bytes: int = 65536


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer, whatever its status. Header names are lower case; `truncated` when the body was longer.

    `odd` says what was wrong with the answer beside its status, why its body was not kept for instance. `not_followed`
    says why it is a redirect and no more was sent. `done` tells that the call was answered 303, so its work is done,
    and that this is the answer about its result.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    odd: str = ""
    not_followed: str = ""
    done: bool = False


_Tls = tuple[bool, str | None, tuple[str, str] | None]
_TransportKey = tuple[_Tls | None, str | None]
_BROKEN = (httpx.RequestError, aiohttp.ClientError, HttpProcessingError, OSError)


@dataclass(slots=True)
class _Pooled:
    transport: AiohttpTransport
    users: int = 0


class HttpSender:
    """Sends calls. Use as `async with HttpSender() as http:`; one per process.

    Without a policy every address may be called but those of the host itself and those that are always refused.
    """

    def __init__(self, egress: Egress | None = None) -> None:
        self._egress = egress or Egress()
        self._proxies = Proxies.from_environment(os.environ)
        self._lookups = NameLookups("action")
        self._transports: OrderedDict[_TransportKey, _Pooled] = OrderedDict()
        self._making = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._transports:
            _, pooled = self._transports.popitem()
            await pooled.transport.aclose()

    def may_send(self) -> bool:
        """Whether a request may still be sent, asked when its connection stands."""
        return True

    async def send(self, call: HttpCall) -> HttpReply:
        """Send one call and read the answer; raises HttpSendError when there is none within the time."""
        limit = asyncio.get_running_loop().time() + call.timeout
        leg = _first(call)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                following = await self._hop(call, leg, limit)
            except HttpSendError as error:
                if not leg.done:
                    raise
                return HttpReply(
                    _SEE_OTHER, {}, b"", truncated=False, done=True, odd=f"its result was not read: {error}"
                )
            if isinstance(following, HttpReply):
                return following
            leg = following
        if leg.done:
            return HttpReply(
                _SEE_OTHER, {}, b"", truncated=False, done=True, odd=f"its result was not read: {_TOO_MANY}"
            )
        raise HttpSendError(f"{_Called(leg)}: {_TOO_MANY}", retryable=False)

    async def _hop(self, call: HttpCall, leg: Leg, limit: float) -> HttpReply | Leg:
        """Send one request; return its answer, or what follows on it."""
        head, hop = _Called(leg), Hop(may_send=self.may_send)
        token = HOP.set(hop)
        at = "the name look-up took too long"
        try:
            async with asyncio.timeout_at(limit):
                url, proxy = self._target(leg, head)
                await self._admit(hop, url, proxy, head)
                at = "no connection in time"
                async with self._transport(call, leg, proxy, head) as transport:
                    response = await transport.handle_async_request(_request(leg, url))
        except TimeoutError as e:
            if hop.head.status is None:
                if not hop.sent:
                    raise unsent(f"{head}: {at}", retryable=True, timed_out=True) from e
                text = f"{head}: no answer in time"
                raise HttpSendError(text, retryable=True, in_doubt=True, timed_out=True) from e
            return _bare(hop.head.status, leg, "its head did not come to an end in time")
        except (*_BROKEN, ValueError, RuntimeError) as e:
            if hop.head.status is None:
                raise send_error(str(head), _cause(e), hop) from e
            return _bare(hop.head.status, leg, "its head cannot be read")
        finally:
            HOP.reset(token)
        return await _answer(call, leg, response, limit)

    def _target(self, leg: Leg, head: _Called) -> tuple[httpx.URL, str | None]:
        """Return the address of a request and the proxy to call it through."""
        try:
            url = httpx.URL(leg.url)
            if url.scheme not in _PORTS or not _HOST.fullmatch(_host(url)):
                raise httpx.UnsupportedProtocol("no http(s) URL with a host")
            return url, self._proxies.proxy_for(url.scheme, _host(url), _port(url))
        except (UnusableProxyError, httpx.InvalidURL, httpx.UnsupportedProtocol) as e:
            text = str(e) if isinstance(e, UnusableProxyError) else NO_URL
            raise unsent(f"{head}: {text}", retryable=False) from e

    async def _admit(self, hop: Hop, url: httpx.URL, proxy: str | None, head: _Called) -> None:
        """Look up what is to be dialled, once, and leave in the hop what may be. Raises HttpSendError."""
        host, port = _host(url), _port(url)
        if proxy is not None:
            if literal := numeric(host):
                _refuse(head, self._refusal(host, port, literal))
            else:
                _refuse(head, self._egress.refusal_behind_proxy(host, port))
            hop.tunnel = url.scheme == "https"
            hop.addresses = await self._find(httpx.URL(proxy).host, head, "the proxy: ")
            return
        if numeric(host) is None:
            _refuse(head, self._egress.refusal_by_name(host, port))
        refusals = {found: self._refusal(host, port, found) for found in await self._find(host, head)}
        hop.addresses = tuple(found for found, why in refusals.items() if not why)
        if not hop.addresses:
            _refuse(head, next(iter(refusals.values())))

    def _refusal(self, host: str, port: int, found: str) -> str:
        address = as_address(found)
        if address is None or "%" in found:
            return f"{found} is always refused (an address of one link only)"
        return self._egress.refusal(host, port, address, own=any(map(is_own, forms(address))))

    async def _find(self, host: str, head: _Called, whose: str = "") -> tuple[str, ...]:
        try:
            return await self._lookups.find(host)
        except NameLookupError as e:
            raise unsent(f"{head}: {whose}{e}", retryable=True) from e

    @asynccontextmanager
    async def _transport(
        self, call: HttpCall, leg: Leg, proxy: str | None, head: _Called
    ) -> AsyncIterator[AiohttpTransport]:
        """Yield the transport for the call's TLS settings and proxy, protected from eviction while in use."""
        client_cert = None if leg.foreign else call.client_cert
        tls = any(url.startswith("https:") for url in (leg.url.lower(), proxy or ""))
        key: _TransportKey = ((call.verify, call.ca_bundle, client_cert) if tls else None, proxy)
        async with self._making:
            pooled = self._transports.get(key)
            if pooled is None:
                pooled = self._transports[key] = _Pooled(await _make(key, head))
            self._transports.move_to_end(key)
            pooled.users += 1
        try:
            yield pooled.transport
        finally:
            pooled.users -= 1
            await self._evict()

    async def _evict(self) -> None:
        if len(self._transports) <= MAX_CLIENTS:
            return
        idle = next((key for key, pooled in self._transports.items() if pooled.users == 0), None)
        if idle is not None:
            await self._transports.pop(idle).transport.aclose()


_TIMEOUT = httpx.Timeout(None, connect=CONNECT_SECONDS).as_dict()
_TOO_MANY = f"more than {MAX_REDIRECTS} redirects"


async def _answer(call: HttpCall, leg: Leg, response: httpx.Response, limit: float) -> HttpReply | Leg:
    """Return what follows on a redirect, whose body is not read, or the answer with its body."""
    try:
        following = None
        if call.follow_redirects:
            location = response.headers.get("location")
            following = follow(leg, response.status_code, location, as_get=call.redirect_as_get)
        if isinstance(following, Leg):
            return following
        ends_work = call.follow_redirects and response.status_code == _SEE_OTHER and leg.method not in SAFE_METHODS
        if isinstance(following, NotFollowed) and (leg.done or ends_work):
            return _without_result(following.reason)
        odd: list[str] = []
        chunks = _unbroken(response.aiter_raw(), limit, odd)
        body = await read_body(chunks, response.headers.get("content-encoding", ""), call.max_bytes)
        return HttpReply(
            status=response.status_code,
            headers=dict(response.headers),
            body=body.data,
            truncated=body.truncated or bool(odd),
            odd=body.left_out or "; ".join(odd),
            not_followed=following.reason if isinstance(following, NotFollowed) else "",
            done=leg.done or ends_work,
        )
    finally:
        await _close(response)


async def _unbroken(chunks: AsyncIterator[bytes], limit: float, odd: list[str]) -> AsyncIterator[bytes]:
    """Yield a body up to its end, a break or the limit; `odd` says which of the latter."""
    while True:
        try:
            async with asyncio.timeout_at(limit):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            odd.append("its body did not come to an end in time")
            return
        except _BROKEN:
            odd.append("its body broke off")
            return
        yield chunk


async def _close(response: httpx.Response) -> None:
    """Close the connection, whatever state it is in; a body that is still being sent is not waited for."""
    try:
        async with asyncio.timeout(1.0):
            await response.aclose()
    except (TimeoutError, *_BROKEN):
        return


def _without_result(why: str) -> HttpReply:
    """Return the answer to a call that was answered 303, when nothing is known of its result."""
    return HttpReply(_SEE_OTHER, {}, b"", truncated=False, odd=f"its result was not read: {why}", done=True)


def _bare(status: int, leg: Leg, odd: str) -> HttpReply:
    return HttpReply(status, {}, b"", truncated=True, odd=odd, done=leg.done)


async def _make(key: _TransportKey, head: _Called) -> AiohttpTransport:
    tls, proxy = key
    try:
        # reading the authorities of the system takes long, and a call without TLS needs none
        context = await asyncio.to_thread(client_context, *tls) if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except (ssl.SSLError, ValueError) as e:
        raise unsent(
            f"{head}: the CA bundle or client certificate is not valid PEM, or the key does not fit the certificate",
            retryable=False,
        ) from e
    session = make_session(context)
    return AiohttpTransport(verify=context, client=session, proxy=httpx.Proxy(proxy) if proxy is not None else None)


def _first(call: HttpCall) -> Leg:
    """Return the first request; a user in the address is a header, which redirects keep or lose as such."""
    headers, address = call.headers, call.url
    try:
        url = httpx.URL(call.url)
    except httpx.InvalidURL:
        return Leg(call.method, address, headers, call.body, call.secret_headers)
    if url.userinfo:
        address = str(url.copy_with(userinfo=b""))
        if not any(name.lower() == "authorization" for name in headers):
            headers = {**headers, "Authorization": aiohttp.encode_basic_auth(url.username, url.password)}
    return Leg(call.method, address, headers, call.body, call.secret_headers)


def _request(leg: Leg, url: httpx.URL) -> httpx.Request:
    extensions = {"timeout": _TIMEOUT}
    return httpx.Request(leg.method, url, headers=_headers(leg.headers), content=leg.body, extensions=extensions)


def _headers(given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the call's headers and those that every call has unless it says otherwise."""
    names = {name.lower() for name in given}
    own = [(name, value) for name, value in _own_headers() if name.decode().lower() not in names]
    return [*own, *((name.encode(), value.encode()) for name, value in given.items())]


@cache
def _own_headers() -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
        (b"User-Agent", f"drplan/{package_version('drplan')}".encode()),
    )


def _refuse(head: _Called, why: str) -> None:
    if why:
        metrics.http_refused_total.inc()
        raise unsent(f"{head}: the controller's egress policy refuses this call: {why}", retryable=False)


def _cause(error: Exception) -> BaseException:
    """Return what is beneath the transport's own mapping of causes, which is too coarse."""
    return error.__cause__ if isinstance(error, httpx.RequestError) and error.__cause__ is not None else error


def _host(url: httpx.URL) -> str:
    """Return the host as it is sent: ASCII, lower case, without brackets."""
    return url.raw_host.decode("ascii").lower()


def _port(url: httpx.URL) -> int:
    return url.port or _PORTS[url.scheme]


class _Called:
    """Method and origin of a request as messages tell them; made up only where a message is."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def __str__(self) -> str:
        return f"{self._leg.method} {_origin(self._leg.url)}"


def _origin(url: str) -> str:
    """Scheme, host and port of a URL: what of it may be shown."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "(invalid URL)"
    port = f":{parsed.port}" if parsed.port is not None else ""
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{parsed.scheme}://{host}{port}" if host else "(URL without host)"
