"""No condition takes long: what is evaluated is estimated first, and the estimate is never too low."""

from __future__ import annotations

import re
import time
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cel.language import LARGEST, compile_expression
from app.cel.patterns import LARGEST as LARGEST_PATTERN
from app.cel.patterns import program_size
from app.engine.templates import Scope
from app.engine.when import MOST_STEPS, EvaluationError, WhenError, steps_each

NESTED = "((((a{1,30}){1,30}){1,30}){1,30})b"
SECONDS = 0.5
"""A hundred times what a condition may take."""
ONE = Scope({"x": "a" * (LARGEST - 200)}, plan_name="p", mode="install", outputs={"a": {"body": "b"}})
MANY = Scope({f"p{n}": "a" for n in range(8_000)}, mode="install")
ACTIONS = Scope({"x": "a" * 500}, outputs={f"a{n}": {"body": "ok" * 200, "statusCode": "200"} for n in range(100)})
USUAL = Scope(
    {f"p{n}": "value" for n in range(60)} | {"url": "https://shop.example.com/health"},
    mode="install",
    outputs={f"a{n}": {"body": '{"ready": true}' * 3, "statusCode": "200"} for n in range(60)},
)
HOSTILE = [
    f"params.x.matches('{NESTED}')",
    f"params.x.matches('{'(a|b|c|d|e)' * 3}{{1,300}}z')",
    "params.x.matches('(a|b|c|d|e){1,900}z')",
    r"params.x.matches(r'\\pL{99}z')",
    "params.x.matches('[a-z]{1,9}' + params.x)",
    f"[{','.join(['1'] * 200)}].all(x, !params.x.matches('(a|b){{1,200}}c'))",
    f"[{','.join(['1'] * 200)}].map(x, {'+'.join(['params.x'] * 20)}).size() > 1",
    f"params.x.contains('{'a' * 900}b')",
    "params.x.contains(params.x + 'b')",
    "params.map(k, k).size() > 1",
    "params.filter(k, params[k] == 'a').size() > 1",
    "params.map(k, params[k] + params[k] + params[k]).size() > 1",
    "params.exists_one(k, k == 'p1')",
    "params.all(k, params.all(l, k != l))",
    "outputs.all(a, outputs[a].body.contains(params.x + params.x))",
    "params == params && outputs == outputs",
    "duration(params.x) > duration('1s')",
    "double(params.x) > 1.0 || int(params.x) > 1",
    "params.x in params.map(k, params[k])",
    "{'a': params}['a'].all(k, params[k] != '')",
    "[params.x, params.x].map(x, x + x + x).exists(y, y == '')",
]


@pytest.mark.parametrize("expression", HOSTILE)
@pytest.mark.parametrize("scope", [ONE, MANY, ACTIONS], ids=["one long", "many", "actions"])
def test_hostile_conditions_take_no_time_and_no_memory(expression: str, scope: Scope) -> None:
    tracemalloc.start()
    started = time.process_time()
    with suppress(WhenError):
        compile_expression(expression).holds(scope)
    took, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < SECONDS
    assert peak < 5_000_000


@pytest.mark.parametrize(
    "expression",
    [
        "params.url.matches('^https://[a-z.-]+(:[0-9]{1,5})?/health$')",
        'outputs.all(a, outputs[a].statusCode == "200" && outputs[a].body.contains("ready"))',
        "outputs.all(a, outputs[a].body.matches('ready.*true'))",
        "params.filter(k, k.startsWith('p')).size() > 3",
        "params.exists(k, params[k] == 'value') && mode in ['install', 'upgrade']",
        "int(outputs.a1.statusCode) < 300",
    ],
)
def test_usual_conditions_are_answered(expression: str) -> None:
    assert compile_expression(expression).holds(USUAL) is True


def test_a_pattern_that_is_too_large_for_any_text_is_refused_at_once() -> None:
    with pytest.raises(WhenError, match=r"it may take \d+ steps, more than 5000000: use a simpler pattern"):
        compile_expression(f"planName.matches('{NESTED}')")
    with pytest.raises(WhenError, match="the pattern of matches must be a text"):
        compile_expression("planName.matches(params.x)")


def test_many_conditions_have_less_time_each() -> None:
    assert steps_each(0) == steps_each(1) == steps_each(8) == MOST_STEPS
    assert steps_each(400) == 100_000
    assert steps_each(1_000_000) == 20_000
    expression = compile_expression("params.map(k, k).size() > 1")
    few = {f"p{n}": "" for n in range(60)}
    assert expression.holds(Scope(few)) is True
    with pytest.raises(EvaluationError, match="more than 100000: use shorter texts"):
        expression.holds(Scope(few, conditions=400))
    assert compile_expression("params.p1 == '' && mode != 'delete'").holds(Scope(few, conditions=100_000)) is True


@pytest.mark.parametrize(
    ("pattern", "least"),
    [
        ("abc", 3),
        ("(a{1,30}){1,30}", 900),
        ("a{5}", 5),
        ("a{,5}", 1),
        ("(ab|cd){2,}", 8),
        ("((((", 0),
        ("[a-z]{100}", 100),
        ("[[:alpha:]]{10}[^]x]{10}", 20),
        (r"\pL{3}\p{Greek}", 4_000),
        (r"(\(a{1,3}\)){9}", 27),
        ("a" * 50 + "{1000}", 1_049),
        ("a{99999999999}", 1_000),
        ("(" * 300 + "a" + "){1,9}" * 300, LARGEST_PATTERN),
    ],
)
def test_programs_are_not_underestimated(pattern: str, least: int) -> None:
    assert program_size(pattern) >= least


@given(st.text(alphabet="a.[]^(){}1,9\\pL|*+?", max_size=60))
def test_any_text_has_a_size_of_a_program(pattern: str) -> None:
    size = program_size(pattern)
    assert 0 < size <= LARGEST_PATTERN
    assert size >= len(re.findall("a", pattern)) or "[" in pattern or "\\" in pattern or "{" in pattern
