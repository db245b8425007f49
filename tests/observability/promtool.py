"""promtool, built on first use."""

from __future__ import annotations

import subprocess

from devcluster import ensure


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool; the caller looks at the exit code."""
    command = [str(ensure("promtool")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
