"""Stamps as the Kubernetes API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def micro_time(when: datetime | None = None) -> str:
    """A MicroTime: RFC 3339 in UTC with six digits, `2026-01-31T08:00:00.000001Z`; now by default."""
    return (when or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
