"""`drplan controller` that writes a run's status at its start and end only, to measure what live statuses cost.

Run as `python -m bench.without_status controller FLAGS`. The journal is written as ever.
"""

from __future__ import annotations

import sys

from controller.run import status_writer
from drplan.main import main

NEVER = 1e6
"""Seconds, and multiples of a write's own time, that no measured run lasts."""

if __name__ == "__main__":
    status_writer.MAX_INTERVAL = status_writer.LATENCY_FACTOR = NEVER
    sys.exit(main([*sys.argv[1:], "--status-interval=86400"]))
