"""Reading the body of a review, before it takes anybody's place.

All bodies that are under way share a budget of bytes. When that is used up, the one that has been arriving longest is
given up: reviews of the API server arrive within milliseconds, so this meets whoever sends slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request as HttpRequest
from starlette.requests import ClientDisconnect

TOO_LATE = "the review did not arrive in time"
GIVEN_WAY = "the review arrived too slowly while others waited; try again"


class BodyError(Exception):
    """A body that is not going to be read to its end; `status` is the HTTP answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class _Arrival:
    timeout: asyncio.Timeout
    size: int = 0
    given_way: bool = False


class Bodies:
    """The bodies that are under way; together they hold at most `budget` bytes."""

    def __init__(self, limit: int, budget: int) -> None:
        self._limit = limit
        self._budget = max(budget, limit)
        self._held = 0
        self._arriving: dict[int, _Arrival] = {}  # in the order in which they began

    async def read(self, http: HttpRequest, seconds: float) -> bytes:
        """The whole body of a request, which has to arrive within `seconds`. Raises BodyError."""
        declared = http.headers.get("content-length", "0")
        if declared.isdigit() and len(declared) < 20 and int(declared) > self._limit:
            raise self._too_large()
        arrival = _Arrival(asyncio.timeout(seconds))
        try:
            async with arrival.timeout:
                return await self._collect(http, arrival)
        except TimeoutError as error:
            text = GIVEN_WAY if arrival.given_way else TOO_LATE
            raise BodyError(HTTPStatus.REQUEST_TIMEOUT, text) from error
        except ClientDisconnect as error:
            raise BodyError(HTTPStatus.BAD_REQUEST, "the connection ended within the review") from error
        finally:
            self._held -= arrival.size
            self._arriving.pop(id(arrival), None)

    async def _collect(self, http: HttpRequest, arrival: _Arrival) -> bytes:
        body = bytearray()
        async for chunk in http.stream():
            body += chunk
            if len(body) > self._limit:
                raise self._too_large()
            self._arriving[id(arrival)] = arrival
            self._held += len(chunk)
            arrival.size += len(chunk)
            while self._held > self._budget:
                self._give_way()
        return bytes(body)

    def _give_way(self) -> None:
        """End the oldest arrival; its bytes count no more."""
        key, arrival = next(iter(self._arriving.items()))
        del self._arriving[key]
        self._held -= arrival.size
        arrival.size = 0
        arrival.given_way = True
        arrival.timeout.reschedule(asyncio.get_running_loop().time())

    def _too_large(self) -> BodyError:
        return BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the review is larger than {self._limit} bytes")


class OverloadError(Exception):
    """More reviews at once than the service takes on; the text says what is in progress."""


class Gate:
    """Counts the reviews that are being judged, and their bytes, and refuses those beyond the limits.

    A review takes many times the memory of its body. So beside the number of `places`, bodies of more than
    `SMALL_BYTES` share `budget` bytes.
    """

    SMALL_BYTES = 256 * 1024

    def __init__(self, places: int, budget: int) -> None:
        self._places = places
        self._budget = budget
        self.in_flight = 0
        self.bytes_in_flight = 0

    @contextmanager
    def place(self, size: int) -> Iterator[None]:
        """A place for a body of so many bytes. Raises OverloadError."""
        if self.in_flight >= self._places:
            raise OverloadError(f"{self._places} reviews are in progress, try again")
        large = size if size > self.SMALL_BYTES else 0
        if large and self.bytes_in_flight and self.bytes_in_flight + large > self._budget:
            raise OverloadError(f"large reviews of {self.bytes_in_flight} bytes are in progress, try again")
        self.in_flight += 1
        self.bytes_in_flight += large
        try:
            yield
        finally:
            self.in_flight -= 1
            self.bytes_in_flight -= large
