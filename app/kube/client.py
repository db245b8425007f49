"""The verbs of the API server: plain dicts in and out, one session per process.

Waiting and retrying is the caller's decision: see `app.kube.errors.is_transient`. What the transport repeats
by itself is said there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import orjson

from app.kube.bodies import JsonObject, make_query, name_of, namespace_for, parse_collection, parse_object
from app.kube.config import ConnectionConfig
from app.kube.discovery import Discovery
from app.kube.errors import error_from_status
from app.kube.lists import ListVerbs
from app.kube.resources import PODS, Resource
from app.kube.stream import WatchEvent, pick_watch_timeout, read_events
from app.kube.transport import MOST_BYTES, Transport, Warn

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

Items = list[JsonObject]
PatchBody = Mapping[str, Any] | list[Any]
"""A merge patch or apply configuration is an object, a JSON patch a list."""


class KubeClient(ListVerbs):
    """A connection to one API server. Use as `async with KubeClient(load_connection()) as kube:`.

    Methods raise the errors of `app.kube.errors`: an ApiError of the status the server answered with, or
    ApiUnavailable when there was no answer. `timeout` is always the whole request, in seconds.
    """

    def __init__(self, config: ConnectionConfig) -> None:
        self.config = config
        self.server = config.server
        super().__init__()
        self._transport = Transport(config)
        self._discovery = Discovery(self.get_raw)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    def idle_seconds(self) -> float:
        """Seconds since the last request ended, watches left out; 0 while one is under way."""
        return self._transport.idle_seconds

    async def get(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        timeout: float = 10.0,
        max_bytes: int = MOST_BYTES,
    ) -> JsonObject:
        """Read one object, fresh from etcd. Raises AnswerTooLarge when it has more than `max_bytes`."""
        path = resource.path(namespace, name)
        return await self._object("get", resource, "GET", path, timeout=timeout, max_bytes=max_bytes)

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str | None = None,
        field_manager: str = "drplan-controller",
        validation: str | None = None,
        warn: Warn | None = None,
        dry_run: bool = False,
        timeout: float = 10.0,
    ) -> JsonObject:
        """Create an object (in `namespace`, else in that of the body); AlreadyExists when the name is taken.

        A dry run passes admission but stores nothing. `validation` says what becomes of unknown fields (Strict, Warn or
        Ignore; Warn when None), `warn` gets the server's warnings; also in the other methods that write.
        """
        namespace = namespace_for(resource, namespace, body)
        return await self._object(
            "create",
            resource,
            "POST",
            resource.path(namespace),
            query=make_query(fieldManager=field_manager, fieldValidation=validation, dryRun="All" if dry_run else None),
            body=body,
            warn=warn,
            timeout=timeout,
        )

    async def replace(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        name: str | None = None,
        namespace: str | None = None,
        subresource: str | None = None,
        field_manager: str = "drplan-controller",
        validation: str | None = None,
        warn: Warn | None = None,
        timeout: float = 10.0,
    ) -> JsonObject:
        """Write a whole object (PUT); the resourceVersion in the body is the precondition, else Conflict."""
        path = resource.path(namespace_for(resource, namespace, body), name or name_of(body), subresource)
        return await self._object(
            "update",
            resource,
            "PUT",
            path,
            subresource=subresource,
            query=make_query(fieldManager=field_manager, fieldValidation=validation),
            body=body,
            warn=warn,
            timeout=timeout,
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: PatchBody,
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        content_type: str = MERGE_PATCH,
        field_manager: str = "drplan-controller",
        validation: str | None = None,
        warn: Warn | None = None,
        timeout: float = 10.0,
    ) -> JsonObject:
        """Patch an object, by default with a JSON merge patch. A resourceVersion in it is a precondition."""
        return await self._object(
            "patch",
            resource,
            "PATCH",
            resource.path(namespace, name, subresource),
            subresource=subresource,
            query=make_query(fieldManager=field_manager, fieldValidation=validation),
            body=patch,
            content_type=content_type,
            warn=warn,
            timeout=timeout,
        )

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        name: str | None = None,
        namespace: str | None = None,
        field_manager: str = "drplan-controller",
        validation: str | None = None,
        warn: Warn | None = None,
        force: bool = True,
        timeout: float = 10.0,
    ) -> tuple[JsonObject, bool]:
        """Server-side apply; returns the object and whether it was created by this call."""
        path = resource.path(namespace_for(resource, namespace, body), name or name_of(body))
        with self._discovery.doubting(resource):
            status, content = await self._transport.request(
                "apply",
                str(resource.plural),
                "PATCH",
                path,
                query=make_query(
                    fieldManager=field_manager, force="true" if force else "false", fieldValidation=validation
                ),
                data=orjson.dumps(body),
                headers={"Content-Type": APPLY_PATCH},
                warn=warn,
                timeout=timeout,
            )
        return parse_object(content, self.server), status == HTTPStatus.CREATED

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = "Background",
        timeout: float = 10.0,
    ) -> JsonObject:
        """Delete an object, if it still has that uid and resourceVersion (else Conflict).

        Returns the Status of the deletion, or the object when finalizers hold it.
        """
        preconditions = make_query(uid=uid, resourceVersion=resource_version)
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            options["preconditions"] = preconditions
        if propagation:
            options["propagationPolicy"] = propagation
        return await self._object(
            "delete",
            resource,
            "DELETE",
            resource.path(namespace, name),
            body=options,
            status_allowed=True,
            timeout=timeout,
        )

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout_seconds: int | None = None,
        inactivity: float = 75.0,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent]:
        """One watch, from `resource_version` on, until the server ends it; wrap it in `contextlib.aclosing`.

        `timeout_seconds` (random 5 to 10 minutes when None) is when the server ends it; `inactivity` is how long
        no line may come (bookmarks come each minute). Raises Gone for both forms of 410, another ApiError for other
        ERROR events, ApiUnavailable when the stream breaks (WatchSilent when it goes silent), WatchLineTooLong for an
        event beyond the read buffer. Bookmarks are yielded like other events; `on_open` is called once the server
        has accepted the watch.
        """
        query = make_query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            timeoutSeconds=timeout_seconds or pick_watch_timeout(),
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        response = await self._transport.open_stream(
            resource.plural, resource.path(namespace), query, timeout=inactivity
        )
        try:
            if on_open is not None:
                on_open()
            async for event in read_events(response.content, inactivity=inactivity, server=self.server):
                if event.type == "ERROR":
                    raise error_from_status(event.object)
                yield event
        finally:
            response.close()

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        """Return the resource type that serves `apiVersion` and `kind`; UnknownKind with a hint when none does."""
        return await self._discovery.resource_for(api_version, kind)

    async def describes_status(self, resource: Resource) -> bool | None:
        """Whether the schema of a kind has a status though none is served apart; None while that cannot be told."""
        return await self._discovery.describes_status(resource)

    async def served_now(self, group: str, kind: str) -> Resource | None:
        """Return the resource of a kind in whichever version of its group is served now; None when none is."""
        return await self._discovery.served_now(group, kind)

    async def pod_log(
        self,
        name: str,
        namespace: str,
        *,
        tail_lines: int = 20,
        container: str | None = None,
        timeout: float = 10.0,
    ) -> str:
        """Return the last lines of a pod's log, at most 16 KiB."""
        query = make_query(tailLines=tail_lines, container=container, limitBytes=16 * 1024)
        _, content = await self._transport.request(
            "get",
            "pods/log",
            "GET",
            PODS.path(namespace, name, "log"),
            query=query,
            headers={"Accept": "text/plain, */*"},
            timeout=timeout,
        )
        return content.decode("utf-8", "replace")

    async def version(self, *, timeout: float = 10.0) -> JsonObject:
        """Return the server's version document."""
        return parse_object(await self.get_raw("/version", timeout=timeout), self.server)

    async def get_raw(self, path: str, *, accept: str = "application/json", timeout: float = 10.0) -> bytes:
        """GET any path of the server (`/readyz`, discovery documents)."""
        _, content = await self._transport.request(
            "get", "raw", "GET", path, headers={"Accept": accept}, timeout=timeout
        )
        return content

    async def _object(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        *,
        timeout: float,
        query: dict[str, str] | None = None,
        body: PatchBody | None = None,
        content_type: str = "application/json",
        subresource: str | None = None,
        status_allowed: bool = False,
        max_bytes: int = MOST_BYTES,
        accept: str | None = None,
        warn: Warn | None = None,
    ) -> JsonObject:
        headers = {"Content-Type": content_type} if body is not None else {}
        if accept is not None:
            headers["Accept"] = accept
        label = f"{resource.plural}/{subresource}" if subresource else resource.plural
        with self._discovery.doubting(resource):
            _, content = await self._transport.request(
                verb,
                label,
                method,
                path,
                query=query,
                data=None if body is None else orjson.dumps(body),
                headers=headers,
                timeout=timeout,
                max_bytes=max_bytes,
                warn=warn,
            )
        found = await parse_collection(content, self.server) if verb == "list" else parse_object(content, self.server)
        if found.get("kind") == "Status" and not status_allowed:
            raise error_from_status(found)
        return found
