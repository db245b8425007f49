"""Waiting for a plan's validation goes by what the controller sees, not by the API server's clock against its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.models.execution import DRPlanExecution
from controller.start.may_begin import VALIDATION_PATIENCE
from controller.start.patience import Patience

pytestmark = pytest.mark.looptime


def created(seconds_ago: float, uid: str = "u") -> DRPlanExecution:
    stamp = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    metadata = {
        "name": "e",
        "namespace": "ns",
        "uid": uid,
        "resourceVersion": "1",
        "creationTimestamp": f"{stamp:%Y-%m-%dT%H:%M:%SZ}",
    }
    return DRPlanExecution.from_wire({"metadata": metadata, "spec": {"planRef": "p", "operationType": "Execute"}})


@pytest.mark.parametrize("seconds_ago", [-3600.0, -70.0, 0.0, 70.0, 86_400.0])
async def test_clocks_that_differ_leave_the_whole_time(seconds_ago: float) -> None:
    patience, execution = Patience(), created(seconds_ago)
    assert patience.left(execution) == VALIDATION_PATIENCE
    await asyncio.sleep(VALIDATION_PATIENCE - 1)
    assert patience.left(execution) == pytest.approx(1.0)
    await asyncio.sleep(1.1)
    assert patience.left(execution) < 0


async def test_another_execution_of_the_name_waits_for_itself() -> None:
    patience = Patience()
    patience.left(created(0))
    await asyncio.sleep(VALIDATION_PATIENCE + 1)
    assert patience.left(created(0, uid="another")) == VALIDATION_PATIENCE
