"""Storing a snapshot beside what a deposed leader left, or still sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, Conflict, NotFound
from controller.snapshots import SnapshotStore

NAME = "drplan-snapshot-u"


class ConfigMaps:
    """ConfigMaps in memory. `meanwhile` is called before each request, by its verb: another process at work."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.meanwhile: Callable[[str], None] = lambda verb: None
        self._uids = 0

    def put(self, name: str, content: str) -> str:
        """Store one as another process; returns its uid."""
        self._uids += 1
        uid = f"uid-{self._uids}"
        self.objects[name] = {"metadata": {"name": name, "uid": uid}, "data": {}, "binaryData": {"content": content}}
        return uid

    async def create(self, _resource: object, body: Mapping[str, Any], **_: object) -> dict[str, Any]:
        self._note("create")
        name = body["metadata"]["name"]
        if name in self.objects:
            raise AlreadyExists(409, "AlreadyExists", "exists")
        self.put(name, body["binaryData"]["content"])
        return self.objects[name]

    async def get(self, _resource: object, name: str, **_: object) -> dict[str, Any]:
        self._note("get")
        if name not in self.objects:
            raise NotFound(404, "NotFound", "gone")
        return self.objects[name]

    async def delete(self, _resource: object, name: str, *, uid: str | None = None, **_: object) -> None:
        self._note("delete")
        if name not in self.objects:
            raise NotFound(404, "NotFound", "gone")
        assert uid is not None, "a deletion that arrives late hits whatever has the name by then"
        if self.objects[name]["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "another uid")
        del self.objects[name]

    def _note(self, verb: str) -> None:
        self.requests.append(verb)
        self.meanwhile(verb)


def config_map(content: str) -> dict[str, Any]:
    return {"metadata": {"name": NAME}, "data": {}, "binaryData": {"content": content}}


async def save(stored: ConfigMaps, content: str = "mine") -> None:
    await SnapshotStore(cast("KubeClient", stored), "ns")._create_or_replace(config_map(content))


def content(stored: ConfigMaps) -> str:
    return str(stored.objects[NAME]["binaryData"]["content"])


async def test_a_leftover_is_replaced() -> None:
    stored = ConfigMaps()
    stored.put(NAME, "other")
    await save(stored)
    assert content(stored) == "mine"


async def test_an_own_write_whose_answer_was_lost_is_recognised() -> None:
    stored = ConfigMaps()
    stored.put(NAME, "mine")
    await save(stored)
    assert stored.requests == ["create", "get"]


@pytest.mark.parametrize("at", ["get", "delete"])
async def test_another_one_replaces_it_in_the_same_moment(at: str) -> None:
    """By something else, which is replaced; by nothing; by the same, which will do."""
    for other in ("again another", None, "mine"):
        stored = ConfigMaps()
        stored.put(NAME, "other")

        def act(verb: str, stored: ConfigMaps = stored, other: str | None = other) -> None:
            if verb == at:
                stored.meanwhile = lambda _: None
                del stored.objects[NAME]
                if other is not None:
                    stored.put(NAME, other)

        stored.meanwhile = act
        await save(stored)
        assert content(stored) == "mine"


async def test_two_that_go_on_replacing_each_other_end_in_another_try() -> None:
    stored = ConfigMaps()
    stored.put(NAME, "other")

    def act(verb: str) -> None:
        if verb == "create" and NAME not in stored.objects:
            stored.put(NAME, "other")

    stored.meanwhile = act
    with pytest.raises(Conflict):
        await save(stored)
