"""Which of two executions of a plan came second, told from what is stored when one of them is over already."""

from datetime import UTC, datetime, timedelta

import pytest

from app.models.execution import DRPlanExecution
from controller.start.rivals import CLOCK_SLACK, outlived

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BORN = 100


def ended(version: int, done: datetime | None = CREATED) -> DRPlanExecution:
    status = {"phase": "Succeeded"} | ({} if done is None else {"completionTime": f"{done:%Y-%m-%dT%H:%M:%SZ}"})
    return DRPlanExecution.from_wire(
        {
            "metadata": {"name": "first", "namespace": "ns", "uid": "u", "resourceVersion": str(version)},
            "spec": {"planRef": "plan", "operationType": "Execute"},
            "status": status,
        }
    )


def test_a_run_that_ended_after_the_other_was_created_outlived_its_creation() -> None:
    assert outlived(ended(BORN + 1), BORN, CREATED)


@pytest.mark.parametrize("version", [BORN - 1, BORN])
def test_a_run_that_was_over_when_the_other_was_created_did_not(version: int) -> None:
    assert not outlived(ended(version), BORN, CREATED)


def test_a_label_put_on_a_run_that_ended_long_ago_is_no_end() -> None:
    long_ago = CREATED - CLOCK_SLACK - timedelta(seconds=1)
    assert not outlived(ended(BORN + 1, long_ago), BORN, CREATED)


def test_clocks_may_differ_a_little() -> None:
    assert outlived(ended(BORN + 1, CREATED - CLOCK_SLACK), BORN, CREATED)


def test_without_times_nothing_is_held_against_an_execution() -> None:
    assert not outlived(ended(BORN + 1, None), BORN, CREATED)
    assert not outlived(ended(BORN + 1), BORN, None)
