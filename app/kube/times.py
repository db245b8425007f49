"""Stamps as the Kubernetes API writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from app.models.base import rfc3339_micro


def micro_time(when: datetime | None = None) -> str:
    """Return a MicroTime: RFC 3339 in UTC with six digits, `2026-01-31T08:00:00.000001Z`; now by default."""
    return rfc3339_micro(when or datetime.now(UTC))
