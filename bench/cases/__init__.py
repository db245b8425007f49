"""The cases of the benchmark by the name that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.cases import hostile, latency, parallel, restart, scaling, sequence, stored
from bench.lab import Lab

CASES: Mapping[str, Callable[[Lab], None]] = {
    "latency": latency.begin_and_end,
    "calls": sequence.http_calls,
    "objects": sequence.objects,
    "twenty": parallel.twenty,
    "hundred": parallel.hundred,
    "job": latency.finished_job,
    "cancel": latency.cancel,
    "restart": restart.hand_over,
    "tracking": restart.tracking,
    "service": stored.service,
    "hostile": hostile.hostile,
    "history": stored.history,
    "scale-actions": scaling.actions,
    "scale-runs": scaling.at_once,
    "scale-history": scaling.history,
}
"""In the order in which they are measured; what stores much comes last, because it stays."""
