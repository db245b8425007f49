"""What people ask of an execution by annotations."""

from __future__ import annotations

import pytest

from app.engine.wishes import asks, misplaced, misunderstood, resume_answer
from app.models.names import CANCEL_ANNOTATION, RESUME_ANNOTATION


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "yes", "Yes", "y", "on", "1", "t", " true "])
def test_yes(value: str) -> None:
    assert asks({CANCEL_ANNOTATION: value}, CANCEL_ANNOTATION)
    assert resume_answer({RESUME_ANNOTATION: value}) == "true"


@pytest.mark.parametrize("value", ["", "false", "No", "0", "off", "maybe", "truee", "2"])
def test_no(value: str) -> None:
    assert not asks({CANCEL_ANNOTATION: value}, CANCEL_ANNOTATION)
    assert resume_answer({RESUME_ANNOTATION: value}) == ""


def test_done() -> None:
    assert resume_answer({RESUME_ANNOTATION: "DONE"}) == "done"
    assert resume_answer({}) == ""


def test_what_is_not_understood_is_told_once() -> None:
    wrong = {CANCEL_ANNOTATION: "ture", "example.com/cancel": "x", "dr.bkbcs.tencent.com/resme": "true"}
    assert [name for name, _ in misunderstood(wrong, {})] == [CANCEL_ANNOTATION, "dr.bkbcs.tencent.com/resme"]
    assert list(misunderstood(wrong, wrong)) == []
    assert list(misunderstood({CANCEL_ANNOTATION: "false"}, {})) == []


@pytest.mark.parametrize(
    "name",
    [
        "cancel",
        "Cancel",
        "dr.bkbcs.tencent.io/cancel",
        "bkbcs.tencent.com/cancel",
        "DR.bkbcs.tencent.com/cancel",
        "dr.bkbcs.tencent.com/Cancel",
        "dr.bkbcs.tencent.com./cancel",
    ],
)
def test_a_wish_under_nearly_the_right_name_is_told(name: str) -> None:
    [(found, problem)] = misunderstood({name: "true"}, {})
    assert found == name
    assert problem == f"is not known and has no effect; did you mean {CANCEL_ANNOTATION}?"
    assert list(misunderstood({name: "true"}, {name: "true"})) == []


@pytest.mark.parametrize("name", ["argoproj.io/cancel", "cancelled", "tekton.dev/resume", "app.kubernetes.io/cancel"])
def test_annotations_of_others_are_theirs(name: str) -> None:
    assert list(misunderstood({name: "true"}, {})) == []


def test_a_wish_where_nobody_reads_it_is_told() -> None:
    assert [name for name, _ in misplaced([CANCEL_ANNOTATION, "a"], [], "a label")] == [CANCEL_ANNOTATION]
    assert list(misplaced([CANCEL_ANNOTATION], [CANCEL_ANNOTATION], "a label")) == []
    [(_, problem)] = misplaced([RESUME_ANNOTATION], [], "on a DRPlan")
    assert problem.startswith("is on a DRPlan and has no effect; to resume, annotate the execution: kubectl annotate")
