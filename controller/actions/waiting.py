"""Waiting for one object: by a watch, with polling where watching is not allowed. Waiting writes nothing."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from app.kube.bounded import BoundedClient
from app.kube.errors import Forbidden, Gone, KubeError, NotFound, WatchLineTooLong, is_transient
from app.kube.resources import Resource

POLL_SECONDS = 5.0
"""Pause before a broken watch is made anew, and between two reads where watching is not allowed."""

_LAST_LOOK_SECONDS = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """A state of the object. When it was just deleted, `obj` is its last content and `exists` is false."""

    obj: dict[str, Any] | None
    exists: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """The verdict that says: go on waiting."""

    reason: str


class WaitTimeoutError(Exception):
    """The deadline passed; the text is the last reason for which the wait went on."""


async def wait_for(
    kube: BoundedClient,
    resource: Resource,
    namespace: str | None,
    name: str,
    judge: Callable[[Seen], T | Pending],
    *,
    deadline: float,
    poll: float = POLL_SECONDS,
) -> T:
    """Return the first verdict of `judge` that is not Pending; `judge` sees each new state of the object.

    `deadline` is on the event loop's clock. When it has passed the object is read once more (decision A1), then
    WaitTimeoutError is raised. An API server that is away only delays; errors that waiting does not cure are raised.
    """
    reason = ""
    try:
        async with (
            asyncio.timeout_at(deadline) as bound,
            aclosing(_states(kube, resource, namespace, name, poll)) as all_,
        ):
            async for seen in all_:
                verdict = judge(seen)
                if not isinstance(verdict, Pending):
                    return verdict
                reason = verdict.reason
    except TimeoutError:
        if not bound.expired():
            raise
    try:
        async with asyncio.timeout(_LAST_LOOK_SECONDS):
            verdict = judge(await _read(kube, resource, namespace, name))
    except (TimeoutError, KubeError) as error:
        raise WaitTimeoutError(reason or str(error)) from error
    if isinstance(verdict, Pending):
        raise WaitTimeoutError(verdict.reason)
    return verdict


async def _states(
    kube: BoundedClient, resource: Resource, namespace: str | None, name: str, poll: float
) -> AsyncGenerator[Seen]:
    """Yield the object's states without end."""
    watching = True
    while True:
        try:
            if not watching:
                yield await _read(kube, resource, namespace, name)
            else:
                async with aclosing(_watched(kube, resource, namespace, name)) as states:
                    async for seen in states:
                        yield seen
        except Forbidden:
            if not watching:
                raise
            watching = False
            continue
        except KubeError as error:
            if not is_transient(error) and not isinstance(error, (Gone, WatchLineTooLong)):
                raise
        await asyncio.sleep(poll * random.uniform(0.8, 1.2))  # noqa: S311 - spreading load, not a secret


async def _watched(kube: BoundedClient, resource: Resource, namespace: str | None, name: str) -> AsyncGenerator[Seen]:
    """Yield the present state and every later one, until the server ends the watch.

    A list by name instead of a get, because its resourceVersion is a current one, which an old object's is not.
    """
    selector = f"metadata.name={_escaped(name)}"
    listed = await kube.list(resource, namespace=namespace, field_selector=selector)
    found = next(iter(listed["items"]), None)
    yield Seen(found, found is not None)
    version = str(listed["metadata"]["resourceVersion"])
    watch = kube.watch(resource, namespace=namespace, resource_version=version, field_selector=selector)
    async with aclosing(watch) as events:
        async for event in events:
            if event.type != "BOOKMARK":
                yield Seen(event.object, event.type != "DELETED")


def _escaped(value: str) -> str:
    """Return a value in a field selector: names of some kinds may have what separates its terms."""
    return re.sub(r"([\\,=])", r"\\\1", value)


async def _read(kube: BoundedClient, resource: Resource, namespace: str | None, name: str) -> Seen:
    try:
        return Seen(await kube.get(resource, name, namespace=namespace), exists=True)
    except NotFound:
        return Seen(None, exists=False)
