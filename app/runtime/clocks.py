"""The clock that leases are measured with."""

from __future__ import annotations

import sys
import time

if sys.platform == "linux":

    def elapsed_seconds() -> float:
        """Seconds on a clock that never jumps and also counts while the machine sleeps; of no particular start."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:

    def elapsed_seconds() -> float:
        """Seconds on a clock that never jumps; of no particular start."""
        return time.monotonic()
