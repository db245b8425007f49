"""Statuses as the Go operator stores them: only members and phases that its API has.

See contract: api 3.6 and 4, and decisions D1 and D2.

The way back needs it. The Go operator takes a phase that it does not know for one that has not ended, and runs the
plan again; what else it does not know it drops at its next write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

_Shape = Mapping[str, Any]
"""From a member to what its value may be: a shape, a list of one, a function that converts it, or None: anything."""


def _phase(value: Any) -> Any:  # noqa: ANN401  (stored data)
    return "Canceled" if value == "Cancelled" else value


def _cluster_phase(value: Any) -> Any:  # noqa: ANN401  (stored data)
    """Return the phase of a cluster, which is never Canceled there; `Failed` is what the Go operator writes."""
    return "Failed" if value in ("Cancelled", "Canceled") else value


def _members(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split())


_REFERENCE: Final[_Shape] = _members("name namespace")
_CORE_REFERENCE: Final[_Shape] = _members("apiVersion kind namespace name uid resourceVersion fieldPath")
_OUTPUTS: Final[_Shape] = {
    "jobRef": _CORE_REFERENCE,
    "localizationRef": _CORE_REFERENCE,
    "globalizationRef": _CORE_REFERENCE,
    "helmChartRef": _CORE_REFERENCE,
    "subscriptionRef": _CORE_REFERENCE,
    "resourceRef": _CORE_REFERENCE,
    "subscriptionRefs": [_CORE_REFERENCE],
    "httpResponse": _members("statusCode body"),
}
_ACTION: Final[_Shape] = {
    **_members("name startTime completionTime retryCount message"),
    "phase": _phase,
    "outputs": _OUTPUTS,
    "clusterStatuses": [
        {**_members("cluster clusterID startTime completionTime message"), "phase": _cluster_phase},
    ],
}
_WORKFLOW_RUN: Final[_Shape] = {
    **_members("startTime completionTime duration progress currentAction message"),
    "phase": _phase,
    "workflowRef": _REFERENCE,
    "actionStatuses": [_ACTION],
}
_STAGE: Final[_Shape] = {
    **_members("name parallel dependsOn startTime completionTime duration message"),
    "phase": _phase,
    "workflowExecutions": [_WORKFLOW_RUN],
}
_SUMMARY: Final[_Shape] = _members(
    "totalStages completedStages runningStages pendingStages failedStages "
    "totalWorkflows completedWorkflows runningWorkflows pendingWorkflows failedWorkflows"
)
_SHAPES: Final[Mapping[str, _Shape]] = {
    "DRWorkflow": _members("phase conditions observedGeneration"),
    "DRPlan": {
        **_members("phase conditions lastExecutionTime lastExecutionRef lastProcessedTrigger observedGeneration"),
        "currentExecution": _REFERENCE,
        "executionHistory": [
            {**_members("name namespace operationType startTime completionTime"), "phase": _phase},
        ],
    },
    "DRPlanExecution": {
        **_members("startTime completionTime message conditions"),
        "phase": _phase,
        "summary": _SUMMARY,
        "stageStatuses": [_STAGE],
    },
}


def earlier_status(kind: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a stored object of `kind` with nothing in it that the Go operator does not know."""
    converted = _converted(status, _SHAPES[kind])
    assert isinstance(converted, dict)
    return converted


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401  (stored data)
    """Yield what `earlier_status` changed, without indexes: `stageStatuses[].phase Cancelled to Canceled`, ..."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            here = f"{path}.{name}" if path else name
            if name in after:
                yield from differences(value, after[name], here)
            else:
                yield f"{here} removed"
    elif isinstance(before, list) and isinstance(after, list):
        for old, new in zip(before, after, strict=True):
            yield from differences(old, new, f"{path}[]")
    elif before != after:
        yield f"{path} {before} to {after}"


def _converted(value: Any, shape: Any) -> Any:  # noqa: ANN401  (stored data)
    convert: Callable[[Any], Any] | None = shape if callable(shape) else None
    if convert is not None:
        return convert(value)
    if isinstance(shape, Mapping) and isinstance(value, Mapping):
        return {name: _converted(item, shape[name]) for name, item in value.items() if name in shape}
    if isinstance(shape, list) and isinstance(value, list):
        return [_converted(item, shape[0]) for item in value]
    return value
