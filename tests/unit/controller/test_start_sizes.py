"""What a start would record is measured before it is made into one text."""

from __future__ import annotations

from app.models.snapshot import Snapshot, StageRun, WorkflowRun
from controller.start.snapshot import MOST_PARAMETERS, _parameter_characters
from tests.unit.engine.runs import flow, snapshot_of, stage


def with_params(uses: int, value: str) -> Snapshot:
    used = WorkflowRun(namespace="ns", name="w", params={"p": value})
    return snapshot_of(stage("s", flow("a"))).model_copy(
        update={"stages": (StageRun(name="s", workflows=(used,) * uses),)}
    )


def test_parameters_count_once_for_each_use() -> None:
    assert _parameter_characters(with_params(3, "four")) == 15
    assert _parameter_characters(with_params(1_300, "x" * 800_000)) > MOST_PARAMETERS
