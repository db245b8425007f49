"""Messages that the operating guide quotes are messages of the code; words in capitals stand for values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.pages import blocks
from tests.support.cluster import REPOSITORY

PAGE = REPOSITORY / "docs" / "operating.md"
FOLDERS = ("app", "controller", "drplan", "webhook")
VALUE = "\0"
QUOTED = [line for block in blocks(PAGE) if block.language == "text" for line in block.text.splitlines()]
_STANDS_FOR_A_VALUE = re.compile(r"\b[A-Z]{2,}[A-Z-]*\b(?:/\b[A-Z]{2,}[A-Z-]*\b)*")
KEPT = {"API", "KiB", "DRP", "UTC", "DR"}


@cache
def texts() -> frozenset[str]:
    """Every text of the code, with a mark where a value is put in; names of constants are replaced by their texts."""
    trees = [ast.parse(path.read_text()) for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    constants = {name: value for tree in trees for name, value in _constants(tree)}
    return frozenset(text for tree in trees for text in _texts(tree, constants))


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(
            value := getattr(node, "value", None), ast.Constant | ast.JoinedStr
        ):
            yield target.id, _text(value, {})


def _texts(tree: ast.Module, constants: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            yield _text(node, constants)


def _text(node: ast.expr, constants: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants) for part in node.values)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        return constants.get(node.value.id, VALUE)
    return VALUE


def _pieces(line: str) -> list[str]:
    """What is left of a quoted message without the words that stand for values."""
    # what stands behind a colon may be a message of its own, such as the cause of a failure
    marked = _STANDS_FOR_A_VALUE.sub(lambda found: found.group() if found.group() in KEPT else VALUE, line)
    return [
        piece for piece in re.split(rf"[{VALUE}]+|: ", marked) if piece.strip(" :/.[]()") and len(piece.strip()) > 2
    ]


def _is_known(piece: str) -> bool:
    flat = piece.replace("dr.bkbcs.tencent.com", VALUE)
    return any(piece in text or flat in text or flat in text.replace("dr.bkbcs.tencent.com", VALUE) for text in texts())


def test_there_are_quotations() -> None:
    assert len(QUOTED) >= 15


@pytest.mark.parametrize("line", QUOTED)
def test_quoted_message_is_in_the_code(line: str) -> None:
    assert [piece for piece in _pieces(line) if not _is_known(piece)] == []


def test_a_message_that_nobody_writes_is_noticed() -> None:
    assert [piece for piece in _pieces("plan PLAN has run away") if not _is_known(piece)] == [" has run away"]
