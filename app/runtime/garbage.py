"""Python's garbage collector in a process that runs for months and has to answer at once."""

from __future__ import annotations

import gc


def tune_garbage_collector() -> None:
    """Keep collections rare and short: what is there now lives for ever, and what comes is looked at seldom.

    Nearly everything is freed by its reference count anyway. May be called again, when more has come to stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
