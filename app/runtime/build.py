"""Which build of drplan runs: its version, the commit it was made from, and Python."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from platform import python_version
from typing import Final

COMMIT_VARIABLE: Final = "DRPLAN_COMMIT"
"""Environment variable, set by the image's build, with the commit that it was built from."""
UNKNOWN: Final = "unknown"
"""The commit of a process that was not started from an image."""


@dataclass(frozen=True, slots=True)
class Build:
    """What `drplan_build_info` and `drplan version` say."""

    version: str
    commit: str
    python: str


def this_build() -> Build:
    """Return the build of this process."""
    return Build(version("drplan"), os.environ.get(COMMIT_VARIABLE, "") or UNKNOWN, python_version())
