"""Single answers have bounds, and large ones are made by a worker: the same answer, and a clear error beyond."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
import pytest_asyncio

from app.kube.client import KubeClient
from app.kube.errors import AnswerTooLarge
from app.models.base import API_VERSION
from app.runtime.workers import Workers
from app.service.api import large
from app.service.api.params import RunQuery
from app.service.api.problems import ProblemError
from app.service.api.reads import Reader

AT = "2026-01-01T00:00:00Z"


class Kube:
    def __init__(self, stored: dict[str, Any] | None = None) -> None:
        self.stored = stored

    async def get(self, *_: Any, max_bytes: int, **__: Any) -> dict[str, Any]:
        assert max_bytes == large.MOST_STORED
        if self.stored is None:
            raise AnswerTooLarge("the answer has more bytes than may be read")
        return self.stored


def execution(number: int, **more: Any) -> dict[str, Any]:
    metadata = {"name": "e", "namespace": "n", "uid": "u", "resourceVersion": "1", "creationTimestamp": AT}
    actions = [
        {"name": f"a{n}", "phase": "Succeeded", "startTime": AT, "completionTime": AT, **more} for n in range(number)
    ]
    workflows = [{"workflowRef": {"name": "w"}, "phase": "Succeeded", "actionStatuses": actions}]
    status = {
        "phase": "Succeeded",
        "stageStatuses": [{"name": "s", "phase": "Succeeded", "workflowExecutions": workflows}],
    }
    spec = {"planRef": "p", "operationType": "Execute"}
    return {"apiVersion": API_VERSION, "kind": "DRPlanExecution", "metadata": metadata, "spec": spec, "status": status}


@pytest_asyncio.fixture
async def workers() -> AsyncIterator[Workers]:
    async with Workers("test", processes=1) as running:
        yield running


def reader(kube: Kube, workers: Workers | None = None) -> Reader:
    return Reader(cast(KubeClient, kube), workers)


async def test_a_worker_says_the_same(workers: Workers) -> None:
    stored = execution(3_000)
    here, there = [await reader(Kube(stored), each).timeline("n", "e") for each in (None, workers)]
    assert here == there
    assert len(orjson.loads(here)["entries"]) > 6_000


@pytest.mark.parametrize("what", ["execution", "timeline", "plan", "history"])
async def test_what_is_too_large_is_refused_with_the_command_that_shows_it(what: str) -> None:
    asked = reader(Kube())
    query = (RunQuery(),) if what == "history" else ()
    with pytest.raises(ProblemError) as refused:
        await getattr(asked, what)("n", "x", *query)
    kind = "drplans" if what in ("plan", "history") else "drplanexecutions"
    assert refused.value.message.endswith(
        f"n/x has more than 2 MiB, which is not shown here; look at it with kubectl get {kind} x -n n -o yaml"
    )
    assert (refused.value.status().code, refused.value.status().reason) == (422, "TooLarge")


async def test_a_timeline_that_grows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "MOST_ANSWERED", 1024 * 1024)
    with pytest.raises(ProblemError, match="the timeline of execution n/e has more than 1 MiB"):
        await reader(Kube(execution(9_000))).timeline("n", "e")


@pytest.mark.parametrize("with_workers", [False, True])
async def test_what_cannot_be_read_is_told_the_same_way(with_workers: bool, workers: Workers) -> None:
    stored = execution(2_000)
    stored["status"]["stageStatuses"].append({"name": "s", "phase": 7})
    with pytest.raises(ProblemError, match=r"execution n/e is stored in a form that cannot be read \(status"):
        await reader(Kube(stored), workers if with_workers else None).timeline("n", "e")
