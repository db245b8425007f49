"""docs/architecture.md names files and functions: they exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.cluster import REPOSITORY

PAGES = (
    REPOSITORY / "docs" / "architecture.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs" / "design").rglob("*.md")),
)
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?")
MODULE = re.compile(r"`[a-z_]+/[\w/]+\.py`")
NAMED = re.compile(r"`([a-z_]+/[\w/]+\.py)`((?:[\s,]+`[A-Za-z_]\w*(?:\.\w+)?`)+)")
"""A module, and the names of it that follow."""
TREES = (
    "app",
    "controller",
    "drplan",
    "generate",
    "webhook",
    "devcluster",
    "tests",
    "bench",
    "supply",
    "examples",
    "charts",
    "docs",
    "crds",
)


@cache
def _defined(module: Path) -> frozenset[str]:
    """Names that a module defines: functions, classes, variables, and members of classes as `Class.member`."""
    return frozenset(_names(ast.parse(module.read_text(encoding="utf-8")), ""))


def _names(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
            case ast.ClassDef(name=name):
                yield prefix + name
                yield from _names(child, f"{name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name


def problems(text: str) -> list[str]:
    """What a page names and the repository lacks: files, folders, and the names that stand right behind a module's."""
    paths = {code for code in CODE.findall(text) if PATH.fullmatch(code) and code.split("/")[0] in TREES}
    missing = [f"{path}: no such file or folder" for path in sorted(paths) if not (REPOSITORY / path).exists()]
    for path, names in NAMED.findall(text):
        module = REPOSITORY / path
        if module.exists():
            missing += [f"{name}: not in {path}" for name in CODE.findall(names) if name not in _defined(module)]
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_names_exist(page: Path) -> None:
    assert problems(page.read_text(encoding="utf-8")) == []


def test_the_run_has_twelve_stops_with_names() -> None:
    run = PAGES[0].read_text(encoding="utf-8").split("\n## The run\n")[1].split("\n## ")[0]
    stops = re.split(r"\n(?=\d+\. )", run)[1:]
    assert len(stops) == 12
    assert all(MODULE.search(stop) for stop in stops)


def test_what_is_missing_is_told() -> None:
    text = "- `controller/gone.py` `x`\n- `app/engine/fold.py` `fold`, `unfold`\n- `app/moon`\n"
    assert problems(text) == [
        "app/moon: no such file or folder",
        "controller/gone.py: no such file or folder",
        "unfold: not in app/engine/fold.py",
    ]
