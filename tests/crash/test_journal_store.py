"""The journal against the real API server, in this process: group commit, housekeeping, take-over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from app.engine.definition import Address
from app.engine.events import ActionFinished, ActionStarted
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import ApiError, NotFound, is_transient
from app.kube.resources import CONFIG_MAPS, Resource
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from app.models.phases import Phase
from app.models.suspension import Reason
from controller.journal import (
    DamagedSegmentError,
    DeposedError,
    Entry,
    EntryRefusedError,
    Header,
    Journal,
    JournalClosedError,
)
from controller.journal.format import SELECTOR, Line, Segment, read_segment, to_config_map
from controller.journal.head import NAME, HeadStore
from controller.journal.store import SegmentStore
from controller.journal.writer import CARRY_FORWARD_SEGMENTS, SEGMENT_BYTES
from tests.crash.conftest import Rig
from tests.support.proxy import JOURNAL, hold_answer, refuse, request_to

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def entries(uid: str, first: int, last: int) -> list[Entry]:
    """Entries of one run, numbered."""
    return [
        Entry(uid, "ns", f"run-{uid}", n, ActionStarted(NOW, Address(0, 0, n), attempt=1))
        for n in range(first, last + 1)
    ]


class Store:
    """A namespace with journals in it."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self._tasks: dict[Journal, asyncio.Task[None]] = {}

    async def journal(self, identity: str) -> tuple[Journal, dict[str, list[Entry]]]:
        """A journal that has been claimed and is running."""
        journal = Journal(self.kube, self.namespace, identity)
        recovered = await journal.claim()
        self._tasks[journal] = asyncio.create_task(journal.run(), name=f"journal/{identity}")
        return journal, recovered

    async def kill(self, journal: Journal) -> None:
        """End a journal without a word to anybody."""
        task = self._tasks.pop(journal)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def end_of(self, journal: Journal) -> BaseException | None:
        """Wait until a journal has ended; return why."""
        [task] = (await asyncio.wait({self._tasks.pop(journal)}, timeout=20))[0]
        return task.exception()

    async def segments(self) -> dict[str, str]:
        """Text by name, in order."""
        found = await self.kube.list_all(CONFIG_MAPS, namespace=self.namespace, label_selector=SELECTOR)
        return {
            m["metadata"]["name"]: (m.get("data") or {}).get("journal", "")
            for m in sorted(found, key=lambda m: m["metadata"]["name"])
        }

    async def wait_for_segments(self, most: int) -> None:
        """Wait until no more than `most` are left."""
        async with asyncio.timeout(20):
            while len(await self.segments()) > most:
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """End what still runs."""
        for journal in list(self._tasks):
            await self.kill(journal)


@asynccontextmanager
async def opened(rig: Rig) -> AsyncIterator[Store]:
    namespace = rig.cluster.namespace("journal")
    kubeconfig = rig.proxy.kubeconfig("admin", rig.plane.identity("admin").token, rig.plane.directory)
    async with KubeClient(load_connection(str(kubeconfig))) as kube:
        store = Store(kube, namespace)
        try:
            yield store
        finally:
            await store.close()


