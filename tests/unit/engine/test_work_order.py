"""The order in which the parts of a run ran (decision R2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.engine.work_order import order_of_work

T = datetime(2030, 1, 1, tzinfo=UTC)


def at(*seconds: int | None) -> list[datetime | None]:
    return [None if number is None else T + timedelta(seconds=number) for number in seconds]


@pytest.mark.parametrize(
    ("started", "after", "order"),
    [
        (at(0, 1, 2), [[], [0], [1]], [0, 1, 2]),
        (at(0, 0, 0), [[], [0], [1]], [0, 1, 2]),
        (at(0, 0), [[1], []], [1, 0]),
        (at(5, 1), [[], []], [1, 0]),
        (at(5, None, 1), [[], [], []], [2, 0, 1]),
        (at(0, None, 2), [[], [], []], [0, 1, 2]),
        (at(None, None), [[1], []], [1, 0]),
        (at(3, 3, 1), [[2], [0], []], [2, 0, 1]),
        (at(0, 0, 0), [[0], [], []], [1, 2, 0]),
        ([], [], []),
    ],
)
def test_order(started: list[datetime | None], after: list[list[int]], order: list[int]) -> None:
    assert order_of_work(started, after) == order
