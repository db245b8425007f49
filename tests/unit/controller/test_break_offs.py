"""Break-offs of a run are counted in a row: those between which nothing of it was committed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from app.models.execution import DRPlanExecution
from controller.run.resuming import Resuming
from controller.run.runner import Run
from controller.run.runs import BREAK_OFFS, Runs

META = {"name": "e", "namespace": "ns", "uid": "u"}
SPEC = {"planRef": "p", "operationType": "Execute"}


def runs() -> Runs:
    return Runs(cast(Any, None), cast(Any, None), lambda _key, _delay: None)


def break_off(counted: Runs, sequence: int) -> int:
    run = cast("Run", SimpleNamespace(uid="u", status=SimpleNamespace(journal_sequence=sequence)))
    counted._note_break_off(run, ExceptionGroup("run", [ExceptionGroup("in", [IndexError("tuple\nindex")])]))
    found = counted.broken_off("u")
    assert found is not None
    assert found.problem == "IndexError: tuple index"
    return found.count


def given_up(counted: Runs, **metadata: Any) -> str:
    execution = DRPlanExecution.from_wire({"metadata": {**META, **metadata}, "spec": SPEC})
    resuming = Resuming(cast(Any, None), counted, cast(Any, None), cast(Any, None), cast(Any, None))
    return resuming._given_up(execution)


def test_progress_in_between_starts_the_count_again() -> None:
    counted = runs()
    assert [break_off(counted, 1), break_off(counted, 1), break_off(counted, 2), break_off(counted, 2)] == [1, 2, 1, 2]
    counted.forget("u")
    assert counted.broken_off("u") is None


def test_a_run_is_given_up_after_three_in_a_row() -> None:
    counted = runs()
    for _ in range(BREAK_OFFS - 1):
        break_off(counted, 1)
        assert given_up(counted) == ""
    break_off(counted, 1)
    assert given_up(counted).startswith("The run broke off 3 times in a row (IndexError: tuple index)")


def test_a_waiting_cancel_or_deletion_ends_it_after_the_first() -> None:
    cancelled = {"annotations": {"dr.bkbcs.tencent.com/cancel": "true"}}
    deleted = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    counted = runs()
    assert given_up(counted, **cancelled) == ""
    break_off(counted, 1)
    for waiting in (cancelled, deleted):
        assert "broke off once (IndexError: tuple index)" in given_up(counted, **waiting)
