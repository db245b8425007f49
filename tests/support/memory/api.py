"""The part of an API server that the controller needs, behind the client's transport."""

from __future__ import annotations

import asyncio
import copy
import itertools
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import aiohttp
import orjson

from app.kube.config import ConnectionConfig
from app.kube.errors import ApiUnavailable, error_from_status
from app.kube.transport import MOST_BYTES, Transport, Warn

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace, empty for cluster-scoped objects, and name."""

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)
_SET = re.compile(r"\s*([\w./-]+)\s+in\s+\(([^)]*)\)\s*")


@dataclass(frozen=True, slots=True)
class Served:
    """A resource type that is served; `has_status`: its status is a subresource."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    has_status: bool = False

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


_DR, _CLUSTERNET = "dr.bkbcs.tencent.com", "apps.clusternet.io"
SERVED = (
    Served("", "v1", "configmaps", "ConfigMap"),
    Served("", "v1", "secrets", "Secret"),
    Served("", "v1", "events", "Event"),
    Served("", "v1", "namespaces", "Namespace", namespaced=False),
    Served("", "v1", "pods", "Pod", has_status=True),
    Served("batch", "v1", "jobs", "Job", has_status=True),
    Served(_CLUSTERNET, "v1alpha1", "localizations", "Localization"),
    Served(_CLUSTERNET, "v1alpha1", "globalizations", "Globalization", namespaced=False),
    Served(_CLUSTERNET, "v1alpha1", "helmcharts", "HelmChart", has_status=True),
    Served(_CLUSTERNET, "v1alpha1", "subscriptions", "Subscription", has_status=True),
    Served(_DR, "v1alpha1", "drworkflows", "DRWorkflow", has_status=True),
    Served(_DR, "v1alpha1", "drplans", "DRPlan", has_status=True),
    Served(_DR, "v1alpha1", "drplanexecutions", "DRPlanExecution", has_status=True),
)
"""What is served."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; `path` is without query."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    content_type: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it changes something, Events left out."""
        return self.method != "GET" and "/events" not in self.path


@dataclass(slots=True)
class _Watch:
    plural: tuple[str, str]
    namespace: str
    matches: Callable[[Object], bool]
    lines: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    async def readline(self) -> bytes:
        return await self.lines.get()


class _Stream:
    """What the client reads a watch from."""

    def __init__(self, content: _Watch, close: Callable[[], None]) -> None:
        self.content = content
        self.close = close


