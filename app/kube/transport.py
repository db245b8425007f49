"""The transport to the API server: session, credentials, deadlines, counting, and the errors of both sides.

Every request has a deadline. Nothing is sent twice behind the caller's back, except a GET whose pooled
connection turned out to be dead and any request that got a 401 while the token file holds a newer token.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from importlib.metadata import version as package_version
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from app.engine.object_names import found, path_problem
from app.engine.proxies import Proxies, UnusableProxyError
from app.kube.config import ConnectionConfig
from app.kube.credentials import Credentials
from app.kube.errors import (
    AnswerTooLarge,
    ApiUnavailable,
    ConnectionConfigError,
    IllegalName,
    cut_message,
    error_from_response,
)
from app.kube.server_time import ServerTime
from app.runtime import metrics
from app.runtime.names import LookupResolver, NameLookups

MOST_BYTES = 32 * 1024 * 1024
"""Bytes of an answer at most. Single objects have 3 MiB at most."""
_MOST_REFUSAL = 4 * 1024 * 1024
"""Bytes of a refusal: one may list every problem of an object."""
_CHUNK = 256 * 1024
_WARNING = re.compile(r'299 \S+ "((?:\\.|[^"\\])*)"(?: ".*")?')
"""A warning as the API server sends it (RFC 7234, 5.5)."""

Warn = Callable[[str], None]
"""Takes a warning of the API server."""

CONNECT_TIMEOUT = 10.0
"""Seconds to open a connection, name resolution and TLS included."""

READ_BUFFER = 2 * 1024 * 1024
"""Bytes of read buffer. A watch event is one line and aiohttp takes lines up to twice this;
etcd caps objects at about 1.5 MiB."""


class Transport:
    """One aiohttp session to one API server."""

    def __init__(self, config: ConnectionConfig) -> None:
        self.config = config
        self._credentials = Credentials(config)
        self._session: aiohttp.ClientSession | None = None
        self.server_time = ServerTime()
        self._under_way = 0
        self._last_end = -math.inf

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request ended, watches left out; 0 while one is under way."""
        return 0.0 if self._under_way else time.perf_counter() - self._last_end

    async def __aenter__(self) -> Self:
        proxy = _proxy_for(self.config)
        await self._credentials.open()
        context = self._credentials.ssl_context
        connector = aiohttp.TCPConnector(
            ssl=context if context is not None else True,
            limit=0,
            keepalive_timeout=60.0,
            ttl_dns_cache=30,
            resolver=LookupResolver(NameLookups("apiserver")),
        )
        headers = [("User-Agent", f"drplan/{package_version('drplan')}"), ("Accept", "application/json")]
        if self.config.impersonate_user:
            headers.append(("Impersonate-User", self.config.impersonate_user))
            headers += [("Impersonate-Group", group) for group in self.config.impersonate_groups]
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            read_bufsize=READ_BUFFER,
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy,
            trust_env=False,
        )
        # aiohttp repeats PUT and DELETE on a dead pooled connection; a repeated write would report the
        # outcome of the second try (409, 404) for what the first one did.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

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
        """Send, read the whole answer, count it; raises the error of a failure status.

        `warn` is called with each warning that the answer carries. Raises AnswerTooLarge for an answer of more than
        `max_bytes`, and reads no more of it.
        """
        timeouts = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_TIMEOUT, timeout))
        started = time.perf_counter()
        code = "unavailable"
        self._under_way += 1
        try:
            async with asyncio.timeout(timeout):
                response = await self._send(method, path, query or {}, data, headers or {}, timeouts)
                code = str(response.status)
                async with response:
                    if warn is not None:
                        for text in warnings_of(response.headers.getall("Warning", ())):
                            warn(text)
                    if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                        await self._refuse(response)
                    return response.status, await _read(response, max_bytes)
        except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError) as e:
            code = "unavailable"
            raise self._unavailable(e, method, path, timeout) from e
        finally:
            self._under_way -= 1
            self._last_end = time.perf_counter()
            metrics.kube_requests_total.labels(verb, label, code).inc()
            metrics.kube_request_seconds.labels(verb).observe(self._last_end - started)

    async def open_stream(
        self, label: str, path: str, query: dict[str, str], *, timeout: float
    ) -> aiohttp.ClientResponse:
        """Start a watch and return its response; the caller closes it. `timeout` is until the head is there."""
        timeouts = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_TIMEOUT, timeout))
        code = "unavailable"
        try:
            async with asyncio.timeout(timeout):
                response = await self._send("GET", path, query, None, {}, timeouts)
                code = str(response.status)
                if response.status != HTTPStatus.OK:
                    async with response:
                        await self._refuse(response)
                return response
        except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError) as e:
            code = "unavailable"
            raise self._unavailable(e, "GET", path, timeout) from e
        finally:
            metrics.kube_requests_total.labels("watch", label, code).inc()

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        data: bytes | None,
        headers: dict[str, str],
        timeouts: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Get the head of an answer; at a 401 once more with a fresh token, a GET once more on a dead connection.

        Raises IllegalName for a path that would not reach the server as it is: whoever made it forgot to look.
        """
        session = self._session
        if session is None:
            raise RuntimeError("KubeClient is used outside its `async with` block")
        if problem := path_problem(path):
            raise IllegalName(f"path of a request {problem}{found(path)}")
        retry_dead = method == "GET"
        retry_unauthorized = True
        while True:
            identity = await self._credentials.headers()
            asked_at = self.server_time.wall()
            try:
                response = await session.request(
                    method,
                    self.config.server + path,
                    params=query,
                    data=data,
                    headers={**headers, **identity},
                    timeout=timeouts,
                    allow_redirects=False,
                    server_hostname=self.config.tls_server_name,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as e:
                if not retry_dead or isinstance(e, aiohttp.ClientConnectorError):
                    raise
                retry_dead = False
                continue
            self.server_time.note(response.headers.get("Date"), asked_at)
            if response.status == HTTPStatus.UNAUTHORIZED and retry_unauthorized:
                retry_unauthorized = False
                if await self._credentials.refresh(rejected=identity.get("Authorization", "")):
                    response.release()
                    continue
            return response

    async def _refuse(self, response: aiohttp.ClientResponse) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            body = await _read(response, _MOST_REFUSAL)
        raise error_from_response(response.status, body, response.headers, now=self.server_time.now().timestamp())

    def _unavailable(self, error: Exception, method: str, path: str, timeout: float) -> ApiUnavailable:
        head = f"no answer from the API server {self.config.server} to {method} {path}"
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            text = (
                f"{head}: its certificate is not trusted ({error.certificate_error}); check the CA of "
                f"{self.config.origin}"
            )
        elif isinstance(error, aiohttp.ClientConnectorError):
            text = f"{head}: {error.strerror or error}; check that it runs and the address is right"
        elif isinstance(error, aiohttp.ConnectionTimeoutError):
            text = f"{head}: connecting took too long; check the address and the network"
        elif isinstance(error, TimeoutError):
            text = f"{head} within {timeout:g} s; check the load and health of the server"
        else:
            text = f"{head}: the connection broke ({type(error).__name__}: {error})"
        not_sent = isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
        return ApiUnavailable(text, server=self.config.server, in_doubt=not not_sent)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the whole body. Raises AnswerTooLarge as soon as it is known to be larger."""
    told = response.content_length if "Content-Encoding" not in response.headers else None
    body = bytearray()
    if told is None or told <= most:
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > most:
                break
        else:
            return bytes(body)
    response.close()
    raise AnswerTooLarge(f"an answer of the API server has more than {most} bytes")


def warnings_of(headers: Iterable[str]) -> Iterator[str]:
    """Yield the texts of `Warning` headers: what the API server does not like about a request that it accepts."""
    for header in headers:
        match = _WARNING.fullmatch(header.strip())
        if match is not None:
            yield cut_message(re.sub(r"\\(.)", r"\1", match[1]))


def _proxy_for(config: ConnectionConfig) -> str | None:
    """Return the proxy of the kubeconfig, else that of the environment, decided once (per request it is dear)."""
    if config.proxy:
        return config.proxy
    target = urlsplit(config.server)
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        return Proxies.from_environment(os.environ).proxy_for(target.scheme, target.hostname or "", port)
    except UnusableProxyError as e:
        raise ConnectionConfigError(f"the API server {config.server} cannot be reached: {e}") from e
