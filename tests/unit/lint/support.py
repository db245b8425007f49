"""Linting texts as if they were files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import yaml

from app.lint.check import lint
from app.lint.result import Result

HEAD = "apiVersion: dr.bkbcs.tencent.com/v1alpha1\n"


def lint_text(text: str, **options: Any) -> Result:
    return lint(["-"], io.BytesIO(text.encode()), **options)


def lint_objects(*objects: dict[str, Any], **options: Any) -> Result:
    return lint_text(yaml.safe_dump_all(objects, sort_keys=False), **options)


def lint_files(folder: Path, files: dict[str, str], *names: str, **options: Any) -> Result:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return lint([str(folder / name) for name in names] or [str(folder)], io.BytesIO(), **options)


def found(result: Result) -> list[tuple[str, str, str]]:
    """Rule, path and message of each issue."""
    return [(issue.rule, issue.path, issue.message) for issue in result.issues]


def rules(result: Result) -> list[str]:
    return [issue.rule for issue in result.issues]


def places(result: Result) -> list[tuple[str, int, int]]:
    return [(issue.rule, issue.position.line, issue.position.column) for issue in result.issues]
