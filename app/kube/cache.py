"""A local copy of one collection, kept by a watch, with indexes and subscribers.

Reads are in memory and may be a moment old. Before a side effect, or where a decision must not be stale, read
the object with `KubeClient.get` instead. The results of own writes can be put in with `remember`, so that
readers see them before the watch brings them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from app.kube.client import KubeClient
from app.kube.errors import KubeError
from app.kube.resources import Resource
from app.kube.stream import EventType
from app.kube.watch import Reflector
from app.runtime import metrics

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""

Object = dict[str, Any]
Subscriber = Callable[[EventType, Object | None, Object | None], None]
"""Called with the event type, the object before and the object after; must be quick and must not raise."""

IndexFunction = Callable[[Object], Iterable[str]]


class CacheNotSyncedError(KubeError):
    """The first list of a collection did not get through in time; the text says why."""


class Cache:
    """All objects of one resource, in one namespace or in all, that match a label selector.

    `project` reduces an object to what its readers need; it must keep `metadata.namespace`, `name`, `uid` and
    `resourceVersion`. Objects are kept without managedFields. What is handed out is shared: do not change it.
    """

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        project: Callable[[Object], Object] | None = None,
        inactivity: float = 75.0,
    ) -> None:
        self.resource = resource
        self._namespace = namespace
        self._project = project
        self._objects: dict[Key, Object] = {}
        self._indexes: dict[str, _Index] = {}
        self._subscribers: list[Subscriber] = []
        self._listing: dict[Key, Object] = {}
        self._own_since_listing: set[Key] = set()
        self._delivered = 0
        self.known_version = 0
        """See `app.kube.watch.Sink`; own writes count."""
        self.newest_version = 0
        """The newest resourceVersion that was ever seen here; it never goes back, unlike the server's may."""
        self._synced = asyncio.Event()
        self._reflector = Reflector(
            kube, resource, self, namespace=namespace, label_selector=label_selector, inactivity=inactivity
        )

    async def run(self) -> None:
        """Keep the copy up to date until cancelled; its owner runs it as a task."""
        with _shown_age(self):
            await self._reflector.run()

    @property
    def synced(self) -> bool:
        """Whether the first list is complete."""
        return self._synced.is_set()

    @property
    def seconds_since_last_line(self) -> float:
        """Seconds since the watch last showed a sign of life; infinite before the first."""
        return self._reflector.seconds_since_last_line

    async def wait_synced(self, timeout: float) -> None:
        """Wait for the first list; CacheNotSyncedError, with the last error, if no page comes in `timeout` seconds."""
        try:
            await self._reflector.first_list(timeout)
        except TimeoutError as e:
            why = self._reflector.last_error or "the API server has not answered yet"
            raise CacheNotSyncedError(f"no page of a list of {self.resource} within {timeout:g} s: {why}") from e

    async def refresh(self, since: float, timeout: float) -> None:
        """Return when the copy is from a list that began at `since`, on the loop's clock, or later.

        What a watch says may be nothing for ever, when it waits for versions that the server will not reach. So
        whoever starts to act on the copy lists first. Raises CacheNotSyncedError when no page of the list comes for
        `timeout` seconds; a large cluster may take longer as a whole.
        """
        try:
            await self._reflector.refresh(since, timeout)
        except TimeoutError as e:
            why = self._reflector.last_error or "the API server has not answered yet"
            raise CacheNotSyncedError(f"no page of a list of {self.resource} within {timeout:g} s: {why}") from e

    def list_anew(self) -> None:
        """List as soon as may be, whatever the watch is doing or waiting for."""
        self._reflector.list_anew()

    def get(self, namespace: str, name: str) -> Object | None:
        """One object, or None. The namespace is "" for cluster-scoped ones."""
        return self._objects.get((namespace, name))

    def items(self, namespace: str | None = None) -> list[Object]:
        """All objects (of one namespace, when given)."""
        if namespace is None:
            return list(self._objects.values())
        return [obj for key, obj in self._objects.items() if key[0] == namespace]

    def __len__(self) -> int:
        return len(self._objects)

    def add_index(self, name: str, fn: IndexFunction) -> None:
        """Keep an index: `fn` names the keys that an object is found under."""
        if name in self._indexes:
            raise ValueError(f"index {name!r} of {self.resource} exists already")
        index = self._indexes[name] = _Index(fn)
        for key, obj in self._objects.items():
            index.put(key, obj)

    def by_index(self, index_name: str, key: str) -> list[Object]:
        """Return the objects that the index holds under `key`."""
        return [self._objects[k] for k in self._indexes[index_name].find(key)]

    def subscribe(self, callback: Subscriber) -> None:
        """Call back on every change from now on, re-lists and own writes included, from the event loop."""
        self._subscribers.append(callback)

    def remember(self, obj: Object) -> None:
        """Take over the result of an own write, if it is newer than what is here.

        An object that is not here, and whose version has already been delivered by the watch, was deleted
        meanwhile and stays away. The caller sees to it that the object fits the label selector.
        """
        key = _key(obj)
        if self._namespace is not None and key[0] != self._namespace:
            return
        if key not in self._objects and _version(obj) <= self._delivered:
            return
        self.known_version = max(self.known_version, _version(obj))
        self._own_since_listing.add(key)
        self._put(key, self._reduce(obj))

    def begin(self) -> None:
        """See `app.kube.watch.Sink`."""
        self._listing = {}
        self._own_since_listing = set()

    def page(self, items: list[Object]) -> None:
        """See `app.kube.watch.Sink`."""
        for item in items:
            self._listing[_key(item)] = self._reduce(item)

    def complete(self, resource_version: str) -> None:
        """See `app.kube.watch.Sink`: replace the content; what is gone counts as deleted.

        The list is the truth, also where it is older than what was known: then the server's history was rewritten, as
        by restoring etcd. Only what was written by this process while the list was being taken is newer than it.
        """
        listed, self._listing = self._listing, {}
        version = int(resource_version)
        newer = {k for k in self._own_since_listing if k in self._objects and _version(self._objects[k]) > version}
        for key, obj in listed.items():
            if key not in newer:
                self._put(key, obj, whatever_is_here=True)
        for key in [k for k in self._objects if k not in listed and k not in newer]:
            self._drop(key, None)
        self._deliver(version, afresh=True)
        self._synced.set()

    def event(self, type_: EventType, obj: Object) -> None:
        """See `app.kube.watch.Sink`."""
        key = _key(obj)
        if type_ == "DELETED":
            known = self._objects.get(key)
            if known is not None and _version(known) <= _version(obj):
                self._drop(key, obj)
        else:
            self._put(key, self._reduce(obj))
        self._deliver(_version(obj))

    def bookmark(self, resource_version: str) -> None:
        """See `app.kube.watch.Sink`."""
        self._deliver(int(resource_version))

    def _deliver(self, version: int, *, afresh: bool = False) -> None:
        self._delivered = version if afresh else max(self._delivered, version)
        self.known_version = version if afresh else max(self.known_version, version)
        self.newest_version = max(self.newest_version, version)

    def _reduce(self, obj: Object) -> Object:
        metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
        slim = {**obj, "metadata": metadata}
        return self._project(slim) if self._project is not None else slim

    def _put(self, key: Key, obj: Object, *, whatever_is_here: bool = False) -> None:
        """Store an object unless what is here is as new, or newer and not to be replaced; tell indexes and subscribers.

        One of the same version is the same object, unless that has another uid: then it is of another history.
        """
        known = self._objects.get(key)
        if known is not None and _version(known) >= _version(obj):
            same = _version(known) == _version(obj) and _uid(known) == _uid(obj)
            if same or not whatever_is_here:
                return
        replaced = known is not None and _uid(known) != _uid(obj)
        if replaced:
            self._drop(key, None)
            known = None
        self._objects[key] = obj
        for index in self._indexes.values():
            index.put(key, obj)
        self._tell("ADDED" if known is None else "MODIFIED", known, obj)

    def _drop(self, key: Key, final: Object | None) -> None:
        """Forget an object. `final` is its last state, when the watch told it."""
        known = self._objects.pop(key)
        for index in self._indexes.values():
            index.remove(key)
        self._tell("DELETED", known if final is None else self._reduce(final), None)

    def _tell(self, type_: EventType, old: Object | None, new: Object | None) -> None:
        for subscriber in self._subscribers:
            subscriber(type_, old, new)


