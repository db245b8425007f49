"""Executes the steps of the Dockerfile that make files, below a folder that stands for `/` of the image."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.image.dockerfile import Instruction, Stage

MADE = re.compile(r"(?<![\w./-])/(?=(?:opt|src|dist)\b)")
"""The slash of absolute paths that the Dockerfile makes; all others are the base image's."""
STEP_SECONDS = 240
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
CHOSEN_BY_THE_MACHINE = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Beginnings of variables that say how packages are fetched here."""


class StepError(AssertionError):
    """A step failed; the message has it and the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Runs the instructions of one stage."""

    root: Path
    context: Path
    given: Mapping[str, str]
    """The build arguments."""
    python: Path
    """The folder of `python3`, as the base image has it."""

    def run(self, stage: Stage) -> None:
        """Carry out COPY, RUN and WORKDIR in order, with the arguments declared so far."""
        environment, folder = self._environment(), self.root
        for instruction in stage.instructions:
            match instruction.name:
                case "ARG":
                    name, _, default = instruction.words[0].partition("=")
                    environment[name] = self.given.get(name, default)
                case "WORKDIR":
                    folder = Path(self.below(instruction.value))
                    folder.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(instruction, folder)
                case "RUN":
                    self._run(instruction.value, folder, environment)
                case other:
                    raise StepError(f"the tests do not know what {other} does in a builder")

    def below(self, text: str) -> str:
        """The text with the absolute paths that the Dockerfile makes below the root."""
        return MADE.sub(f"{self.root}/", text)

    def _copy(self, instruction: Instruction, folder: Path) -> None:
        *sources, target = instruction.words
        for source in sources:
            found = self.context / source
            if found.is_dir():
                shutil.copytree(found, folder / target)
            else:
                shutil.copy(found, folder / target)

    def _run(self, command: str, folder: Path, environment: Mapping[str, str]) -> None:
        answer = subprocess.run(
            ["/bin/sh", "-c", self.below(command)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        if answer.returncode != 0:
            raise StepError(f"exit code {answer.returncode}: {command}\n{answer.stdout[-3000:]}")

    def _environment(self) -> dict[str, str]:
        """The base image's: its Python is first on the path. And how packages are fetched on this machine."""
        fetching = {name: value for name, value in os.environ.items() if name.upper().startswith(CHOSEN_BY_THE_MACHINE)}
        return {**fetching, "PATH": f"{self.python}:{SYSTEM_PATH}", "HOME": str(Path.home())}


def base_python(uid: int) -> Path | None:
    """The folder of a `python3` that this user may run and that makes virtual environments; None when there is none."""
    check = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    own = Path(getattr(sys, "_base_executable", sys.executable)).with_name("python3")
    for program in (shutil.which("python3", path=SYSTEM_PATH), own):
        command = ["setpriv", f"--reuid={uid}", "--clear-groups", str(program), "-c", check]
        if program and subprocess.run(command, cwd="/", capture_output=True, timeout=60, check=False).returncode == 0:
            return Path(program).parent
    return None


def seal(folder: Path) -> None:
    """Let nobody write below the folder, and root own it."""
    for path in [folder, *folder.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, 0, 0, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Size, mode and time of every file and folder below, by path."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (status.st_size, status.st_mode, status.st_mtime_ns)
    return found
