"""The bytes of a watch: lines of JSON, one event each, on a stream that may go silent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import aiohttp
import orjson
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from app.kube.errors import ApiUnavailable, WatchLineTooLong, WatchSilent
from app.rules.levels import cut, is_depth_error

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
WatchType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch. The object of a BOOKMARK only has a resourceVersion, that of an ERROR is a Status."""

    type: WatchType
    object: dict[str, Any]


def pick_watch_timeout() -> int:
    """Seconds after which the server shall end a watch: random from 5 to 10 minutes, so that they spread."""
    return random.randint(300, 600)  # noqa: S311  (spreading load, not a secret)


async def read_events(content: aiohttp.StreamReader, *, inactivity: float, server: str) -> AsyncIterator[WatchEvent]:
    """Yield the events of a watch stream until the server ends it.

    Raises WatchSilent when no whole line comes for `inactivity` seconds, ApiUnavailable when the stream breaks or
    ends inside a line, and WatchLineTooLong for a line that does not fit into the buffer.
    """
    while True:
        try:
            async with asyncio.timeout(inactivity):
                line = await content.readline()
        except TimeoutError as e:
            text = f"a watch at the API server {server} was silent for {inactivity:g} s"
            raise WatchSilent(text, server=server, in_doubt=False) from e
        except LineTooLong as e:
            raise WatchLineTooLong(f"a watch event of {server} is larger than the read buffer") from e
        except (aiohttp.ClientError, HttpProcessingError, OSError) as e:
            raise _broken(server, f"broke ({type(e).__name__}: {e})") from e
        if not line:
            return
        if line.isspace():
            continue
        yield await _parse(line, server)


async def _parse(line: bytes, server: str) -> WatchEvent:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as e:
        if is_depth_error(e):
            return await _parse(await asyncio.to_thread(cut, line), server)
        raise _broken(server, "ended inside an event" if not line.endswith(b"\n") else "sent a line of no JSON") from e
    if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
        raise _broken(server, "sent a line that is no watch event")
    return WatchEvent(cast("WatchType", event.get("type")), event["object"])


def _broken(server: str, what: str) -> ApiUnavailable:
    return ApiUnavailable(f"a watch at the API server {server} {what}", server=server, in_doubt=False)
