"""Kubernetes Events: written aside, repeats as series, what cannot be written is counted."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, ApiError, ApiUnavailable, Forbidden, Invalid, KubeError, NotFound
from app.kube.event_series import LONGEST_PAUSE
from app.kube.events import MOST_LATE, EventRecorder
from app.runtime import metrics

pytestmark = pytest.mark.looptime

RUN = {
    "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
    "kind": "DRPlanExecution",
    "metadata": {"name": "run-1", "namespace": "prod", "uid": "u-1", "resourceVersion": "5"},
}
AWAY = ApiUnavailable("away", server="http://a", in_doubt=True)


class Written:
    """Records the calls of the recorder; `faults` are raised by the next calls, in order; each takes `seconds`."""

    def __init__(self, *faults: KubeError, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.created: list[dict[str, Any]] = []
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self.faults = list(faults)

    async def create(self, _resource: object, body: dict[str, Any], *, namespace: str) -> dict[str, Any]:
        assert body["metadata"]["namespace"] == namespace
        await asyncio.sleep(self.seconds)
        self._fail()
        self.created.append(copy.deepcopy(body))
        return body

    async def patch(self, _resource: object, name: str, patch: dict[str, Any], *, namespace: str) -> dict[str, Any]:
        self._fail()
        self.patched.append((name, patch))
        return patch

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


@asynccontextmanager
async def recording(kube: Written, **arguments: Any) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(cast("KubeClient", kube), instance="pod-1", **arguments)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait({task})


def dropped(reason: str) -> float:
    return metrics.REGISTRY.get_sample_value("drplan_events_dropped_total", {"reason": reason}) or 0.0


async def test_an_event_has_what_kubectl_describe_shows() -> None:
    kube = Written()
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "StageStarted", "Started executing stage web (mode=parallel)")
        assert await recorder.drain(5)
    (event,) = kube.created
    assert event["metadata"]["name"].startswith("run-1.")
    assert event["involvedObject"] == {
        "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
        "kind": "DRPlanExecution",
        "namespace": "prod",
        "name": "run-1",
        "uid": "u-1",
        "resourceVersion": "5",
    }
    assert (event["type"], event["reason"], event["action"]) == ("Normal", "StageStarted", "Run")
    assert event["message"] == "Started executing stage web (mode=parallel)"
    assert (event["reportingComponent"], event["reportingInstance"]) == ("drplan-controller", "pod-1")
    assert event["source"] == {"component": "drplan-controller"}
    assert re.fullmatch(r"[0-9T:-]+[.][0-9]{6}Z", event["eventTime"])
    second = f"{event['eventTime'].partition('.')[0]}Z"
    assert (event["firstTimestamp"], event["lastTimestamp"], event["count"]) == (second, second, 1)
    assert "series" not in event


async def test_repeats_become_one_series() -> None:
    kube = Written()
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "ActionRetrying", "again")
        await recorder.drain(5)
        for _ in range(3):
            recorder.emit(RUN, "Normal", "ActionRetrying", "again")
        await recorder.drain(5)
        recorder.emit(RUN, "Normal", "ActionRetrying", "again")
        await recorder.drain(5)
    assert len(kube.created) == 1
    name = kube.created[0]["metadata"]["name"]
    assert [(n, p["series"]["count"]) for n, p in kube.patched] == [(name, 4), (name, 5)]


async def test_a_series_of_its_own_shows_the_newest_words_and_when_it_was_seen_last() -> None:
    kube = Written()
    async with recording(kube) as recorder:
        for attempt in range(2, 6):
            recorder.emit(RUN, "Warning", "ActionRetrying", f"attempt {attempt}", series="0/0/0")
            await asyncio.sleep(20)
        recorder.emit(RUN, "Warning", "ActionRetrying", "of another action", series="0/0/1")
        recorder.emit(RUN, "Warning", "ActionFailed", "attempt 2", series="0/0/0")
        await recorder.drain(5)
    assert [event["message"] for event in kube.created] == ["attempt 2", "of another action", "attempt 2"]
    name, patch = kube.patched[-1]
    assert name == kube.created[0]["metadata"]["name"]
    assert (patch["message"], patch["count"], patch["series"]["count"]) == ("attempt 5", 4, 4)
    assert patch["series"]["lastObservedTime"] == patch["lastTimestamp"].replace("Z", ".000000Z")
    assert patch["lastTimestamp"] >= kube.created[0]["lastTimestamp"]


async def test_what_repeats_fast_is_written_ever_more_rarely_and_its_end_is_not_lost() -> None:
    kube = Written()
    async with recording(kube) as recorder:
        for attempt in range(400):
            recorder.emit(RUN, "Warning", "ActionRetrying", f"attempt {attempt}", series="0/0/0")
            await asyncio.sleep(0.015)
        assert len(kube.created) + len(kube.patched) <= 5, "6 seconds"
        await asyncio.sleep(LONGEST_PAUSE + 1)
    assert len(kube.created) == 1
    assert (kube.patched[-1][1]["message"], kube.patched[-1][1]["count"]) == ("attempt 399", 400)
    assert len(kube.patched) <= 6


async def test_repeats_that_wait_are_written_before_the_process_ends_or_counted() -> None:
    kube = Written()
    before = dropped("shutdown")
    async with recording(kube) as recorder:
        for _ in range(2):
            recorder.emit(RUN, "Normal", "A", "x")
            await asyncio.sleep(0.1)
        assert await recorder.drain(1)
    assert [patch["count"] for _, patch in kube.patched] == [2]
    async with recording(Written()) as recorder:
        for _ in range(2):
            recorder.emit(RUN, "Normal", "A", "x")
            await asyncio.sleep(0.1)
    assert dropped("shutdown") == before + 1


async def test_names_and_times_of_events_grow_in_the_order_in_which_they_happened() -> None:
    kube = Written()
    async with recording(kube) as recorder:
        for number in range(100):
            recorder.emit(RUN, "Normal", "A", str(number))
        await recorder.drain(5)
    assert [event["message"] for event in kube.created] == [str(number) for number in range(100)]
    for key in (lambda e: e["metadata"]["name"], lambda e: e["eventTime"]):
        found = [key(event) for event in kube.created]
        assert found == sorted(set(found))


async def test_another_note_reason_or_object_is_another_event() -> None:
    kube = Written()
    other = {**RUN, "metadata": {**RUN["metadata"], "uid": "u-2"}}  # type: ignore[dict-item]
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "A", "x")
        recorder.emit(RUN, "Normal", "A", "y")
        recorder.emit(RUN, "Normal", "B", "x")
        recorder.emit(other, "Normal", "A", "x")
        await recorder.drain(5)
    assert len(kube.created) == 4
    assert kube.patched == []


async def test_a_repeat_after_six_minutes_is_a_new_event() -> None:
    kube = Written()
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "A", "x")
        await recorder.drain(5)
        await asyncio.sleep(400)
        recorder.emit(RUN, "Normal", "A", "x")
        await recorder.drain(5)
    assert len(kube.created) == 2


async def test_a_series_whose_event_is_gone_starts_a_new_one() -> None:
    kube = Written()
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "A", "x")
        await recorder.drain(5)
        kube.faults = [NotFound(404, "NotFound", "expired")]
        recorder.emit(RUN, "Normal", "A", "x")
        await recorder.drain(5)
    assert [event.get("series", {}).get("count") for event in kube.created] == [None, 2]
    assert kube.created[0]["metadata"]["name"] != kube.created[1]["metadata"]["name"]


async def test_a_short_absence_of_the_server_loses_nothing() -> None:
    kube = Written(AWAY, AWAY, AWAY)
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Warning", "A", "x")
        assert await recorder.drain(60)
    assert len(kube.created) == 1


async def test_a_create_whose_answer_was_lost_is_not_counted_as_dropped() -> None:
    kube = Written(AWAY, AlreadyExists(409, "AlreadyExists", "x"))
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "A", "x")
        await recorder.drain(60)
        recorder.emit(RUN, "Normal", "A", "x")
        await recorder.drain(60)
    assert kube.created == []
    assert len(kube.patched) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            Forbidden(403, "Forbidden", "x", details={"causes": [{"reason": "NamespaceTerminating"}]}),
            "namespace_terminating",
        ),
        (Forbidden(403, "Forbidden", "x"), "forbidden"),
        (NotFound(404, "NotFound", "x"), "namespace_gone"),
        (Invalid(422, "Invalid", "x"), "rejected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_refusal_is_final_and_counted(error: ApiError, reason: str) -> None:
    before = dropped(reason)
    kube = Written(error)
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "A", "x")
        assert await recorder.drain(1)
    assert kube.created == []
    assert dropped(reason) == before + 1


async def test_a_long_absence_drops_and_counts() -> None:
    before = dropped("unavailable")
    kube = Written(*[AWAY] * 6)
    async with recording(kube) as recorder:
        recorder.emit(RUN, "Normal", "A", "x")
        recorder.emit(RUN, "Normal", "B", "x")
        assert await recorder.drain(120)
    assert [event["reason"] for event in kube.created] == ["B"]
    assert dropped("unavailable") == before + 1


async def test_the_events_of_a_busy_run_leave_the_api_server_to_the_run() -> None:
    kube = Written(seconds=0.01)
    async with recording(kube, idle_seconds=lambda: 0.0) as recorder:
        for number in range(20):
            recorder.emit(RUN, "Normal", "A", str(number))
        await asyncio.sleep(0.8)
        assert len(kube.created) == 3
        assert await recorder.drain(0.2)
    assert len(kube.created) == 20


async def test_events_follow_each_other_when_nothing_else_is_asked() -> None:
    kube = Written(seconds=0.01)
    async with recording(kube) as recorder:
        for number in range(20):
            recorder.emit(RUN, "Normal", "A", str(number))
        await asyncio.sleep(0.25)
        assert len(kube.created) == 20


async def test_a_warning_and_what_came_before_it_do_not_wait() -> None:
    kube = Written(seconds=0.01)
    async with recording(kube, idle_seconds=lambda: 0.0) as recorder:
        for number in range(20):
            recorder.emit(RUN, "Normal", "A", str(number))
        await asyncio.sleep(0.1)
        assert kube.created == []
        recorder.emit(RUN, "Warning", "B", "bad")
        await asyncio.sleep(0.25)
        assert [event["reason"] for event in kube.created] == ["A"] * 20 + ["B"]


async def test_events_wait_for_a_moment_without_other_requests_but_not_for_ever() -> None:
    kube, idle = Written(), [0.0]
    async with recording(kube, idle_seconds=lambda: idle[0]) as recorder:
        recorder.emit(RUN, "Normal", "A", "first")
        await asyncio.sleep(0.2)
        assert kube.created == []
        idle[0] = 1.0
        await asyncio.sleep(0.1)
        assert [event["message"] for event in kube.created] == ["first"]
        idle[0] = 0.0
        recorder.emit(RUN, "Normal", "A", "second")
        await asyncio.sleep(0.6)
    assert [event["message"] for event in kube.created] == ["first", "second"]


async def test_many_waiting_events_are_written_without_waiting() -> None:
    kube = Written(seconds=0.01)
    async with recording(kube, idle_seconds=lambda: 0.0) as recorder:
        for number in range(600):
            recorder.emit(RUN, "Normal", "A", str(number))
        await asyncio.sleep(1.1)
        assert len(kube.created) >= 100


async def test_the_end_of_the_process_ends_the_waiting() -> None:
    kube = Written(seconds=0.01)
    async with recording(kube, idle_seconds=lambda: 0.0) as recorder:
        recorder.hurry()
        for number in range(20):
            recorder.emit(RUN, "Normal", "A", str(number))
        await asyncio.sleep(0.25)
        assert len(kube.created) == 20


async def test_a_full_queue_drops_and_counts_and_never_waits() -> None:
    before = dropped("queue_full")
    kube = Written()
    async with recording(kube, capacity=2) as recorder:
        for number in range(5):
            recorder.emit(RUN, "Normal", "A", str(number))
        await recorder.drain(5)
    assert [event["message"] for event in kube.created] == ["0", "1"]
    assert dropped("queue_full") == before + 3


async def test_what_is_queued_at_the_end_is_counted() -> None:
    before = dropped("shutdown")
    async with recording(Written(*[AWAY] * 3)) as recorder:
        for number in range(3):
            recorder.emit(RUN, "Normal", "A", str(number))
        assert not await recorder.drain(0.2)
    assert dropped("shutdown") == before + 3


async def test_notes_are_cut_and_names_fit() -> None:
    kube = Written()
    long_name = {**RUN, "metadata": {"name": "n" * 253, "uid": "u"}}
    async with recording(kube) as recorder:
        recorder.emit(long_name, "Normal", "A", "ü" * 3000)
        await recorder.drain(5)
    (event,) = kube.created
    assert len(event["message"].encode()) <= 1024
    assert len(event["metadata"]["name"]) <= 253
    assert event["metadata"]["namespace"] == "default"


async def test_under_steady_load_events_are_a_few_seconds_late_at_most() -> None:
    """Without a bound, ten a second would wait for most of a minute: each until a quiet moment that never comes."""
    kube, late = Written(seconds=0.01), []
    async with recording(kube, idle_seconds=lambda: 0.0) as recorder:
        for number in range(300):
            recorder.emit(RUN, "Normal", "A", str(number))
            await asyncio.sleep(0.1)
            late.append(number + 1 - len(kube.created))
    assert max(late) <= 10 * (MOST_LATE + 1)