_running: dict[str, list[Cache]] = {}


@contextmanager
def _shown_age(cache: Cache) -> Iterator[None]:
    """Show the age of the watch in the metrics; of several caches of one resource, the oldest."""
    plural = cache.resource.plural
    same = _running.setdefault(plural, [])
    same.append(cache)
    metrics.watch_age_seconds.labels(plural).set_function(
        lambda: max((each.seconds_since_last_line for each in same), default=0.0)
    )
    try:
        yield
    finally:
        same.remove(cache)
        if not same:
            metrics.watch_age_seconds.remove(plural)


class _Index:
    """One index: from key to objects and, for removal, back."""

    def __init__(self, fn: IndexFunction) -> None:
        self._fn = fn
        self._found: dict[str, dict[Key, None]] = {}
        self._under: dict[Key, tuple[str, ...]] = {}

    def put(self, key: Key, obj: Object) -> None:
        self.remove(key)
        values = tuple(dict.fromkeys(self._fn(obj)))
        if values:
            self._under[key] = values
        for value in values:
            self._found.setdefault(value, {})[key] = None

    def remove(self, key: Key) -> None:
        for value in self._under.pop(key, ()):
            holders = self._found[value]
            del holders[key]
            if not holders:
                del self._found[value]

    def find(self, value: str) -> list[Key]:
        return list(self._found.get(value, ()))


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _uid(obj: Object) -> object:
    return obj["metadata"].get("uid")


def _version(obj: Object) -> int:
    """Return the resourceVersion as a number: versions of one resource type are ordered."""
    return int(obj["metadata"]["resourceVersion"])
