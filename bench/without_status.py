"""`drplan controller` that writes a run's status at its start and end only, to measure what live statuses cost.

Run as `python -m bench.without_status controller FLAGS`. The journal is written as ever.
"""

from __future__ import annotations

import math
import sys

from app.cli.main import main
from controller import status_writer

if __name__ == "__main__":
    status_writer.MAX_INTERVAL = math.inf
    sys.exit(main([*sys.argv[1:], "--status-interval=86400"]))
