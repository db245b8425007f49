"""Where a review is judged: small ones in the event loop, what may take long by a worker that can be ended.

What is small is decided by bytes, of the review and of what it looks up, and by the conditions in it, which cost more
than their bytes. A worker asks for its look-ups, which the event loop makes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, KeysView, ValuesView
from contextlib import suppress
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, cast

import orjson

from app.rules.levels import MOST_LEVELS
from app.rules.weight import SMALL, takes_long
from app.runtime.worker import Ask
from app.runtime.workers import Workers, WorkFailedError
from webhook.failures import LookupFailedError
from webhook.handlers import Context
from webhook.judging import HeavyReviewError, Judged, Path, judge, judged
from webhook.lookups import Lookups
from webhook.review import EnvelopeError, Kind, Request, refused

MOST_LOOKED_UP = 32 * 1024 * 1024
"""Bytes of JSON that the look-ups of one review may bring."""

_OBJECTS = frozenset({"plan", "execution", "workflows", "plans", "executions_of"})
"""Look-ups that bring objects which users wrote."""
_SEVERAL = (list, set, dict, Iterator, KeysView, ValuesView)
_UID = re.compile(rb'"uid":\s*"([^"\\]{1,64})"')


async def judge_somewhere(body: bytes, path: Path, context: Context, seconds: float, workers: Workers | None) -> Judged:
    """Judge the review in a body. Raises EnvelopeError when it is none."""
    if workers is None:
        return await judge(body, path, context, seconds)
    lookups = _Weighed(context.lookups)
    if not takes_long(body) or (path.defaults and len(body) <= SMALL):
        try:
            weighing = Context(lookups.limited(), context.namespace, check_references=context.check_references)
            return await judge(body, path, weighing, seconds)
        except HeavyReviewError:
            pass  # and what was looked up is remembered
    call = (body, path, context.namespace, context.check_references, seconds)
    try:
        found = await workers.call("webhook.offloop:judge_here", *call, seconds=seconds, answer=lookups.answer)
    except WorkFailedError as failed:
        return _given_up(body, path, failed)
    if isinstance(found, str):
        raise EnvelopeError(found)
    return cast(Judged, found)


def judge_here(
    ask: Ask, body: bytes, path: Path, namespace: str, check_references: bool, seconds: float
) -> Judged | str:
    """Judge a review, in a worker; a text says why the body is none."""
    context = Context(
        cast(Lookups, _Asking(lambda name, values: ask(name, *values))), namespace, check_references=check_references
    )
    try:
        return asyncio.run(judge(body, path, context, seconds))
    except EnvelopeError as error:
        return str(error)


def ready(ask: Ask) -> None:
    """Do nothing: a worker that has done it is loaded."""
    del ask


async def warm(workers: Workers) -> None:
    """Have a worker ready before the first large object comes."""
    with suppress(WorkFailedError):
        await workers.call("webhook.offloop:ready", seconds=60)


def _given_up(body: bytes, path: Path, failed: WorkFailedError) -> Judged:
    """The refusal of an object that nobody could look at; the API server always sends the uid of the request first."""
    uid = _UID.search(body[:4096])
    if uid is None:
        raise EnvelopeError(f"the review was given up: {failed}")
    resource = path.resource
    request = Request(uid=uid[1].decode("utf-8", "replace"), kind=Kind(group=resource.group, kind=resource.kind))
    text = f"the {resource.kind} was not judged: {failed}"
    return judged(request, refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", text))


class _Weighed:
    """Look-ups that are remembered for one review, and weighed."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._known: dict[tuple[str, tuple[Any, ...]], Any] = {}
        self._bytes = 0

    def limited(self) -> Lookups:
        """The same look-ups, which raise HeavyReviewError when they bring more than may be looked at here."""
        return cast(Lookups, _Asking(self._limited))

    async def answer(self, name: str, values: tuple[Any, ...]) -> Any:  # noqa: ANN401 - of any look-up
        """Look something up for a worker: objects as JSON, because encoding them otherwise would take long."""
        found = await self._look_up(name, values)
        if name == "workflows":
            return [(key, each and _json(each)) for key, each in found.items()]
        return _json(found) if name in _OBJECTS else found

    async def _limited(self, name: str, values: tuple[Any, ...]) -> Any:  # noqa: ANN401 - of any look-up
        found = await self._look_up(name, values)
        if self._bytes > SMALL:
            raise HeavyReviewError
        return found

    async def _look_up(self, name: str, values: tuple[Any, ...]) -> Any:  # noqa: ANN401 - of any look-up
        if name not in _OBJECTS:
            return await getattr(self._lookups, name)(*values)
        if (name, values) not in self._known:
            found = await getattr(self._lookups, name)(*values)
            self._known[name, values] = found
            for each in found.values() if name == "workflows" else (found,):
                self._weigh(_json(each))
                await asyncio.sleep(0)
        return self._known[name, values]

    def _weigh(self, data: bytes) -> None:
        self._bytes += len(data)
        if takes_long(data):
            self._bytes += SMALL
        if self._bytes > MOST_LOOKED_UP:
            text = (
                f"what it refers to has more than {MOST_LOOKED_UP // 2**20} MiB together: split the plan into several"
            )
            raise LookupFailedError(text, code=HTTPStatus.UNPROCESSABLE_ENTITY, reason="Invalid")


def _json(found: object) -> bytes:
    try:
        return orjson.dumps(found)
    except TypeError as error:
        text = f"what it refers to is nested deeper than {MOST_LEVELS} levels"
        raise LookupFailedError(text, code=HTTPStatus.UNPROCESSABLE_ENTITY, reason="Invalid") from error


class _Asking:
    """Look-ups that somebody else makes."""

    def __init__(self, ask: Callable[[str, tuple[Any, ...]], Any]) -> None:
        self._ask = ask

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def look_up(*values: Any) -> Any:  # noqa: ANN401 - of any look-up
            said = self._ask(name, tuple(tuple(value) if isinstance(value, _SEVERAL) else value for value in values))
            said = await said if isawaitable(said) else said
            if isinstance(said, bytes):
                return orjson.loads(said)
            is_pairs = name == "workflows" and isinstance(said, list)
            return {key: each and orjson.loads(each) for key, each in said} if is_pairs else said

        return look_up
