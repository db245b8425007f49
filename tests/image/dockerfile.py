"""The Dockerfile as stages of instructions, and what of the tree its builder is sent."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser
from pathspec import GitIgnoreSpec

from tests.support.cluster import REPOSITORY

DOCKERFILE = REPOSITORY / "Dockerfile"
IGNORED = REPOSITORY / ".dockerignore"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The words of the value; those of the JSON form too."""
        if self.value.startswith("["):
            found = json.loads(self.value)
            assert isinstance(found, list)
            return found
        return shlex.split(self.value)


@dataclass(frozen=True, slots=True)
class Stage:
    """What follows one FROM."""

    image: str
    instructions: tuple[Instruction, ...]

    def values(self, name: str) -> list[str]:
        """The values of all instructions of this name."""
        return [item.value for item in self.instructions if item.name == name]

    def pairs(self, name: str) -> dict[str, str]:
        """The `key=value` of all instructions of this name (ARG, ENV, LABEL)."""
        words = [word for item in self.instructions if item.name == name for word in item.words]
        return {word.partition("=")[0]: word.partition("=")[2] for word in words}


def instructions() -> list[Instruction]:
    """All instructions of the Dockerfile, without comments."""
    parser = DockerfileParser(fileobj=io.BytesIO(DOCKERFILE.read_bytes()))
    structure: list[dict[str, Any]] = parser.structure
    return [Instruction(item["instruction"], item["value"]) for item in structure if item["instruction"] != "COMMENT"]


def arguments_before() -> dict[str, str]:
    """The arguments before the first FROM."""
    found = instructions()
    first = next(at for at, item in enumerate(found) if item.name == "FROM")
    return Stage("", tuple(found[:first])).pairs("ARG")


def stages() -> list[Stage]:
    """All stages, in order."""
    found = instructions()
    starts = [at for at, item in enumerate(found) if item.name == "FROM"]
    bounds = zip(starts, [*starts[1:], len(found)], strict=True)
    return [Stage(found[start].words[0], tuple(found[start + 1 : end])) for start, end in bounds]


def context(folder: Path) -> None:
    """Lay out what the builder is sent: the files of the working tree without what .dockerignore leaves out.

    The patterns of .dockerignore begin with `/` or `**/`, so that they mean the same there and in a .gitignore.
    """
    ignored = GitIgnoreSpec.from_lines(IGNORED.read_text().splitlines())
    top = [path for path in REPOSITORY.iterdir() if not ignored.match_file(path.name)]
    for path in [*top, *(below for entry in top for below in entry.rglob("*"))]:
        name = path.relative_to(REPOSITORY)
        if path.is_file() and not ignored.match_file(str(name)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