class MemoryApi:
    """Objects in memory. `requests` are those that came, of all clients."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._objects: dict[tuple[str, str], dict[Key, Object]] = {(s.group, s.plural): {} for s in SERVED}
        self._served = {(s.group, s.plural): s for s in SERVED}
        self._version = 100
        self._uids = itertools.count(1)
        self._log: list[tuple[int, tuple[str, str], str, Object]] = []
        self._watches: list[_Watch] = []

    def objects(self, plural: str) -> list[Object]:
        """Return what is stored of a resource type."""
        [found] = [objects for (_, name), objects in self._objects.items() if name == plural]
        return list(found.values())

    def find(self, plural: str, name: str, namespace: str = "ns") -> Object | None:
        """Return one stored object."""
        [found] = [objects for (_, each), objects in self._objects.items() if each == plural]
        return found.get((namespace, name))

    def changes(self, plural: str, type_: str) -> list[str]:
        """Return the names of the objects of `ns` that were made (ADDED) or went (DELETED), one for each time."""
        return [
            obj["metadata"]["name"]
            for _, (_, kind), how, obj in self._log
            if (kind, how, obj["metadata"].get("namespace")) == (plural, type_, "ns")
        ]

    def copied(self) -> MemoryApi:
        """Return another API server with the same objects, which goes on by itself."""
        watches, self._watches = self._watches, []
        other = copy.deepcopy(self)
        self._watches = watches
        other._uids = itertools.count(10_000)
        return other

    def answer(self, request: Request) -> Object:
        """Do what a request asks for; raises the error of a refusal."""
        status, answer = self._answer(request)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise error_from_status(answer, http_status=status)
        return answer

    def watch(self, path: str, query: Mapping[str, str]) -> _Watch:
        """Begin a watch: what has changed since the version that it names, then what changes."""
        served, namespace, _, _ = self._target(path)
        watch = _Watch((served.group, served.plural), namespace, _selector(query))
        since = int(query.get("resourceVersion") or 0)
        for version, plural, type_, obj in self._log:
            if version > since and plural == watch.plural:
                self._send(watch, type_, obj)
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: _Watch) -> None:
        """End a watch."""
        if watch in self._watches:
            self._watches.remove(watch)

    def break_watches(self) -> None:
        """End all watches, as a server does that restarts."""
        for watch in self._watches:
            watch.lines.put_nowait(b"")

    def _target(self, path: str) -> tuple[Served, str, str, str]:
        found = _PATH.fullmatch(path)
        served = self._served.get((found["group"] or "", found["plural"])) if found else None
        if found is None or served is None:
            raise error_from_status(_status(404, "NotServed", f"nothing is served at {path}"), http_status=404)
        return served, found["namespace"] or "", unquote(found["name"] or ""), found["subresource"] or ""

    def _answer(self, request: Request) -> tuple[int, Object]:
        if request.method == "GET" and (document := self._discovery(request.path)):
            return 200, document
        served, namespace, name, subresource = self._target(request.path)
        objects = self._objects[served.group, served.plural]
        if request.method == "POST":
            return self._create(served, objects, namespace, request.body)
        if not name:
            matches = _selector(request.query)
            items = [
                copy.deepcopy(each)
                for (where, _), each in objects.items()
                if namespace in ("", where) and matches(each)
            ]
            return 200, {"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items}
        key = (namespace if served.namespaced else "", name)
        stored = objects.get(key)
        if stored is None and request.method == "PATCH" and "apply-patch" in request.content_type:
            return self._create(served, objects, namespace, request.body)
        if stored is None:
            return 404, _status(404, "NotFound", f'{served.plural} "{name}" not found', name=name, kind=served.plural)
        if request.method == "GET":
            return 200, copy.deepcopy(stored)
        if request.method == "DELETE":
            return self._delete(served, objects, key, request.body or {})
        return self._change(served, objects, key, request, subresource)

    def _discovery(self, path: str) -> Object | None:
        found = re.fullmatch(r"/api/v1|/apis/([^/]+)/([^/]+)", path)
        if not found:
            return None
        entries = [
            {"name": f"{each.plural}{suffix}", "kind": each.kind, "namespaced": each.namespaced}
            for each in SERVED
            if each.group == (found[1] or "")
            for suffix in ("", *(("/status",) if each.has_status else ()))
        ]
        return {"kind": "APIResourceList", "resources": entries}

    def _create(self, served: Served, objects: dict[Key, Object], namespace: str, body: Object) -> tuple[int, Object]:
        obj = copy.deepcopy(body)
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("name"):
            metadata["name"] = f"{metadata.pop('generateName', '')}{next(self._uids):05x}"
        if served.namespaced:
            metadata["namespace"] = namespace
        key = (namespace if served.namespaced else "", metadata["name"])
        if key in objects:
            text = f'{served.plural} "{key[1]}" already exists'
            return 409, _status(409, "AlreadyExists", text, name=key[1], kind=served.plural)
        obj.update(apiVersion=served.api_version, kind=served.kind)
        if served.has_status:
            obj.pop("status", None)
        metadata.update(
            uid=f"uid-{next(self._uids)}",
            generation=1,
            creationTimestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        self._store(served, objects, key, obj, "ADDED")
        return 201, copy.deepcopy(obj)

    def _change(
        self, served: Served, objects: dict[Key, Object], key: Key, request: Request, subresource: str
    ) -> tuple[int, Object]:
        stored, body = objects[key], copy.deepcopy(request.body)
        if isinstance(body, list):
            try:
                body = json_patched(stored, body)
            except (ValueError, LookupError, TypeError) as problem:
                return 422, _status(
                    422, "Invalid", f"the patch does not fit: {problem}", name=key[1], kind=served.plural
                )
        wanted = (body.get("metadata") or {}).get("resourceVersion")
        if wanted and wanted != stored["metadata"]["resourceVersion"]:
            text = f"Operation cannot be fulfilled on {served.plural} {key[1]!r}: the object has been modified"
            return 409, _status(409, "Conflict", text, name=key[1], kind=served.plural)
        new = copy.deepcopy(stored)
        changed = merged(new, body) if request.method == "PATCH" and not isinstance(request.body, list) else body
        if subresource == "status":
            new["status"] = changed.get("status") or {}
        else:
            kept = {name: stored["metadata"][name] for name in ("uid", "creationTimestamp", "generation")}
            deleted = stored["metadata"].get("deletionTimestamp")
            new = changed
            new["metadata"].update(kept, **({"deletionTimestamp": deleted} if deleted else {}))
            if served.has_status:
                new.pop("status", None)
                if "status" in stored:
                    new["status"] = copy.deepcopy(stored["status"])
            if {**new, "metadata": 0, "status": 0} != {**stored, "metadata": 0, "status": 0}:
                new["metadata"]["generation"] += 1
        new["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
        if new == stored:
            return 200, copy.deepcopy(stored)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._remove(served, objects, key, new)
        else:
            self._store(served, objects, key, new, "MODIFIED")
        return 200, copy.deepcopy(new)

    def _delete(self, served: Served, objects: dict[Key, Object], key: Key, options: Object) -> tuple[int, Object]:
        stored = objects[key]
        for member, wanted in (options.get("preconditions") or {}).items():
            if stored["metadata"].get(member) != wanted:
                text = f"the {member} in the precondition ({wanted}) does not match"
                return 409, _status(409, "Conflict", text, name=key[1], kind=served.plural)
        if stored["metadata"].get("finalizers"):
            if not stored["metadata"].get("deletionTimestamp"):
                new = copy.deepcopy(stored)
                new["metadata"]["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                self._store(served, objects, key, new, "MODIFIED")
            return 200, copy.deepcopy(objects[key])
        self._remove(served, objects, key, copy.deepcopy(stored))
        return 200, {"kind": "Status", "status": "Success"}

    def _store(self, served: Served, objects: dict[Key, Object], key: Key, obj: Object, type_: str) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        objects[key] = obj
        self._tell(served, type_, obj)

    def _remove(self, served: Served, objects: dict[Key, Object], key: Key, final: Object) -> None:
        self._version += 1
        final["metadata"]["resourceVersion"] = str(self._version)
        del objects[key]
        self._tell(served, "DELETED", final)

    def _tell(self, served: Served, type_: str, obj: Object) -> None:
        plural = (served.group, served.plural)
        self._log.append((self._version, plural, type_, copy.deepcopy(obj)))
        for watch in self._watches:
            if watch.plural == plural:
                self._send(watch, type_, obj)

    def _send(self, watch: _Watch, type_: str, obj: Object) -> None:
        if watch.namespace in ("", obj["metadata"].get("namespace", "")) and watch.matches(obj):
            watch.lines.put_nowait(orjson.dumps({"type": type_, "object": obj}) + b"\n")


class MemoryTransport(Transport):
    """One client's way to the API server. `before` is called with each of its requests and may raise or wait."""

    def __init__(self, api: MemoryApi) -> None:
        super().__init__(ConnectionConfig(server="https://memory.invalid"))
        self.api = api
        self.before: Callable[[Request], Awaitable[None]] | None = None
        self.cut = False
        """Set to lose all requests from now on, as those of a process that was killed."""

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
        """Answer one request; raises the error of a failure status, as `Transport` does."""
        del verb, label, timeout, max_bytes, warn
        body = orjson.loads(data) if data else None
        request = Request(method, path, query or {}, body, (headers or {}).get("Content-Type", ""))
        self.api.requests.append(request)
        await asyncio.sleep(0)
        if self.before is not None:
            await self.before(request)
        self._demand_line()
        return HTTPStatus.OK, orjson.dumps(self.api.answer(request))

    async def open_stream(
        self, label: str, path: str, query: dict[str, str], *, timeout: float
    ) -> aiohttp.ClientResponse:
        """Begin a watch."""
        del label, timeout
        await asyncio.sleep(0)
        self._demand_line()
        watch = self.api.watch(path, query)
        return cast("aiohttp.ClientResponse", _Stream(watch, lambda: self.api.unwatch(watch)))

    def _demand_line(self) -> None:
        if self.cut:
            raise ApiUnavailable("the line is cut", server="memory", in_doubt=True)


