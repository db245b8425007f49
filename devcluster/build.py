"""Builds one tool with Go into the user cache folder: once, locked, with progress shown."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from devcluster.tools import Module, Tool

PROGRESS_SECONDS = 20.0
"""How often a progress line is written while a build runs or is waited for."""


class BinaryError(Exception):
    """A tool is not to be had; the message says what to do."""


def cache_root() -> Path:
    """The user cache folder of drplan: ``$XDG_CACHE_HOME/drplan``, else ``~/.cache/drplan``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "drplan"


def cached_path(tool: Module) -> Path:
    """Where the built binary of a tool is kept, or the folder of published files."""
    return cache_root() / tool.name / tool.version / tool.name


def spell_seconds(seconds: float) -> str:
    """Whole seconds as ``45s`` or ``1m20s``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def say(line: str) -> None:
    """Write one progress line to standard error, where it never mixes with a command's output."""
    print(line, file=sys.stderr, flush=True)


def find_go(tool: Module) -> str:
    """The ``go`` command.

    Raises:
        BinaryError: Go is not installed; names the alternatives.
    """
    go = shutil.which("go")
    if go is None:
        raise BinaryError(
            f"go was not found on PATH, and it is needed once to build {tool.name} {tool.version}: install Go 1.26 "
            f"or newer, or set KUBEBUILDER_ASSETS to a folder that holds {tool.name}"
        )
    return go


@contextlib.contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold the file lock ``path``; while another process holds it, wait and say so.

    The lock belongs to the open file, so the end of its holder, however it comes, frees it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        started = next_line = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                now = time.monotonic()
                if now >= next_line:
                    say(f"waiting for another process that builds {waiting_for}, {spell_seconds(now - started)} so far")
                    next_line = now + PROGRESS_SECONDS
                time.sleep(0.2)
        yield


def go_environment() -> dict[str, str]:
    """The environment for Go: the user's, without a workspace that would change the pinned requirements."""
    return {**os.environ, "GOWORK": "off"}


def _run_go(command: list[str], tool: Tool, log: IO[bytes]) -> int:
    started = said = time.monotonic()
    label = f"building {tool.name} {tool.version}, about {tool.minutes:g} minute{'s' * (tool.minutes != 1)}"
    say(label)
    process = subprocess.Popen(
        command,
        cwd=tool.directory,
        env=go_environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    try:
        while True:
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if now - said >= PROGRESS_SECONDS:
                    said = now
                    say(f"{label}, {spell_seconds(now - started)} so far")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


def build(tool: Tool) -> Path:
    """Build a tool into the cache unless it is there, and return its path.

    Two builds at once do not harm each other: the second waits for the first and uses its result. The binary appears
    under its name only when it is complete.

    Raises:
        BinaryError: Go is missing or the build failed; carries the last lines Go printed.
    """
    target = cached_path(tool)
    if target.is_file():
        return target
    go = find_go(tool)
    with locked(target.parent.with_name(f"{tool.version}.lock"), f"{tool.name} {tool.version}"):
        if target.is_file():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob("*.tmp"):
            stale.unlink()
        temporary = target.with_name(f"{tool.name}.{os.getpid()}.tmp")
        command = [go, "build", "-trimpath", "-p", "2", "-tags", tool.tags, "-ldflags", tool.link_flags]
        command += ["-o", str(temporary), tool.package]
        started = time.monotonic()
        try:
            with tempfile.TemporaryFile() as log:
                code = _run_go(command, tool, log)
                log.seek(0)
                lines = log.read().decode(errors="replace").strip().splitlines()
            if code != 0 or not temporary.is_file():
                shown = "\n  ".join(lines[-15:]) or "(it printed nothing)"
                raise BinaryError(
                    f"building {tool.name} {tool.version} failed (go build, exit code {code}) in {tool.directory}:\n"
                    f"  {shown}"
                )
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        say(f"built {tool.name} {tool.version} in {spell_seconds(time.monotonic() - started)}")
    return target
