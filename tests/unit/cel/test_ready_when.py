"""What `readyWhen` accepts and how it judges objects."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.cel.ready import LARGEST_OBJECT, ReadyWhenError, compile_ready_when

DONE = "object.status.phase == 'Done'"


@pytest.mark.parametrize(
    ("text", "obj", "ready", "reason"),
    [
        (DONE, {"status": {"phase": "Done"}}, True, ""),
        (DONE, {"status": {"phase": "Busy"}}, False, "is false"),
        (DONE, {}, False, 'cannot be evaluated yet: there is no "status"'),
        (DONE, {"status": None}, False, "cannot be evaluated yet"),
        (
            DONE,
            {"metadata": {"generation": 2}, "status": {"phase": "Done", "observedGeneration": 1}},
            False,
            "generation 2 is not observed yet",
        ),
        (
            DONE,
            {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Done"}},
            False,
            "deleted",
        ),
        ("object.status.n >= 3", {"status": {"n": 3}}, True, ""),
        ("object.status.parts.all(p, p.up)", {"status": {"parts": [{"up": True}, {"up": False}]}}, False, "is false"),
        ("Promoted", {"status": {"conditions": [{"type": "Promoted", "status": "True"}]}}, True, ""),
        (
            "Promoted",
            {"status": {"conditions": [{"type": "Promoted", "status": "False", "reason": "Lag"}]}},
            False,
            "Lag",
        ),
        ("example.com/Promoted", {"status": {"conditions": []}}, False, "no condition example.com/Promoted yet"),
    ],
)
def test_verdicts(text: str, obj: dict[str, Any], ready: bool, reason: str) -> None:
    verdict = compile_ready_when(text).judge(obj)
    assert verdict.ready is ready
    assert not verdict.failed
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "object.data[object.data.q] == 'x'",
        "{'a': 1}[object.data.q] == 1",
        "object[object.data.q].x == 1",
        "int(object.data.q) > 1",
        "timestamp(object.data.q) == timestamp(object.data.q)",
        "duration(object.data.q) == duration(object.data.q)",
        "{object.data.q: 1, object.data.q: 2}['a'] == 1",
        "object.data.all(k, object.data[object.data[k]] == k)",
        "[object.data.q].map(x, {'a': x}[x]) == []",
        "object.data.q.matched == 1",
    ],
)
def test_no_verdict_tells_a_value_of_the_object(text: str) -> None:
    """Whoever writes the expression may not be allowed to read the object."""
    verdict = compile_ready_when(text).judge({"data": {"q": "hunter2"}})
    assert not verdict.ready
    assert "hunter2" not in verdict.reason


def test_an_object_that_is_nested_too_deeply_never_becomes_ready() -> None:
    nested: Any = 1
    for _ in range(400):
        nested = [nested]
    verdict = compile_ready_when("object.a == 1").judge({"a": nested})
    assert verdict.failed
    assert "nested too deeply" in verdict.reason


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("object.status.phase = 'x'", "cannot be read"),
        ("status.phase == 'x'", "the only variable is object"),
        ("object.status.ready", "must give bool"),
        ("size(object.status)", "it gives int"),
        ("object.a.all(x, object.b.exists(y, x == y))", "must not stand in each other"),
        ("object.a.matches('(a+)+')", "matches is not allowed"),
        ("object.a.exists(x, x.matches('a{1000}'))", "matches is not allowed"),
        ("x" * 1025, "more than 1024"),
        ("\udc80 == object", "no valid Unicode"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(ReadyWhenError, match=why.replace("(", r"\(")):
        compile_ready_when(text)


def test_an_object_may_be_too_large_to_look_at() -> None:
    verdict = compile_ready_when("object.data.x == 'y'").judge({"data": {"x": "y" * LARGEST_OBJECT}})
    assert verdict.failed
    assert "at most" in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "object.status.items.map(i, i).size() > 0",
        "object.status.items.filter(i, i != '').size() > 0",
        "object.status.items.all(i, i != object.status.text)",
        f"object.status.text.contains('{'a' * 900}b')",
        "object.status.items.exists(i, object.status.text.contains(object.status.text + i))",
    ],
)
def test_an_expression_that_may_take_long_is_not_evaluated(text: str) -> None:
    obj = {"metadata": {}, "status": {"items": ["a"] * 20_000, "text": "a" * 150_000}}
    verdict = compile_ready_when(text).judge(obj)
    assert verdict.failed
    assert re.match(r"readyWhen may take \d+ steps with an object of \d+ bytes, more than 5000000", verdict.reason)
    small = {"metadata": {}, "status": {"items": ["a"] * 20, "text": "a" * 150}}
    assert not compile_ready_when(text).judge(small).failed
