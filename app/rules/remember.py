"""Remembering what rules found out about short texts that come again and again: time-outs, conditions, manifests."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

R = TypeVar("R")

ENTRIES = 512
"""Results that one function keeps."""


def remembered(longest: int) -> Callable[[Callable[[str], R]], Callable[[str], R]]:
    """Keep the last results of a pure function of a text.

    Texts of more than `longest` characters are not kept, so that hostile objects cannot fill the memory.
    """

    def around(function: Callable[[str], R]) -> Callable[[str], R]:
        kept = lru_cache(maxsize=ENTRIES)(function)

        @wraps(function)
        def call(text: str) -> R:
            return kept(text) if len(text) <= longest else function(text)

        return call

    return around
