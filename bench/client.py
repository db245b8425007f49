"""A bare client of the API server or of the target: one connection, kept open, and nothing that costs time."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from devcluster import RequestError

Json = dict[str, Any]
STALE_SECONDS = 30.0
"""Idle time after which a new connection is opened, because the server may be about to close the old one."""


class Client:
    """Requests of one thread. `token` is sent to an API server; a target needs none."""

    def __init__(self, server: str, authority: bytes | None = None, token: str | None = None) -> None:
        address = urlsplit(server)
        host, port = address.hostname or "", address.port
        if authority is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=60)
        else:
            trust = ssl.create_default_context(cadata=authority.decode())
            self._connection = http.client.HTTPSConnection(host, port, timeout=60, context=trust)
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            RequestError: any status of 400 or more.
        """
        if time.monotonic() - self._last > STALE_SECONDS:
            self._connection.close()
        headers = {**self._headers, "Content-Type": content_type} if content_type else self._headers
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        self._last = time.monotonic()
        if response.status >= 400:
            raise RequestError(method, path, response.status, content.decode(errors="replace")[:500])
        return content

    def request(self, method: str, path: str, body: Json | None = None, content_type: str = "") -> Json:
        """Send an object and return the one that is answered."""
        data = None if body is None else json.dumps(body).encode()
        found = json.loads(self.send(method, path, data, content_type))
        assert isinstance(found, dict)
        return found
