"""`healthyWhen`: what it sees of an answer, and what is said when it is not true."""

from __future__ import annotations

from typing import Any

import pytest

from app.cel.healthy import HealthyWhenError, compile_healthy_when
from app.cel.over_json import LARGEST


def problem(text: str, body: Any = None, *, status: int = 200, headers: dict[str, str] | None = None) -> str:
    return compile_healthy_when(text).problem(status=status, headers=headers or {}, body=body, text="all OK")


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ('body.state == "ok" && body.replicas >= 2', {"state": "ok", "replicas": 2}),
        ("body.nodes.all(n, n.ready)", {"nodes": [{"ready": True}, {"ready": True}]}),
        ("status in [200, 204]", None),
        ('text.contains("OK")', None),
        ('headers["x-role"] == "primary"', None),
        ("body == null", None),
        ('body[0].name == "db"', [{"name": "db"}]),
        ("has(body.lag) && body.lag < 1.5", {"lag": 0.25}),
    ],
)
def test_it_sees_all_of_an_answer(text: str, body: Any) -> None:
    assert problem(text, body, headers={"x-role": "primary"}) == ""


@pytest.mark.parametrize(
    ("text", "body", "why"),
    [
        ('body.state == "ok"', {"state": "no"}, "is false"),
        ('body.state == "ok"', {}, 'cannot be evaluated: there is no "state"'),
        ("body.a.b == 1", {"a": 3}, "cannot be evaluated: it looks for a member in what has none"),
        ("body.a == 1", None, "cannot be evaluated: it looks for a member in what has none (the answer has no JSON)"),
        ('headers["x"] == "1"', None, 'cannot be evaluated: there is no "x" (the answer has no JSON)'),
        ("body.n == 1", {"n": "1"}, "is false"),
    ],
)
def test_it_says_why_an_answer_is_not_healthy(text: str, body: Any, why: str) -> None:
    told = text.replace('"', '\\"')
    assert problem(text, body) == f'healthyWhen "{told}" {why}'


def test_an_answer_that_is_too_large_is_not_looked_at() -> None:
    text = problem("body.a == 1", {"a": 1, "rest": "x" * LARGEST})
    assert text.startswith(f"healthyWhen looks at answers of at most {LARGEST} bytes, this one has ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("status", "it gives int, and must give bool"),
        ("body", "it must give bool"),
        ("status ==", "the expression ends too early"),
        ("code == 1", '"code" is not known; variables are status, headers, body, text'),
        ('text.matches("a+")', "matches is not allowed here"),
        ("body.a.all(x, body.b.all(y, y == x))", "must not stand in each other"),
        ("true" + " || true" * 200, "characters, more than"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_beforehand(text: str, why: str) -> None:
    with pytest.raises(HealthyWhenError, match="invalid healthyWhen") as refused:
        compile_healthy_when(text)
    assert why in str(refused.value)
