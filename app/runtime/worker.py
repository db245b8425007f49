"""A worker process: does one call after the other, for the process that started it (see `app.runtime.workers`).

It speaks by frames on what was its standard input and output. What the modules of a call print goes to standard error.
"""

from __future__ import annotations

import importlib
import os
import pickle  # nosec B403
import resource
import signal
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from app.runtime.logging import setup_logging

HEAD = struct.Struct(">I")
"""The length of a frame, in front of it."""
MOST_MEMORY = 1024**3
"""Bytes of address space of a worker: a call that wants more fails by itself."""
RESERVED_MEMORY = 128 * 1024**2
"""Bytes of a container that are left to the process which has the workers."""
SHARES = 3
"""Workers of a process at most, which share the rest."""
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container reads how much memory it may have, of both versions of control groups."""
_NICE = 5
"""The event loops come first where processors are few."""

Ask = Callable[..., Any]


RESULT, ERROR, QUESTION = "result", "error", "question"
"""What a frame from a worker is."""


def main() -> None:
    """Serve until the other side closes."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    setup_logging(json=not os.isatty(2))
    os.nice(_NICE)
    limit_memory()
    while (call := _read(requests)) is not None:
        function, arguments, seconds = call
        signal.alarm(int(seconds) + 5)  # nobody waits any longer; the process that did may be gone
        _write(answers, _answer(function, arguments, requests, answers))
        signal.alarm(0)


def limit_memory(limits: Sequence[str] = CGROUP_LIMITS) -> None:
    """Keep this process from taking its container with it.

    Kubernetes ends all of a container that runs out of memory. What the process that has the workers was working on
    would not be told to the next one, since it just waited; the same object would end that again.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    share = min(MOST_MEMORY, max(RESERVED_MEMORY, (_container_memory(limits) - RESERVED_MEMORY) // SHARES))
    resource.setrlimit(resource.RLIMIT_DATA, (share, share))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _container_memory(limits: Sequence[str]) -> int:
    """Return the bytes that the container may have; without a limit, more than there are."""
    for path in limits:
        with suppress(OSError, ValueError):
            return int(Path(path).read_text())
    return SHARES * MOST_MEMORY + RESERVED_MEMORY


def _answer(function: str, arguments: tuple[Any, ...], requests: BinaryIO, answers: BinaryIO) -> tuple[str, Any]:
    def ask(name: str, *values: Any) -> Any:  # noqa: ANN401 - whatever is asked for
        _write(answers, (QUESTION, (name, values)))
        answer, error = _read(requests) or (None, EOFError("nobody answers"))
        if error is not None:
            raise error
        return answer

    module, _, name = function.partition(":")
    try:
        return RESULT, getattr(importlib.import_module(module), name)(ask, *arguments)
    except MemoryError:
        return ERROR, "it needs too much memory"
    except Exception as error:
        return ERROR, f"{type(error).__name__}: {error}"[:1000]


def _read(stream: BinaryIO) -> Any:  # noqa: ANN401 - whatever was sent
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    return pickle.loads(stream.read(HEAD.unpack(head)[0]))  # noqa: S301 # nosec B301 - from our parent


def _write(stream: BinaryIO, value: object) -> None:
    data = pickle.dumps(value)
    stream.write(HEAD.pack(len(data)) + data)
    stream.flush()


if __name__ == "__main__":
    main()
