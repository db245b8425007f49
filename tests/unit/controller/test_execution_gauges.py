"""What the metrics say about the executions that exist."""

from __future__ import annotations

from typing import Any

from controller.execution_gauges import ExecutionGauges, phase_of


class Kept:
    """A cache of fixed executions."""

    def __init__(self, *executions: dict[str, Any]) -> None:
        self._executions = list(executions)

    def subscribe(self, callback: Any) -> None:
        for execution in self._executions:
            callback("ADDED", None, execution)

    def items(self) -> list[dict[str, Any]]:
        return self._executions


def test_an_execution_that_nobody_has_touched_is_pending() -> None:
    assert phase_of({}) == "Pending"


def test_the_oldest_running_execution_is_shown_with_its_start() -> None:
    running = {
        "metadata": {"uid": "u", "name": "e", "creationTimestamp": "1970-01-01T00:00:01Z"},
        "spec": {"operationType": "Execute"},
        "status": {"phase": "Running", "startTime": "1970-01-01T00:00:07Z"},
    }
    families = {family.name: family for family in ExecutionGauges(Kept(running)).collect()}  # type: ignore[arg-type]
    (sample,) = families["drplan_oldest_execution_timestamp_seconds"].samples
    assert (sample.labels, sample.value) == ({"phase": "Running"}, 7.0)
