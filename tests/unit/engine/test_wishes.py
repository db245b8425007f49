"""What people ask of an execution by annotations."""

from __future__ import annotations

import pytest

from app.engine.wishes import asks, misunderstood, resume_answer
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
