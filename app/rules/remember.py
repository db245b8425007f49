"""Remembering what rules found out about short texts that come again and again: time-outs, conditions, manifests."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

R = TypeVar("R")

ENTRIES = 512
"""Results that one function keeps."""


def remembered(longest: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Keep the last results of a pure function of texts, by its arguments.

    Arguments of more than `longest` characters together are not kept, so that hostile objects cannot fill the memory.
    """

    def around(function: Callable[..., R]) -> Callable[..., R]:
        kept = lru_cache(maxsize=ENTRIES)(function)

        @wraps(function)
        def call(*texts: str) -> R:
            return kept(*texts) if sum(map(len, texts)) <= longest else function(*texts)

        return call

    return around
