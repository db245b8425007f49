"""What is kept of vanished executions is found by metadata alone, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

from app.kube.client import KubeClient
from app.kube.kept import SNAPSHOT, Owner, Place, config_map
from controller.snapshots import SnapshotStore


class Server:
    """ConfigMaps, of which it hands out metadata only, and in small pages."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = list(items)

    async def pages(self, _resource: object, *, metadata_only: bool, **_: object) -> AsyncGenerator[list[Any]]:
        assert metadata_only
        for item in self.items:
            yield [{"metadata": item["metadata"]}]

    async def delete(self, _resource: object, name: str, **_: object) -> None:
        self.items = [item for item in self.items if item["metadata"]["name"] != name]


def kept(uid: str, part: int) -> dict[str, Any]:
    place = Place("drplan-system", f"drplan-snapshot-{uid}", SNAPSHOT, Owner(uid, "ns", f"e-{uid}"))
    return config_map(place, {}, b"x" * 1000, part)


async def test_owners_and_removal_need_no_content() -> None:
    server = Server(*(kept(uid, part) for uid in ("a", "b") for part in (2, 1, 0)))
    store = SnapshotStore(cast("KubeClient", server), "drplan-system")
    assert [(owner.uid, owner.namespace, owner.name) for owner in await store.owners()] == [
        ("a", "ns", "e-a"),
        ("b", "ns", "e-b"),
    ]
    order: list[str] = []
    removed = server.delete

    async def delete(resource: object, name: str, **more: object) -> None:
        order.append(name)
        await removed(resource, name, **more)

    store._kube = cast("KubeClient", SimpleNamespace(pages=server.pages, delete=delete))
    await store.delete("a", keep_priors=True)
    assert order[0] == "drplan-snapshot-a", "the index goes first"
