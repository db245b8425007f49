"""An execution whose start crashes again and again ends Failed; one that has run, or that nobody can read, stays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.kube.cache import Cache
from app.kube.errors import ApiUnavailable
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecution
from app.models.phases import Phase
from controller import leader
from controller.lanes import Key
from controller.queue import MOST_CRASHES
from controller.reconcilers.execution import ExecutionReconciler
from controller.run.inheritance import Inheritance
from controller.run.runs import Runs
from controller.services import Services
from controller.start.interruption import Starting

KEY = ("ns", "e")
FRESH: dict[str, Any] = {
    "metadata": {"name": "e", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
    "spec": {"planRef": "p", "operationType": "Execute"},
}


def reconciler_of(
    stored: dict[str, Any] | None,
    ended: list[tuple[DRPlanExecution, Phase, str]],
    *,
    run: object = None,
    entries: tuple[object, ...] = (),
) -> ExecutionReconciler:
    services = SimpleNamespace(
        now=lambda: None,
        executions=SimpleNamespace(get=lambda *_: stored),
        journal=SimpleNamespace(entries=lambda _: entries),
    )
    made = ExecutionReconciler(
        cast(Services, services),
        cast(Runs, SimpleNamespace(get=lambda _: run)),
        cast(Inheritance, SimpleNamespace()),
        Starting(),
    )

    async def unstarted(execution: DRPlanExecution, phase: Phase, message: str) -> None:
        ended.append((execution, phase, message))

    made._closing = cast(Any, SimpleNamespace(unstarted=unstarted))
    return made


async def test_one_that_has_not_started_ends_failed_and_says_why() -> None:
    ended: list[tuple[DRPlanExecution, Phase, str]] = []
    assert await reconciler_of(FRESH, ended).give_up(KEY, ZeroDivisionError("x"))
    [(execution, phase, message)] = ended
    assert (execution.metadata.name, phase) == ("e", Phase.FAILED)
    assert message == "The controller fails at starting this execution: ZeroDivisionError; its log has the details"


@pytest.mark.parametrize(
    ("stored", "more"),
    [
        (None, {}),
        (FRESH, {"run": object()}),
        (FRESH, {"entries": (object(),)}),
        ({**FRESH, "status": {"phase": "Running"}}, {}),
        ({**FRESH, "status": {"phase": "Succeeded"}}, {}),
        ({**FRESH, "spec": {"planRef": 1}}, {}),
        ({**FRESH, "metadata": {**FRESH["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}, {}),
    ],
    ids=["gone", "under way", "in the journal", "running", "ended", "unreadable", "being deleted"],
)
async def test_no_other_is_ended(stored: dict[str, Any] | None, more: dict[str, Any]) -> None:
    ended: list[tuple[DRPlanExecution, Phase, str]] = []
    assert not await reconciler_of(stored, ended, **more).give_up(KEY, ValueError())
    assert not ended


@pytest.mark.parametrize("outcome", ["ended", "not ended", "API server away"])
async def test_what_cannot_be_ended_is_set_aside(outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def set_aside(*_: object) -> None:
        told.append("set aside")

    async def crash(_: Key) -> float | None:
        raise ZeroDivisionError

    async def give_up(_: Key, __: Exception) -> bool:
        if outcome == "API server away":
            raise ApiUnavailable("away", server="s", in_doubt=False)
        return outcome == "ended"

    monkeypatch.setattr(leader, "set_aside", set_aside)
    monkeypatch.setattr(leader, "tell_left_alone", lambda *_: told.append("told"))
    cache = SimpleNamespace(get=lambda *_: FRESH, resource=EXECUTIONS)
    queue = leader._queue(
        cast(Services, SimpleNamespace()),
        cast(Cache, cache),
        crash,
        executions=cast(Any, SimpleNamespace(give_up=give_up, refuse=None)),
    )
    for _ in range(MOST_CRASHES + 1):
        await queue._crashed(KEY, ZeroDivisionError())
    assert told == (["told"] if outcome == "ended" else ["told", "set aside"])
