"""The verbs that read collections, page by page (see `app.kube.pages`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from app.kube.bodies import JsonObject, make_query, parse_object
from app.kube.errors import Gone
from app.kube.pages import LIST_PAGE, PageSizes
from app.kube.resources import Resource
from app.kube.transport import MOST_BYTES, Transport

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
LIST_TRIES = 3
"""How often a collection is begun that expires between two pages."""
Items = list[JsonObject]


class ListVerbs(ABC):
    """What `app.kube.client.KubeClient` does with collections."""

    server: str
    _transport: Transport

    def __init__(self) -> None:
        self._page_sizes = PageSizes()
        self._table_sizes = PageSizes()
        self._metadata_page_sizes = PageSizes()

    @abstractmethod
    async def _object(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        *,
        timeout: float,
        query: dict[str, str] | None = None,
        max_bytes: int = MOST_BYTES,
        accept: str | None = None,
    ) -> JsonObject:
        """Send a request and return the object that is the answer."""

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int | None = None,
        continue_token: str | None = None,
        resource_version: str | None = None,
        metadata_only: bool = False,
        timeout: float = 30.0,
    ) -> JsonObject:
        """Read a collection as a List object; a quorum read unless `resource_version` is given.

        Every item carries apiVersion and kind, also where the server leaves them out. A page may have fewer items than
        `limit`, where objects are large. With `metadata_only` the items have nothing else, so that it does not matter
        how large they are.
        """
        query = make_query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            continue_=continue_token or None,
        )

        async def read(size: int | None, max_bytes: int) -> JsonObject:
            path, asked = resource.path(namespace), {**query, **make_query(limit=size)}
            return await self._object(
                "list",
                resource,
                "GET",
                path,
                query=asked,
                timeout=timeout,
                max_bytes=max_bytes,
                accept=METADATA if metadata_only else None,
            )

        sizes = self._metadata_page_sizes if metadata_only else self._page_sizes
        found = await sizes.read(resource, limit, read)
        found["items"] = found.get("items") or []
        for item in found["items"]:
            if metadata_only:
                item.update(apiVersion=resource.api_version, kind=resource.kind)
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return found

    async def table(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        field_selector: str | None = None,
        limit: int | None = None,
        continue_token: str | None = None,
        timeout: float = 30.0,
    ) -> JsonObject:
        """Read a collection as the Table that `kubectl get` shows: printed columns and metadata, no specs or statuses.

        For large objects this is a small part of what `list` moves; see `app.kube.tables`. A page may have fewer rows
        than `limit`, where metadata are large: annotations alone may have 256 KiB.
        """
        query = make_query(fieldSelector=field_selector, continue_=continue_token or None)

        async def read(size: int | None, max_bytes: int) -> JsonObject:
            _, content = await self._transport.request(
                "list",
                resource.plural,
                "GET",
                resource.path(namespace),
                query={**query, **make_query(limit=size)},
                headers={"Accept": TABLE},
                timeout=timeout,
                max_bytes=max_bytes,
            )
            return parse_object(content, self.server)

        return await self._table_sizes.read(resource, limit, read)

    async def list_all(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int | None = None,
        timeout: float = 30.0,
    ) -> Items:
        """Read a whole collection in pages (`timeout` is per page); one snapshot, a quorum read.

        When the snapshot expires between two pages, it is begun anew, some times; then that raises Gone.
        """
        for tries_left in reversed(range(LIST_TRIES)):
            items: Items = []
            pages = self.pages(
                resource,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                timeout=timeout,
            )
            try:
                async for page in pages:
                    items += page
            except Gone:
                if not items or not tries_left:
                    raise
            else:
                break
        return items

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int | None = None,
        metadata_only: bool = False,
        timeout: float = 30.0,
    ) -> AsyncGenerator[Items]:
        """Read a collection page by page, so that it need not be held as a whole. Raises Gone when it takes long."""
        token: str | None = None
        while True:
            page = await self.list(
                resource,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit or LIST_PAGE,
                continue_token=token,
                metadata_only=metadata_only,
                timeout=timeout,
            )
            yield page["items"]
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
