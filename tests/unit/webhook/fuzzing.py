"""How long properties of the review endpoint are tried: briefly in `make test`, as long as you like in `make fuzz`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
SECONDS = float(os.environ.get("FUZZ_SECONDS", "120"))
"""For each property, in `make fuzz`."""
EXAMPLES = 60
"""Tried in `make test`, the same in every run; in `make fuzz` so many new ones until the time is over."""

T = TypeVar("T")


def _drop(_logger: object, _method: str, _event: structlog.types.EventDict) -> structlog.types.EventDict:
    raise structlog.DropEvent


if IS_LONG:
    structlog.configure(processors=[_drop])  # there is a line for each refusal


def fuzz(strategy: SearchStrategy[T], check: Callable[[T], None]) -> None:
    """Check examples: EXAMPLES of them, or as many as SECONDS allow."""
    tried = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(strategy)
    def hold(example: T) -> None:
        nonlocal tried
        tried += 1
        check(example)

    end = time.monotonic() + SECONDS
    hold()
    while IS_LONG and time.monotonic() < end:
        hold()
    print(f"{tried} examples tried")