async def filled(journal: Journal, uid: str, segments: int, first: int = 1) -> int:
    """Append entries of `uid` until so many segments have been filled; return the last sequence."""
    size = len(entries(uid, 1, 1)[0].line()) + 3
    count, last = segments * (SEGMENT_BYTES // size + 2), first
    for start in range(first, first + count, 10):
        last = start + 9
        await journal.append(entries(uid, start, last))
    return last


async def test_events_of_all_runs_travel_together(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, recovered = await store.journal("one")
        assert recovered == {}
        mark = len(rig.proxy.log)
        await asyncio.gather(*(journal.append(entries(f"r{n}", 1, 2)) for n in range(50)))
        writes = rig.proxy.accepted(lambda r: r.writes_journal and f"/{store.namespace}/" in r.path, since=mark)
        assert len(writes) <= 3
        await store.kill(journal)
        _, recovered = await store.journal("two")
        assert recovered == {f"r{n}": entries(f"r{n}", 1, 2) for n in range(50)}


async def test_covered_segments_are_deleted_and_the_newest_stays(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        last = await filled(journal, "r", 5)
        assert len(await store.segments()) >= 5
        journal.release("r", last)
        await store.wait_for_segments(2)
        assert next(iter(await store.segments())).removeprefix(JOURNAL) == "00000001"  # the claim's own
        await journal.append(entries("r", last + 1, last + 1))
        assert journal.entries("r")[-1].sequence == last + 1
        journal.forget("r")
        await store.kill(journal)
        _, recovered = await store.journal("two")
        assert last + 1 in [entry.sequence for entry in recovered["r"]]


async def test_covered_entries_give_their_place_to_new_ones(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        mark = len(rig.proxy.log)
        for first in range(1, 300, 10):
            await journal.append(entries("r", first, first + 9))
            journal.release("r", first + 8)
        (text,) = (await store.segments()).values()
        assert len(text) < SEGMENT_BYTES
        writes = rig.proxy.accepted(lambda r: r.writes_journal and f"/{store.namespace}/" in r.path, since=mark)
        assert [write.method for write in writes] == ["PUT"] * 30
        await store.kill(journal)
        _, recovered = await store.journal("two")
        assert recovered["r"][-2:] == entries("r", 299, 300)


async def test_many_runs_at_once_fill_larger_segments(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        for turn in range(8):
            await asyncio.gather(*(journal.append(entries(f"r{n}", turn + 1, turn + 1)) for n in range(60)))
        assert len(await store.segments()) <= 3


async def test_entries_of_a_run_that_nobody_covers_are_carried_forward(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        kept = entries("stuck", 1, 3)
        last = await filled(journal, "busy", 1)
        await journal.append(kept)
        for _ in range(CARRY_FORWARD_SEGMENTS + 4):
            last = await filled(journal, "busy", 1, first=last + 1)
            await journal.append(entries("other", last, last))  # keeps a segment alive each
        journal.forget("busy")
        await store.wait_for_segments(CARRY_FORWARD_SEGMENTS + 3)
        assert journal.entries("stuck") == kept
        await store.kill(journal)
        _, recovered = await store.journal("two")
        assert recovered["stuck"] == kept
        assert len(recovered["other"]) == CARRY_FORWARD_SEGMENTS + 4


async def test_deleted_segments_are_written_again_from_memory(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        last = await filled(journal, "r", 3)
        before = await store.segments()
        for name in before:
            await store.kube.delete(CONFIG_MAPS, name, namespace=store.namespace)
        async with asyncio.timeout(20):
            while await store.segments() != before:
                await asyncio.sleep(0.02)
        await journal.append(entries("r", last + 1, last + 1))
        await store.kill(journal)
        _, recovered = await store.journal("two")
        assert [entry.sequence for entry in recovered["r"]] == list(range(1, last + 2))


async def test_segment_deleted_between_claim_and_watch_is_written_again(rig: Rig) -> None:
    async with opened(rig) as store:
        old, _ = await store.journal("one")
        await filled(old, "r", 2)
        await store.kill(old)
        journal = Journal(store.kube, store.namespace, "two")
        await journal.claim()
        before = await store.segments()
        await store.kube.delete(CONFIG_MAPS, next(iter(before)), namespace=store.namespace)
        running = asyncio.create_task(journal.run())
        async with asyncio.timeout(20):
            while await store.segments() != before:
                await asyncio.sleep(0.02)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def deposed(store: Store, journal: Journal) -> None:
    with pytest.raises(JournalClosedError):
        await journal.append(entries("late", 1, 1))
    assert isinstance(await store.end_of(journal), DeposedError)
    assert not any("late" in text for text in (await store.segments()).values())


async def test_a_claim_deposes_whoever_appends(rig: Rig) -> None:
    async with opened(rig) as store:
        first, _ = await store.journal("one")
        await first.append(entries("r", 1, 1))
        second, recovered = await store.journal("two")
        assert recovered == {"r": entries("r", 1, 1)}
        assert second.epoch == first.epoch + 1
        await deposed(store, first)
        await second.append(entries("r", 2, 2))


async def test_a_deposed_leader_cannot_go_on_under_a_number_that_was_used_and_freed(rig: Rig) -> None:
    async with opened(rig) as store:
        first = SegmentStore(store.kube, store.namespace)
        header, [segment] = await first.claim("one")
        second, _ = await store.journal("two")
        await filled(second, "s", 3)
        second.forget("s")
        await store.wait_for_segments(2)
        with pytest.raises(DeposedError):
            await first.write(segment, is_new=False)
        with pytest.raises(DeposedError):
            await first.write(Segment(segment.number + 1, "", header, []), is_new=True)
        await second.append(entries("s", 1000, 1000))


async def test_not_even_after_two_more_leaders(rig: Rig) -> None:
    async with opened(rig) as store:
        first = SegmentStore(store.kube, store.namespace)
        header, [segment] = await first.claim("one")
        second, _ = await store.journal("two")
        await store.kill(second)
        third, _ = await store.journal("three")
        await third.append(entries("t", 1, 1))
        await store.wait_for_segments(1)
        before = await store.segments()
        with pytest.raises(DeposedError):
            await first.write(Segment(segment.number + 1, "", header, []), is_new=True)
        assert await store.segments() == before
        await third.append(entries("t", 2, 2))


async def test_a_leader_that_found_nothing_deposes_too(rig: Rig) -> None:
    async with opened(rig) as store:
        first, _ = await store.journal("one")
        await first.append(entries("r", 1, 1))
        rule = rig.proxy.on(lambda r: r.writes_journal and b"late" in r.body, refuse(503), times=None)
        late = asyncio.create_task(first.append(entries("late", 1, 1)))
        await asyncio.to_thread(rule.wait)
        for name in await store.segments():
            await store.kube.delete(CONFIG_MAPS, name, namespace=store.namespace)
        second = Journal(store.kube, store.namespace, "two")
        await second.claim()
        rig.proxy.clear()
        with pytest.raises(JournalClosedError):
            await late
        assert isinstance(await store.end_of(first), DeposedError)


async def test_an_append_that_was_given_up_before_its_turn_is_not_recorded(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        rule = rig.proxy.on(lambda r: r.writes_journal and f"/{store.namespace}/" in r.path, hold_answer)
        first = asyncio.create_task(journal.append(entries("a", 1, 1)))
        await asyncio.to_thread(rule.wait)
        second = asyncio.create_task(journal.append(entries("b", 1, 1)))
        await asyncio.sleep(0)
        second.cancel()
        rule.release()
        await first
        await journal.append(entries("c", 1, 1))
        assert [bool(journal.entries(uid)) for uid in "abc"] == [True, False, True]


def large(uid: str, references: int) -> Entry:
    """An entry that names so many objects; each takes about 150 bytes."""
    refs = tuple(
        CoreReference(api_version="v1", kind="ConfigMap", namespace="n" * 20, name=f"{'x' * 30}-{n}", uid="u" * 36)
        for n in range(references)
    )
    outputs = ActionOutputs(resource_refs=refs)
    return Entry(uid, "ns", f"run-{uid}", 2, ActionFinished(NOW, Address(0, 0, 1), Phase.SUCCEEDED, "done", outputs))


LARGE = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@LARGE
@pytest.mark.parametrize(
    ("references", "answer"), [(9_000, "may not be more than 1048576 bytes"), (30_000, "too large")]
)
async def test_an_entry_that_no_config_map_holds_is_refused_alone(rig: Rig, references: int, answer: str) -> None:
    """What the real API server says: 422 beyond the size of a ConfigMap, 413 beyond that of a request."""
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        rule = rig.proxy.on(lambda r: r.writes_journal and f"/{store.namespace}/" in r.path, hold_answer)
        first = asyncio.create_task(journal.append(entries("first", 1, 1)))
        await asyncio.to_thread(rule.wait)
        bad = asyncio.create_task(journal.append([*entries("bad", 1, 1), large("bad", references)]))
        others = [asyncio.create_task(journal.append(entries(f"r{n}", 1, 2))) for n in range(12)]
        await asyncio.sleep(0)
        rule.release()
        await asyncio.gather(first, *others)
        with pytest.raises(EntryRefusedError, match=answer) as refusal:
            await bad
        assert refusal.value.committed == 1
        await journal.append(entries("r0", 3, 3))
        await store.kill(journal)
        _, recovered = await store.journal("two")
        assert recovered["bad"] == entries("bad", 1, 1)
        assert all(len(recovered[f"r{n}"]) == (3 if n == 0 else 2) for n in range(12))


@LARGE
async def test_etcds_own_limit_is_told_as_500_and_is_for_good(rig: Rig) -> None:
    async with opened(rig) as store:
        labels = {"app": "large"}
        pod = {"containers": [{"name": "c", "image": "i", "env": [{"name": "E", "value": "x" * 2_000_000}]}]}
        template = {"metadata": {"labels": labels}, "spec": pod}
        metadata = {"name": "large", "namespace": store.namespace}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
        with pytest.raises(ApiError, match="request is too large") as refusal:
            await store.kube.create(Resource("apps", "v1", "deployments", "Deployment"), body)
        assert not is_transient(refusal.value)


async def test_an_api_server_that_is_behind_what_was_seen_is_not_believed(rig: Rig) -> None:
    async with opened(rig) as store:
        first, _ = await store.journal("one")
        await first.append(entries("r", 1, 1))
        first.take_over()
        async with asyncio.timeout(20):
            while (head := await HeadStore(store.kube, store.namespace).read()) is None or head.unsure:
                await asyncio.sleep(0.02)
        await store.kill(first)
        sure = Journal(store.kube, store.namespace, "two")
        await sure.claim(known_revision=1)
        assert sure.takeover.reason is None
        sure.take_over()
        unsure = Journal(store.kube, store.namespace, "three")
        await unsure.claim(known_revision=10**15)
        assert unsure.takeover.reason is Reason.JOURNAL_INCOMPLETE
        later = Journal(store.kube, store.namespace, "four")  # the verdict stays until everybody has been told
        await later.claim()
        assert later.takeover == replace(unsure.takeover, covered=later.takeover.covered)


async def test_entry_of_an_unknown_event_is_named(rig: Rig) -> None:
    """A later version wrote it, with the digest that goes with it."""
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        await journal.append(entries("r", 1, 1))
        await store.kill(journal)
        [name] = await store.segments()
        stored = await store.kube.get(CONFIG_MAPS, name, namespace=store.namespace)
        found = read_segment(stored)
        found.lines = [Line(line.uid, line.sequence, line.text.replace("Started", "Dreamt")) for line in found.lines]
        await store.kube.replace(CONFIG_MAPS, {**stored, **to_config_map(found, store.namespace)})
        with pytest.raises(DamagedSegmentError, match=f"{name} cannot be read, event 1 of execution r"):
            await Journal(store.kube, store.namespace, "two").claim()


async def test_what_is_written_while_the_journal_is_looked_at_is_no_restored_etcd(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look answered before a write that ended sooner made the leader end, and the runs under way ask."""
    async with opened(rig) as store:
        journal, _ = await store.journal("a")
        await journal.append(entries("u", 1, 1))
        look = store.kube.get

        async def overtaken(*args: Any, **kwargs: Any) -> Any:
            answer = await look(*args, **kwargs)
            await journal.append(entries("u", 2, 2))
            return answer

        async def superseded(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(store.kube, "get", look)
            await filled(journal, "u", 2, first=3)
            raise NotFound(404, "NotFound", "covered and deleted meanwhile")

        for answering in (overtaken, superseded):
            monkeypatch.setattr(store.kube, "get", answering)
            await journal.demand_current()
        await journal.append(entries("v", 1, 1))
        assert "run-v" in "".join((await store.segments()).values())


async def taken_over(store: Store, journal: Journal) -> None:
    """Say that all runs have been told, and wait until the head says so."""
    journal.take_over()
    async with asyncio.timeout(20):
        while True:
            head = await store.kube.get(CONFIG_MAPS, NAME, namespace=store.namespace)
            if not orjson.loads(head["data"]["head"])["unsure"]:
                return
            await asyncio.sleep(0.05)


async def changed(store: Store, name: str, patch: dict[str, Any]) -> None:
    await store.kube.patch(CONFIG_MAPS, name, patch, namespace=store.namespace)


async def put_right(store: Store, name: str, text: str) -> bool:
    """Whether a segment has its label and, in order, what it had; more may have been written to it."""
    stored = await store.kube.get(CONFIG_MAPS, name, namespace=store.namespace)
    lines = (stored.get("data") or {}).get("journal", "").split("\n")
    found = await store.segments()
    return (
        name in found and not read_segment(stored).damage and lines[1 : len(text.split("\n"))] == text.split("\n")[1:]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"journal": "x"}},
        {"data": {"journal": None}},
        {"data": None},
        {"data": {"journal": None, "other": "y"}},
        {"immutable": True},
        {"metadata": {"annotations": {"a": "b"}, "ownerReferences": None}},
        {"metadata": {"labels": {"dr.bkbcs.tencent.com/component": "something-else"}}},
        {"metadata": {"labels": None}, "immutable": True},
    ],
    ids=str,
)
async def test_a_leader_goes_on_and_puts_right_what_somebody_does_to_its_segments(
    rig: Rig, change: dict[str, Any]
) -> None:
    """The older ones too, which it does not write any more; the next leader finds everything."""
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        await taken_over(store, journal)
        last = await filled(journal, "r", 3)
        before = await store.segments()
        for name in before:
            await changed(store, name, change)
        await journal.append(entries("r", last + 1, last + 2))
        async with asyncio.timeout(30):
            while not all([await put_right(store, name, text) for name, text in before.items()]):
                await asyncio.sleep(0.05)
        await store.kill(journal)
        second, recovered = await store.journal("two")
        assert [entry.sequence for entry in recovered["r"]] == list(range(1, last + 3))
        assert second.takeover.reason is None
        await second.append(entries("s", 1, 1))


async def test_what_was_done_to_the_journal_while_nobody_led_stops_nobody(rig: Rig) -> None:
    """Copies, strangers, immutable objects, a head that says nonsense: the next leader and the one after it lead."""
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        await taken_over(store, journal)
        last = await filled(journal, "r", 2)
        await store.kill(journal)
        first, newest, *_ = sorted(await store.segments())
        stored = await store.kube.get(CONFIG_MAPS, first, namespace=store.namespace)
        labels = stored["metadata"]["labels"]
        for name in (f"{first}-backup", "drplan-journal-7", "notes", "drplan-journal-" + "9" * 40):
            metadata = {"name": name, "namespace": store.namespace, "labels": labels}
            data = stored["data"] if name != "notes" else {"journal": "{", "b": ""}
            await store.kube.create(
                CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
            )
        head = await store.kube.get(CONFIG_MAPS, NAME, namespace=store.namespace)
        nonsense = {**orjson.loads(head["data"]["head"]), "epoch": 10**18, "alive": 10**18}
        await changed(store, NAME, {"data": {"head": orjson.dumps(nonsense).decode()}, "immutable": True})
        for name in (first, newest):
            await changed(store, name, {"immutable": True})
        for identity in ("two", "three"):
            journal, recovered = await store.journal(identity)
            assert [entry.sequence for entry in recovered["r"]] == list(range(1, last + 1))
            assert journal.takeover.reason is None
            await taken_over(store, journal)
            last += 1
            await journal.append(entries("r", last, last))
            await store.kill(journal)


@pytest.mark.parametrize("spoil", ["x", "", '{"leader": "me", "epoch": 10000000000000000000000}'])
async def test_a_spoiled_segment_makes_runs_ask_until_all_have_been_told(rig: Rig, spoil: str) -> None:
    """Also when the leaders that find it die before they have told anybody."""
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        await taken_over(store, journal)
        last = await filled(journal, "r", 2)
        await store.kill(journal)
        *_, newest = sorted(await store.segments())
        lines = (await store.segments())[newest].split("\n")
        await changed(store, newest, {"data": {"journal": "\n".join([spoil, *lines[1:]]) if spoil != "x" else "x"}})
        for identity in ("two", "three"):
            await store.kube.delete(CONFIG_MAPS, NAME, namespace=store.namespace)
            later, recovered = await store.journal(identity)
            assert later.takeover.reason is Reason.JOURNAL_INCOMPLETE
            assert f"ConfigMap {newest}: " in later.takeover.message
            assert (len(recovered["r"]) == last) is (spoil != "x")
            await store.kill(later)
        told, _ = await store.journal("four")
        assert told.takeover.reason is Reason.JOURNAL_INCOMPLETE
        await taken_over(store, told)
        told.forget("r")
        await store.wait_for_segments(1)
        await store.kill(told)
        after, _ = await store.journal("five")
        assert after.takeover.reason is None


async def test_a_quota_without_room_for_a_segment_does_not_keep_anybody_from_leading(rig: Rig) -> None:
    async with opened(rig) as store:
        journal, _ = await store.journal("one")
        await taken_over(store, journal)
        await journal.append(entries("r", 1, 3))
        await journal.append(entries("s", 1, 1))
        is_new = request_to("POST", f"/{store.namespace}/configmaps", JOURNAL)
        rig.proxy.on(is_new, refuse(403, "Forbidden", "exceeded quota: few"), times=None)
        await store.kill(journal)
        second, recovered = await store.journal("two")
        assert {uid: len(found) for uid, found in recovered.items()} == {"r": 3, "s": 1}
        assert second.takeover.reason is None
        await second.append(entries("r", 4, 5))
        with pytest.raises(DeposedError):
            await SegmentStore(store.kube, store.namespace).restore(Segment(1, "", Header("one", 1), []))
        rig.proxy.clear()
        await filled(second, "r", 2, first=6)
        await store.kill(second)
        third, recovered = await store.journal("three")
        assert [entry.sequence for entry in recovered["r"]][:6] == [1, 2, 3, 4, 5, 6]
        assert third.takeover.reason is None
