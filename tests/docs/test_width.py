"""Prose of the pages has at most 100 columns, so that a change of a sentence is a change of its lines alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, name_of, prose

COLUMNS = 100
LATER = {"CHANGELOG.md", "docs/operating.md", "docs/security.md", "docs/upgrade.md"}
"""Pages that are not wrapped yet. The list only becomes shorter."""
_UNBREAKABLE = re.compile(r"\S*`[^`]+`\S*|\S*\[[^\]\[]*\]\([^)]*\)\S*|\S+")


def too_wide(text: str) -> list[str]:
    """Lines of prose that could be broken and are not: tables, headings and what has no blank may be longer."""
    return [
        line
        for line in text.splitlines()
        if len(line) > COLUMNS
        and not line.lstrip().startswith(("|", "#", "<", "!["))
        and len(_UNBREAKABLE.findall(line.lstrip(" -*"))) > 1
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) not in LATER], ids=name_of)
def test_prose_is_wrapped(page: Path) -> None:
    assert too_wide(prose(page)) == []


def test_what_is_too_wide() -> None:
    words = "word " * 21
    assert too_wide(words) == [words]
    assert too_wide(f"| {words} |\n## {words}\n- `{words}`\n[{words}](x.md)\n") == []
