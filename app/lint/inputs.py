"""Reading what is linted: files, folders with all below them, and standard input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.lint.result import Notification, Position
from app.rules.manifests.documents import Document, load_with_positions
from app.rules.manifests.trees import ManifestError

STDIN = "-"
STDIN_NAME = "<stdin>"
SUFFIXES = (".yaml", ".yml", ".json")
"""Ends of the names of files that are read of a folder; hidden files and folders are not."""
MAX_BYTES = 16 * 1024 * 1024
"""Largest file that is read; the API server takes 3 MiB in one request."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file and the documents in it."""

    name: str
    documents: tuple[Document, ...]


def read_inputs(names: Iterable[str], stdin: BinaryIO) -> Iterator[Source | Notification]:
    """Read every input once; what cannot be read comes as a note that says why."""
    seen: set[str] = set()
    for name in names:
        for found in _files(name):
            if isinstance(found, Notification):
                yield found
            elif (same := found if found == STDIN else os.path.realpath(found)) not in seen:
                seen.add(same)
                yield _read(found, stdin)


def _files(name: str) -> Iterator[str | Notification]:
    if name == STDIN or not Path(name).is_dir():
        yield name
        return
    problems: list[OSError] = []
    found: list[str] = []
    for folder, folders, files in os.walk(name, onerror=problems.append):
        folders[:] = [below for below in folders if not below.startswith(".")]
        found += [str(path) for path in (Path(folder, file) for file in files) if _is_manifest(path)]
    for problem in problems:
        yield Notification(Position(str(problem.filename)), f"cannot be read: {problem.strerror}")
    if not found:
        yield Notification(Position(name), f"the folder has no file that ends in {', '.join(SUFFIXES)}")
    yield from sorted(found)


def _is_manifest(path: Path) -> bool:
    """Pipes and sockets are none: reading them may never end. A link that leads nowhere is one that cannot be read."""
    named = path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")
    return named and (path.is_file() or not path.exists())


def _read(name: str, stdin: BinaryIO) -> Source | Notification:
    shown = STDIN_NAME if name == STDIN else name
    position = Position(shown)
    try:
        if name == STDIN:
            data = stdin.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return Notification(position, f"larger than {MAX_BYTES // 1024**2} MiB")
        return Source(shown, tuple(load_with_positions(data.decode("utf-8-sig"))))
    except OSError as error:
        return Notification(position, f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        return Notification(position, f"not UTF-8: byte {error.start}")
    except ManifestError as error:
        return Notification(Position(shown, error.line or 1, error.column or 1), f"not YAML: {error}")
