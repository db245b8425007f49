"""The Go program that tells what Go and client-go make of an input."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

ORACLE_SOURCE = Path(__file__).parents[1] / "go" / "oracle"


@dataclass(frozen=True)
class Answer:
    """`stage` is empty when Go had no error, else the step that failed."""

    result: str
    stage: str
    error: str


class Oracle:
    """One running oracle process: a JSON line in, a JSON line out."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions = questions
        self._answers = answers

    def ask(self, kind: str, text: str, document: object = None) -> Answer:
        self._questions.write(json.dumps({"kind": kind, "text": text, "document": document}) + "\n")
        self._questions.flush()
        return Answer(**json.loads(self._answers.readline()))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks the oracle has to build it first."""
    for item in items:
        if "oracle" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    go = shutil.which("go")
    if go is None:
        pytest.skip("the Go toolchain is not installed: results cannot be compared with client-go's own")
    binary = tmp_path_factory.mktemp("oracle") / "oracle"
    subprocess.run([go, "build", "-o", str(binary), "."], cwd=ORACLE_SOURCE, check=True, timeout=600)
    with subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Oracle(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            process.wait(timeout=10)
