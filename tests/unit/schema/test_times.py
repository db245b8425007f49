"""Times that the API server takes, whoever wrote them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.models.plan import DRPlanStatus


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0000-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"),
        ("0999-06-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("1970-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-14:00", "9999-12-30T00:00:00Z"),
        ("2026-01-01T00:00:00+23:59", "2025-12-31T00:01:00Z"),
        ("2026-01-01t00:00:00.123456789123z", "2026-01-01T00:00:00Z"),
    ],
)
def test_every_time_of_a_status_can_be_read_counted_with_and_written(written: str, read: str) -> None:
    status = DRPlanStatus.from_wire({"lastExecutionTime": written})
    assert status.to_wire() == {"lastExecutionTime": read}
    assert status.last_execution_time is not None
    assert status.last_execution_time + timedelta(hours=1) > status.last_execution_time - timedelta(0)
