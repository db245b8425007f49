"""Python's garbage collector in a process that runs for months and has to answer at once."""

from __future__ import annotations

import gc


def tune_garbage_collector(young: int) -> None:
    """Keep collections rare and short: what is there now is left out of them, and what comes is looked at seldom.

    Most of what a request leaves behind is freed by its reference count. The rest waits until there are `young` new
    objects, a failed HTTP call of some hundred objects with its body for instance. May be called again, when more has
    come to stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 20, 100)
