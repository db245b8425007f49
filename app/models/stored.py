"""Stored JSON whose shape nobody promises: a laxer CRD may have let anything pass, and one object must not stop others.

Where the shape is wrong, there is nothing.
"""

from __future__ import annotations

from typing import Any


def members(value: object) -> dict[str, Any]:
    """Return a mapping as it is, anything else as one without members."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return a list as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []
