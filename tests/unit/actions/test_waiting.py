"""Waiting for an object when the API server behaves badly. How it behaves well is tested with the real one."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.kube.errors import ApiUnavailable, Forbidden, Gone, KubeError, NotFound
from app.kube.resources import JOBS
from app.kube.stream import WatchEvent, WatchType
from controller.actions.waiting import Pending, Seen, WaitTimeoutError, wait_for

pytestmark = pytest.mark.looptime

Step = KubeError | dict[str, Any] | None


def job(phase: str) -> dict[str, Any]:
    return {"metadata": {"name": "j", "resourceVersion": "7"}, "phase": phase}


def event(type_: str, phase: str) -> WatchEvent:
    return WatchEvent(cast("WatchType", type_), job(phase))


class Scripted:
    """An API server that answers by a script; the last answer of each verb repeats."""

    def __init__(
        self, *, lists: list[Step], watches: list[list[WatchEvent] | KubeError], gets: list[Step] | None = None
    ) -> None:
        self._lists, self._watches, self._gets = lists, watches, gets or []
        self.calls: list[str] = []

    async def list(self, *_: Any, field_selector: str, **__: Any) -> dict[str, Any]:
        assert field_selector == "metadata.name=j"
        self.calls.append("list")
        found = following(self._lists)
        return {"metadata": {"resourceVersion": "9"}, "items": [] if found is None else [found]}

    async def get(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.calls.append("get")
        found = following(self._gets)
        if found is None:
            raise NotFound(404, "NotFound", "gone")
        return found

    async def watch(self, *_: Any, resource_version: str, **__: Any) -> AsyncGenerator[WatchEvent]:
        assert resource_version == "9"
        self.calls.append("watch")
        last = len(self._watches) == 1
        events = self._watches[0] if last else self._watches.pop(0)
        if isinstance(events, KubeError):
            raise events
        for one in events:
            yield one
        if last:
            await asyncio.sleep(3600)


def following(steps: list[Step]) -> dict[str, Any] | None:
    step = steps.pop(0) if len(steps) > 1 else steps[0]
    if isinstance(step, KubeError):
        raise step
    return step


def judge(seen: Seen) -> str | Pending:
    if seen.obj is None:
        return Pending("absent")
    if not seen.exists:
        return f"deleted {seen.obj['phase']}"
    return Pending("running") if seen.obj["phase"] == "run" else str(seen.obj["phase"])


async def wait(server: Scripted, seconds: float = 60.0) -> str:
    deadline = asyncio.get_running_loop().time() + seconds
    return await wait_for(cast("KubeClient", server), JOBS, "ns", "j", judge, deadline=deadline)


AWAY = ApiUnavailable("away", server="https://127.0.0.1:1", in_doubt=False)
NO = Forbidden(403, "Forbidden", "you may not")


async def test_state_at_the_start_decides() -> None:
    server = Scripted(lists=[job("done")], watches=[[]])
    assert await wait(server) == "done"
    assert server.calls == ["list"]


async def test_bookmarks_are_no_states() -> None:
    events = [event("BOOKMARK", "done"), event("MODIFIED", "run"), event("MODIFIED", "end")]
    assert await wait(Scripted(lists=[job("run")], watches=[events])) == "end"


async def test_last_content_of_a_deleted_object_is_judged() -> None:
    assert await wait(Scripted(lists=[job("run")], watches=[[event("DELETED", "done")]])) == "deleted done"


@pytest.mark.parametrize("trouble", [AWAY, Gone(410, "Expired", "too old"), []])
async def test_broken_watch_is_made_anew_after_a_fresh_look(trouble: Any) -> None:
    server = Scripted(lists=[job("run"), AWAY, job("done")], watches=[trouble, []])
    assert await wait(server) == "done"
    assert server.calls == ["list", "watch", "list", "list"]


async def test_where_watching_is_forbidden_it_polls() -> None:
    server = Scripted(lists=[job("run")], watches=[NO], gets=[job("run"), None, job("done")])
    assert await wait(server) == "done"
    assert server.calls == ["list", "watch", "get", "get", "get"]


async def test_what_waiting_does_not_cure_is_raised() -> None:
    with pytest.raises(Forbidden):
        await wait(Scripted(lists=[NO], watches=[[]], gets=[NO]))


async def test_last_look_after_the_deadline_decides() -> None:
    server = Scripted(lists=[job("run")], watches=[[]], gets=[job("done")])
    assert await wait(server, 10.0) == "done"
    assert await wait(Scripted(lists=[job("run")], watches=[[]], gets=[job("done")]), 0.0) == "done"


@pytest.mark.parametrize(("last", "reason"), [(job("run"), "running"), (None, "absent"), (AWAY, "running")])
async def test_timeout_tells_why_the_wait_went_on(last: Step, reason: str) -> None:
    server = Scripted(lists=[job("run")], watches=[[]], gets=[last])
    with pytest.raises(WaitTimeoutError, match=reason):
        await wait(server, 10.0)


async def test_cancellation_is_passed_on() -> None:
    task = asyncio.get_running_loop().create_task(wait(Scripted(lists=[job("run")], watches=[[]])))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
