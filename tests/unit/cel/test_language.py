"""CEL conditions: what they see, what they may not see, and what authors are told."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

import subprocess
import sys

import pytest

from app.cel.language import LARGEST, LONGEST, compile_expression
from app.engine.templates import Scope
from app.engine.when import EvaluationError, Reads, WhenError

SCOPE = Scope(
    params={"region": "eu", "n": "3", "bad": "x"},
    plan_name="berlin",
    mode="install",
    outputs={"a b": {"statusCode": "200", "body": "ok"}, "empty": {}},
    secrets=frozenset({"token"}),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('params.region == "eu"', True),
        ('params["region"] in ["us", "ap"]', False),
        ('mode != "install"', False),
        ('params.mode == "install"', True),
        ('planName.startsWith("ber")', True),
        ("int(params.n) >= 3", True),
        ('outputs["a b"].statusCode == "200" && outputs["a b"].body.contains("ok")', True),
        ('has(params.zone) && params.zone == "x"', False),
        ('"a b" in outputs && !("c" in outputs)', True),
        ('has(outputs.c) || params.region.matches("^e")', True),
        ('params.nope == "x" || true', True),
        ('params.exists(name, params[name] == "eu")', True),
        ('mode == "install" || params.nope == "x"', True),
        ('.params.region == "eu"', True),
        ('["us"].exists(params, params == "us")', True),
    ],
)
def test_answers(text: str, holds: bool) -> None:
    assert compile_expression(text).holds(SCOPE) is holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('params.nope == "eu"', 'parameter "nope" has no value ("nope" in params asks whether it has one)'),
        ('outputs.x.body == ""', 'action "x" has no outputs, because it did not succeed ("x" in outputs asks whether it has any)'),
        ('outputs.empty.body == ""', 'there is no "body"'),
        ('params[planName] == ""', 'there is no "berlin"'),
        ("int(params.bad) > 1", "cannot convert string to int"),
        ("1 / 0 == 1", "divide by zero"),
        ('params.region.matches("[")', "invalid regular expression: missing ]: ["),
        ("[" + ",".join(["1"] * 100) + "].all(a, a / 0 == 1)", "divide by zero"),
    ],
)  # fmt: skip
def test_says_why_there_is_no_answer(text: str, why: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text).holds(SCOPE)
    assert caught.value.why == why
    assert str(caught.value).startswith('when expression "')
    assert str(caught.value).endswith(f" cannot be evaluated: {why}")


@pytest.mark.parametrize(
    "text", ['params.token == "x"', "has(params.token)", '"token" in params', 'params["token"] != ""']
)
def test_never_answers_about_a_secret(text: str) -> None:
    with pytest.raises(EvaluationError, match='parameter "token" comes from a Secret, which a condition cannot read'):
        compile_expression(text).holds(SCOPE)


def test_a_secret_is_not_among_the_parameters() -> None:
    scope = Scope(params={"token": "s3cret"}, secrets=frozenset({"token"}))
    assert compile_expression('params.exists(name, params[name] == "s3cret")').holds(scope) is False
    with pytest.raises(EvaluationError) as caught:
        compile_expression('params["tok" + "en"] == "x"').holds(scope)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mode", "it gives string, and must give bool"),
        ("dyn(mode)", "it gives dyn, and must give bool"),
        ("params", "it gives map<string, string>, and must give bool"),
        ('mod == "x"', 'column 1: "mod" is not known, did you mean mode?'),
        ("mode == Install && true", 'column 9: "Install" is not known, write "install" in quotes'),
        ('executionName == "x"', 'column 1: "executionName" is not known; variables are mode, planName, params, outputs'),
        ('mode == "a" ||', "column 15: the expression ends too early"),
        ('mode == "install" &&\n foo', 'line 2, column 2: "foo" is not known; variables are mode, planName, params, outputs'),
        ('(mode == "install"', "column 19: missing ')' at the end"),
        ("[,\n", "column 1: missing ']' at the end"),
        ('mode == "install" }', 'column 19: "}" is not expected here'),
        ("params.n == 3", "column 10: == cannot be applied to string, int; parameters and outputs are texts: write the number in quotes, or convert with int(...)"),
        ('mode == "Upgrade" || has(params.x)', 'the mode is never "Upgrade", it is one of install, upgrade, delete, rollback, did you mean "upgrade"?'),
        ('"x" != params.mode', 'the mode is never "x", it is one of install, upgrade, delete, rollback'),
        ('mode in ["install", "nope"]', 'the mode is never "nope", it is one of install, upgrade, delete, rollback'),
        ("[1].all(a, [2].all(b, a == b))", "loops (all, exists, exists_one, map, filter) must not stand in each other"),
        ("(" * 200 + "true" + ")" * 200, "it is nested too deeply"),
        ("!" * 1020 + "truex", f"it has 1025 characters, more than {LONGEST}"),
        ('"\ud800" == mode', "it is no valid Unicode"),
    ],
)  # fmt: skip
def test_says_why_a_text_is_no_condition(text: str, why: str) -> None:
    with pytest.raises(WhenError) as caught:
        compile_expression(text)
    assert caught.value.why == why


def test_tells_three_problems_and_counts_the_rest() -> None:
    with pytest.raises(WhenError, match=r"column 1: .*; column 6: .*; column 11: .*; and 1 more$"):
        compile_expression("a || b || c || d")


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ('mode != "delete"', Reads(mode=True)),
        ('planName == "x"', Reads(plan_name=True)),
        ('params.a == params["b c"]', Reads(params=frozenset({"a", "b c"}))),
        ('has(params.a) && "b" in params', Reads(asked_params=frozenset({"a", "b"}))),
        ('params[planName] == ""', Reads(plan_name=True, any_param=True)),
        ('params.all(k, k == "a")', Reads(any_param=True, loops=True)),
        ('["a"].all(params, params == "a")', Reads(loops=True)),
        ('outputs.a.body == ""', Reads(outputs=frozenset({("a", "body")}))),
        ('has(outputs.a)', Reads(asked_outputs=frozenset({("a", "")}))),
        ('has(outputs.a.body)', Reads(outputs=frozenset({("a", "")}), asked_outputs=frozenset({("a", "body")}))),
        ('size(outputs["a"]) == 0', Reads(outputs=frozenset({("a", "")}))),
        ("size(outputs) == 0", Reads(any_output=True)),
        ('{"x": params.a}["x"] == "y" ? has(params.b) : [params.c] == []', Reads(params=frozenset({"a", "c"}), asked_params=frozenset({"b"}))),
    ],
)  # fmt: skip
def test_knows_what_an_expression_reads(text: str, reads: Reads) -> None:
    assert compile_expression(text).reads == reads


def test_gives_up_when_it_takes_too_many_steps() -> None:
    params = {f"p{number}": "" for number in range(10_000)}
    with pytest.raises(
        EvaluationError, match=r"it may take \d+ steps with values of 48894 characters, more than 5000000"
    ):
        compile_expression('params.all(k, k != "")').holds(Scope(params))


def test_does_not_look_at_huge_values() -> None:
    scope = Scope({"big": "x" * (LARGEST + 1), "small": "x"})
    assert compile_expression('params.small == "x"').holds(scope) is True
    with pytest.raises(EvaluationError, match="characters together, more than"):
        compile_expression('params.big == "x"').holds(scope)


def test_cannot_see_what_it_does_not_name() -> None:
    """Values that an expression does not name are not even handed over, but those it asks for are."""
    scope = Scope({"a": "1", "b": "2"}, outputs={"x": {"body": ""}, "y": {}})
    assert compile_expression('params == {"a": "1", "b": "2", "mode": ""}').holds(scope) is True
    assert compile_expression('has(params.b) && "y" in outputs').holds(scope) is True


def test_costs_nothing_until_it_is_used() -> None:
    code = (
        "import sys, app.rules.workflow, app.cel.language\n"
        "assert not any(name.startswith('cel_expr') for name in sys.modules)\n"
        "app.cel.language.compile_expression('true')\n"
        "assert 'cel_expr_python.cel' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_says_that_the_runtime_is_missing() -> None:
    code = (
        "import sys\n"
        "sys.modules['cel_expr_python'] = None\n"
        "from app.cel.language import compile_expression\n"
        "from app.engine.when import WhenError, parse_when\n"
        "parse_when('mode == install', compile_expression)\n"
        "try:\n    parse_when('has(params.x)', compile_expression)\n"
        "except WhenError as error:\n    assert 'the CEL runtime cannot be loaded here' in error.why, error\n"
        "else:\n    raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
