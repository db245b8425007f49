"""Nothing is decided by the words of a message (decision D10): no module takes one apart or compares it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import REPOSITORY

TREES = ("app", "controller", "webhook")
WORDS = {"message", "last_failure"}
PARTS = {
    "startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "rsplit",
    "splitlines", "find", "rfind", "index", "count", "match", "search", "fullmatch", "findall", "finditer", "sub",
    "replace",
}  # fmt: skip
ALLOWED = {
    ("app/models/earlier_words.py", "translated"): "the one place that reads statuses of earlier releases",
    ("app/models/earlier_words.py", "_reason_in"): "the same",
    ("app/engine/messages.py", "without_lead"): "tells a cause within another message",
    ("app/engine/live.py", "with_live_message"): "whether the message is already the one to be written",
    ("controller/start/starter.py", "_wait"): "the same",
    ("app/rules/findings.py", "_identity"): "whether two findings are the same",
    ("app/rules/actions/known.py", "_below"): "takes off what the same module has put before it",
    ("app/kube/errors.py", "_build"): "the API server says some things in words only",
    ("app/kube/errors.py", "is_transient"): "the same",
}
"""Module and function, with the reason why."""


def _is_message(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in WORDS
        case ast.Subscript(value=ast.Name() | ast.Attribute(), slice=ast.Constant(value=str(key))):
            return key in WORDS or key == "lastFailure"
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_]):
            return key in WORDS or key == "lastFailure"
        case ast.Call(func=ast.Attribute(value=inner, attr="lower" | "strip" | "casefold")):
            return _is_message(inner)
        case ast.BoolOp(values=values):
            return any(map(_is_message, values))
    return False


def _reads(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=of, attr=name), args=args) if name in PARTS:
            return _is_message(of) or any(map(_is_message, args))
        case ast.Compare(left=left, comparators=others):
            constant = any(isinstance(each, ast.Constant) and each.value in (None, "") for each in (left, *others))
            return not constant and any(map(_is_message, (left, *others)))
        case ast.Match(subject=subject):
            return _is_message(subject)
    return False


def readers(source: str) -> Iterator[str]:
    """The functions of a module that look at the words of a message."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and any(map(_reads, ast.walk(function))):
            yield function.name


@pytest.mark.parametrize("tree", TREES)
def test_no_module_looks_at_the_words_of_a_message(tree: str) -> None:
    found = {
        (str(module.relative_to(REPOSITORY)), name)
        for module in sorted((REPOSITORY / tree).rglob("*.py"))
        for name in readers(module.read_text(encoding="utf-8"))
    }
    assert found - ALLOWED.keys() == set()
    stale = {place for place in ALLOWED if place[0].startswith(f"{tree}/")} - found
    assert stale == set(), "allowed and not needed"


def test_what_is_found() -> None:
    bodies = [
        "return a.message.startswith('x')", "return 'x' in a.message", "return status.message == 'x'",
        "return re.match('x', a.message)", "return a.message.lower().find('x')", "return a['message'] != 'x'",
        "return (a.last_failure or '').partition(':')", "match a.message:\n  case 'x': return 1",
        "return a.get('message') in KNOWN",
    ]  # fmt: skip
    for body in bodies:
        lines = "\n".join(f"  {line}" for line in body.splitlines())
        assert list(readers(f"def f(a, status):\n{lines}\n")) == ["f"], body
    fine = [
        "return f'{a.message}; more'",
        "return a.message or 'none'",
        "return a.message != ''",
        "return cut(a.message)",
    ]
    for body in fine:
        assert list(readers(f"def f(a):\n  {body}\n")) == [], body


def test_the_engine_reads_reasons_and_no_text_of_its_own_back() -> None:
    """Texts are written and never looked for, but for the one function that quotes a cause."""
    source = Path(REPOSITORY / "app" / "engine" / "messages.py").read_text(encoding="utf-8")
    assert list(readers(source)) == ["without_lead"]
