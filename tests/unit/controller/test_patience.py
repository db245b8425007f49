"""Waiting for a plan's validation goes by what the controller sees, not by the API server's clock against its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from app.models.execution import DRPlanExecution
from controller.inheritance import Inheritance
from controller.reconcilers.execution import ExecutionReconciler
from controller.reconcilers.patience import VALIDATION_PATIENCE
from controller.reconcilers.starting import Starting
from controller.runs import Runs
from controller.services import Services
from controller.start import StartRefusedError

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


@pytest.fixture
def reconciler(monkeypatch: pytest.MonkeyPatch) -> ExecutionReconciler:
    services = SimpleNamespace(now=lambda: datetime.now(UTC))
    made = ExecutionReconciler(
        cast("Services", services), cast("Runs", SimpleNamespace()), cast("Inheritance", SimpleNamespace()), Starting()
    )

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(made, "_wait", nothing)
    return made


@pytest.mark.parametrize("seconds_ago", [-3600.0, -70.0, 0.0, 70.0, 86_400.0])
async def test_clocks_that_differ_leave_the_whole_time(reconciler: ExecutionReconciler, seconds_ago: float) -> None:
    execution = created(seconds_ago)
    assert await reconciler._wait_for_validation(execution) == 2.0
    await asyncio.sleep(VALIDATION_PATIENCE - 1)
    assert await reconciler._wait_for_validation(execution) == pytest.approx(1.0)
    await asyncio.sleep(1.1)
    with pytest.raises(StartRefusedError, match="was not validated within 60 s"):
        await reconciler._wait_for_validation(execution)


async def test_another_execution_of_the_name_waits_for_itself(reconciler: ExecutionReconciler) -> None:
    await reconciler._wait_for_validation(created(0))
    await asyncio.sleep(VALIDATION_PATIENCE + 1)
    assert await reconciler._wait_for_validation(created(0, uid="another")) == 2.0