def merged(target: Any, patch: Any) -> Any:
    """Return what a JSON merge patch makes of a value (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def json_patched(target: Object, operations: list[Object]) -> Object:
    """Return what a JSON patch makes of an object (RFC 6902: test, add, replace, remove)."""
    found = copy.deepcopy(target)
    for each in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in each["path"].split("/")[1:]]
        place: Any = found
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        at: Any = int(last) if isinstance(place, list) and last != "-" else last
        if each["op"] == "test":
            if place[at] != each["value"]:
                raise ValueError(f"{each['path']} is {place[at]!r}")
        elif each["op"] == "remove":
            del place[at]
        elif isinstance(place, list) and each["op"] == "add":
            place.insert(len(place) if at == "-" else at, each["value"])
        else:
            place[at] = each["value"]
    return found


def _selector(query: Mapping[str, str]) -> Callable[[Object], bool]:
    parts = list(_parts(query.get("labelSelector", "")))
    fields = [part.split("=", 1) for part in query.get("fieldSelector", "").split(",") if part]

    def matches(obj: Object) -> bool:
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        return all(labels.get(name) in values for name, values in parts) and all(
            metadata.get(name.removeprefix("metadata.")) == value for name, value in fields
        )

    return matches


def _parts(selector: str) -> Iterator[tuple[str, set[str]]]:
    for found in re.finditer(r"[^,(]+\([^)]*\)|[^,]+", selector):
        if in_set := _SET.fullmatch(found[0]):
            yield in_set[1], {value.strip() for value in in_set[2].split(",")}
        else:
            name, _, value = found[0].partition("=")
            yield name, {value.lstrip("=")}


def _status(code: int, reason: str, message: str, *, name: str = "", kind: str = "") -> Object:
    return {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": {"name": name, "kind": kind},
    }
