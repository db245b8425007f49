"""The pages of the documentation, taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.cluster import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CHANGELOG.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    REPOSITORY / "charts" / "drplan" / "README.md",
    REPOSITORY / "tests" / "README.md",
]
_FENCE = re.compile(r"^([ \t]*)```([a-z]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`+[^`\n]+`+")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, and its text without the indentation of the fence."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """Path of a page within the repository."""
    return page.relative_to(REPOSITORY).as_posix()


@cache
def text_of(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    return [
        Block(language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, text in _FENCE.findall(text_of(page))
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def spans(page: Path) -> list[str]:
    """The code spans of a page's prose."""
    return [found.group(0).strip("`").strip() for found in _CODE.finditer(prose(page))]


def links(page: Path) -> list[str]:
    """Targets of the links of a page."""
    return _LINK.findall(_CODE.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    made = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        made.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return made


def commands(page: Path, program: str) -> Iterator[str]:
    """Commands of `program` in shell blocks and code spans, each up to a pipe, a redirection or a comment."""
    shell = [block.text.replace("\\\n", " ") for block in blocks(page) if block.language in ("sh", "console")]
    lines = [line.strip().removeprefix("$ ") for text in shell for line in text.splitlines()]
    for line in [*lines, *spans(page)]:
        for part in re.split(r" && |; ", line):
            if part.startswith(f"{program} "):
                yield _until_pipe(part)


def _until_pipe(command: str) -> str:
    """The command before the first pipe, redirection or comment that no quote holds."""
    quote = ""
    for at, character in enumerate(command):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "|<>" or (character == "#" and command[at - 1] == " "):
            return command[:at].strip()
    return command.strip()
