"""What the CEL runtime says about an expression, in words for its author."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.engine.gotext import quote
from app.engine.graph import closest
from app.engine.when import MODES

VARIABLES = ("mode", "planName", "params", "outputs")

_PROBLEM = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_CODE = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_MISMATCH = re.compile(r"(?:mismatched|extraneous) input '(.*)' expecting .*|no viable alternative at input '(.*)'")
_UNREADABLE = re.compile(r"token recognition error at: '(.*)'")
_KEY = re.compile(r'Key not found in map : "(.*)"', re.DOTALL)
_MOST = 3
"""Problems of one expression that are told."""
_TEXTS = "; parameters and outputs are texts: write the number in quotes, or convert with int(...)"


def compile_problem(raised: str, expression: str, variables: Sequence[str] = VARIABLES) -> str:
    """Return why an expression over `variables` cannot be compiled, with positions.

    `raised` is the text of the runtime's error.
    """
    lines = len(expression.splitlines())
    found = list(dict.fromkeys(_problems(raised, variables, several_lines=lines > 1)))
    if not found:
        return "it is nested too deeply" if "recursion" in raised else plain(raised)
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return "; ".join(found[:_MOST] + more)


def _problems(raised: str, variables: Sequence[str], *, several_lines: bool) -> Iterator[str]:
    for line, column, text in _PROBLEM.findall(_CODE.sub("", raised)):
        if "recursion depth" in text:
            yield "it is nested too deeply"
            return
        where = f"line {line}, column {column}" if several_lines else f"column {column}"
        said = _said(text, variables)
        yield said if line.startswith("-") else f"{where}: {said}"
        if text.startswith("Syntax error"):
            return  # what follows an error of syntax is guesswork


def _said(text: str, variables: Sequence[str]) -> str:
    text = text.removesuffix(" (in container '')")
    if match := _UNDECLARED.fullmatch(text):
        return f"{quote(match[1])} is not known{_hint(match[1], variables)}"
    if match := _OVERLOAD.fullmatch(text):
        types = match[2]
        told = f"{_operator(match[1])} cannot be applied to {types}"
        return told + (_TEXTS if "string" in types and ("int" in types or "double" in types) else "")
    if match := _MISMATCH.search(text):
        found = match[1] or match[2] or ""
        return "the expression ends too early" if found == "<EOF>" else f"{quote(found)} is not expected here"
    if match := _UNREADABLE.search(text):
        return f"{quote(match[1])} cannot be read"
    return text.removeprefix("Syntax error: ").replace("'<EOF>'", "the end")


def _hint(name: str, variables: Sequence[str]) -> str:
    root = name.partition(".")[0]
    if len(variables) == 1:
        return f"; the only variable is {variables[0]}"
    if root == "operation":
        return ", write mode"
    if root.lower() in MODES:
        return f', write "{root.lower()}" in quotes'
    near = closest(root, variables)
    if near:
        return f", did you mean {near}?"
    return f"; variables are {', '.join(variables)}"


def _operator(function: str) -> str:
    """Return the sign of an operator; the name of a function stays."""
    return {"_?_:_": "? :", "_[_]": "[ ]"}.get(function, function.strip("_@"))


def missing_key(raised: str) -> str | None:
    """Return the key that a map did not have, when that is what an evaluation failed of."""
    match = _KEY.search(raised)
    return match[1] if match else None


def plain(raised: str) -> str:
    """Return the text of an error without the runtime's codes."""
    text = _CODE.sub("", raised)
    return "it takes too many steps" if "Iteration budget" in text else text
