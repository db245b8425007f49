"""The local copy of a collection: order of versions, own writes, indexes, subscribers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kube.cache import Cache, CacheNotSyncedError
from app.kube.client import KubeClient
from app.kube.config import ConnectionConfig
from app.kube.resources import CONFIG_MAPS
from tests.unit.kube.scripted import config_map, refusal, scripted


def new_cache(**arguments: Any) -> Cache:
    return Cache(KubeClient(ConnectionConfig(server="http://127.0.0.1:1")), CONFIG_MAPS, **arguments)


def fill(cache: Cache, version: int, *objects: dict[str, Any]) -> None:
    cache.begin()
    cache.page(list(objects))
    cache.complete(str(version))


def uid_of(obj: dict[str, Any] | None) -> Any:
    return None if obj is None else obj["metadata"]["uid"]


def version_of(cache: Cache, name: str) -> str:
    return str((cache.get("ns", name) or {})["metadata"]["resourceVersion"])


def names(cache: Cache) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in cache.items())


def test_managed_fields_are_left_out() -> None:
    cache = new_cache()
    given_object = config_map("a", 1, metadata={"managedFields": [{"manager": "kubectl"}], "labels": {"x": "y"}})
    fill(cache, 1, given_object)
    kept = cache.get("ns", "a")
    assert kept is not None
    assert kept["metadata"]["labels"] == {"x": "y"}
    assert "managedFields" not in kept["metadata"]
    assert "managedFields" in given_object["metadata"]


def test_objects_can_be_projected() -> None:
    cache = new_cache(project=lambda obj: {"metadata": obj["metadata"], "n": len(obj["data"])})
    fill(cache, 1, config_map("a", 1, data={"x": "1", "y": "2"}))
    kept = cache.get("ns", "a")
    assert kept is not None
    assert kept["n"] == 2
    assert "data" not in kept


def test_items_of_one_namespace() -> None:
    cache = new_cache()
    fill(cache, 5, config_map("a", 1), config_map("b", 2, metadata={"namespace": "other"}))
    assert [obj["metadata"]["name"] for obj in cache.items("other")] == ["b"]
    assert len(cache) == 2


def test_an_own_write_is_seen_at_once_and_an_older_event_does_not_undo_it() -> None:
    cache = new_cache()
    fill(cache, 5, config_map("a", 1, data={"x": "old"}))
    cache.remember(config_map("a", 9, data={"x": "mine"}))
    cache.event("MODIFIED", config_map("a", 7, data={"x": "between"}))
    kept = cache.get("ns", "a")
    assert kept is not None
    assert kept["data"] == {"x": "mine"}


def test_an_older_result_of_an_own_write_is_ignored() -> None:
    cache = new_cache()
    fill(cache, 5, config_map("a", 5))
    cache.event("MODIFIED", config_map("a", 9))
    cache.remember(config_map("a", 7))
    kept = cache.get("ns", "a")
    assert kept is not None
    assert kept["metadata"]["resourceVersion"] == "9"


def test_the_late_result_of_a_write_to_a_deleted_object_brings_no_ghost() -> None:
    cache = new_cache()
    fill(cache, 5, config_map("a", 5))
    cache.event("DELETED", config_map("a", 9))
    cache.remember(config_map("a", 8))
    assert cache.get("ns", "a") is None
    cache.remember(config_map("a", 12))
    assert cache.get("ns", "a") is not None


def test_a_list_does_not_undo_what_was_written_while_it_was_taken() -> None:
    cache = new_cache()
    fill(cache, 5, config_map("changed", 3))
    cache.begin()
    cache.page([config_map("changed", 3)])
    cache.remember(config_map("mine", 20))
    cache.remember(config_map("changed", 21))
    cache.complete("15")
    assert names(cache) == ["changed", "mine"]
    assert version_of(cache, "changed") == "21"
    fill(cache, 25)
    assert names(cache) == []


def test_a_write_seen_while_the_list_was_taken_may_be_gone_by_its_end() -> None:
    cache = new_cache()
    fill(cache, 5)
    cache.begin()
    cache.remember(config_map("mine", 20))
    cache.complete("25")
    assert names(cache) == []


def test_a_list_of_a_restored_history_replaces_what_was_known() -> None:
    """As after etcd was restored from a backup: versions go back, objects of the lost time are gone."""
    told: list[tuple[str, str]] = []
    cache = new_cache()
    cache.add_index("name", lambda obj: [obj["metadata"]["name"]])
    fill(cache, 100, config_map("old", 10), config_map("changed", 90, data={"now": "1"}), config_map("late", 95))
    cache.remember(config_map("mine", 120))
    cache.subscribe(lambda type_, old, new: told.append((type_, (new or old or {})["metadata"]["name"])))
    fill(cache, 50, config_map("old", 10), config_map("changed", 40, data={"now": "0"}), config_map("deleted", 45))
    assert names(cache) == ["changed", "deleted", "old"]
    assert (cache.get("ns", "changed") or {})["data"] == {"now": "0"}
    assert sorted(told) == [("ADDED", "deleted"), ("DELETED", "late"), ("DELETED", "mine"), ("MODIFIED", "changed")]
    assert cache.by_index("name", "late") == []
    cache.event("ADDED", config_map("next", 51))
    cache.remember(config_map("own", 52))
    assert names(cache) == ["changed", "deleted", "next", "old", "own"]


def test_a_restored_history_may_have_caught_up_before_it_is_listed() -> None:
    """Then the list is newer than what is known, and single objects in it are older, or others of the same version."""
    cache = new_cache()
    fill(cache, 100, config_map("changed", 90), config_map("anew", 80))
    other = config_map("anew", 80)
    other["metadata"]["uid"] = "another"
    fill(cache, 150, config_map("changed", 40), other)
    assert version_of(cache, "changed") == "40"
    assert uid_of(cache.get("ns", "anew")) == "another"


def test_the_deletion_of_an_earlier_object_of_the_same_name_is_ignored() -> None:
    cache = new_cache()
    fill(cache, 5, config_map("a", 5))
    cache.remember(config_map("a", 12, metadata={"uid": "second"}))
    cache.event("DELETED", config_map("a", 10))
    kept = cache.get("ns", "a")
    assert kept is not None
    assert kept["metadata"]["uid"] == "second"


def test_another_uid_under_the_same_name_is_told_as_deletion_and_addition() -> None:
    cache = new_cache()
    told: list[tuple[str, Any, Any]] = []
    fill(cache, 5, config_map("a", 5))
    cache.subscribe(lambda type_, old, new: told.append((type_, uid_of(old), uid_of(new))))
    fill(cache, 20, config_map("a", 15, metadata={"uid": "second"}))
    assert told == [("DELETED", "uid-a", None), ("ADDED", None, "second")]


def test_subscribers_get_old_and_new() -> None:
    cache = new_cache()
    told: list[tuple[str, Any, Any]] = []

    def version(obj: Any) -> Any:
        return obj and obj["metadata"]["resourceVersion"]

    cache.subscribe(lambda type_, old, new: told.append((type_, version(old), version(new))))
    fill(cache, 5, config_map("a", 1))
    cache.event("MODIFIED", config_map("a", 6))
    cache.event("MODIFIED", config_map("a", 6))
    cache.remember(config_map("a", 7))
    cache.event("MODIFIED", config_map("a", 7))
    cache.event("DELETED", config_map("a", 8))
    assert told == [("ADDED", None, "1"), ("MODIFIED", "1", "6"), ("MODIFIED", "6", "7"), ("DELETED", "8", None)]


def test_own_writes_in_other_namespaces_are_not_taken() -> None:
    cache = new_cache(namespace="elsewhere")
    cache.remember(config_map("a", 1))
    assert cache.items() == []


def test_indexes_follow_changes() -> None:
    cache = new_cache()
    cache.add_index("colour", lambda obj: obj["data"].values())
    fill(cache, 5, config_map("a", 1, data={"x": "red", "y": "blue"}), config_map("b", 2, data={"x": "red"}))
    assert sorted(o["metadata"]["name"] for o in cache.by_index("colour", "red")) == ["a", "b"]
    cache.event("MODIFIED", config_map("a", 6, data={"x": "green"}))
    assert [o["metadata"]["name"] for o in cache.by_index("colour", "red")] == ["b"]
    assert cache.by_index("colour", "blue") == []
    cache.event("DELETED", config_map("b", 7, data={"x": "red"}))
    assert cache.by_index("colour", "red") == []


def test_an_index_added_later_covers_what_is_there() -> None:
    cache = new_cache()
    fill(cache, 5, config_map("a", 1))
    cache.add_index("name", lambda obj: [obj["metadata"]["name"]])
    assert len(cache.by_index("name", "a")) == 1
    with pytest.raises(ValueError, match="exists already"):
        cache.add_index("name", lambda obj: [])


async def test_waiting_for_the_first_list_says_why_it_does_not_come() -> None:
    async with scripted(refusal(403, "Forbidden", 'User "x" cannot list configmaps')) as (_, kube):
        cache = Cache(kube, CONFIG_MAPS)
        task = asyncio.create_task(cache.run())
        with pytest.raises(
            CacheNotSyncedError, match=r'no page of a list of configmaps within 0\.3 s: User "x" cannot list'
        ):
            await cache.wait_synced(0.3)
        assert not cache.synced
        task.cancel()
        await asyncio.wait({task})


HISTORY = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["write", "delete"])), max_size=30)


@given(history=HISTORY, own=st.sets(st.integers(0, 30)), relists=st.sets(st.integers(0, 30)), lag=st.integers(0, 5))
def test_whatever_the_interleaving_the_copy_ends_up_equal(
    history: list[tuple[str, str]], own: set[int], relists: set[int], lag: int
) -> None:
    """A server's history arrives late, with own writes remembered early or late and lists in between."""
    cache = new_cache()
    cache.add_index("name", lambda obj: [obj["metadata"]["name"]])
    server: dict[str, dict[str, Any]] = {}
    events: list[tuple[Any, dict[str, Any]]] = []
    late: list[tuple[int, dict[str, Any]]] = []
    fill(cache, 0)
    for version, (name, what) in enumerate(history, start=1):
        if what == "write":
            uid = server[name]["metadata"]["uid"] if name in server else f"{name}-{version}"
            obj = config_map(name, version, metadata={"uid": uid})
            events.append(("MODIFIED" if name in server else "ADDED", obj))
            server[name] = obj
            if version in own:
                late.append((version + (version * 7) % 4, obj))
        elif name in server:
            last = server.pop(name)
            events.append(("DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": str(version)}}))
        for due, obj in [entry for entry in late if entry[0] <= version]:
            cache.remember(obj)
            late.remove((due, obj))
        if version in relists:
            events.clear()
            fill(cache, version, *server.values())
        while len(events) > lag:
            cache.event(*events.pop(0))
    for type_, obj in events:
        cache.event(type_, obj)
    for _, obj in late:
        cache.remember(obj)
    assert {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in cache.items()} == {
        name: obj["metadata"]["resourceVersion"] for name, obj in server.items()
    }
    for name in "abc":
        assert len(cache.by_index("name", name)) == (name in server)
