"""What several tests of this folder need."""

import time
from collections.abc import Callable
from pathlib import Path


def until(done: Callable[[], bool], timeout: float = 60.0) -> None:
    """Poll until ``done()``; fails the test after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state(pid: int) -> str:
    """The process's state letter, or ``gone``; a zombie counts as gone."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return "gone" if letter in "ZX" else letter
