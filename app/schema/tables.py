"""What the models cannot say about the schema, by kind and path.

Defaults here are those the API server fills in (contract: api 3, 4 and 7). There is none inside a
Clusternet spec (decision W8), and none of a stage's `failurePolicy`, since the plan's policy of the moment counts
(decision P4).
"""

from __future__ import annotations

from typing import Final

Scalar = str | int | bool


def _parameter_defaults(*paths: str) -> dict[str, Scalar]:
    """Return the defaults of the parameters at these paths."""
    return {
        name: value
        for path in paths
        for name, value in ((f"{path}.type", "string"), (f"{path}.valueFrom.manifestRef.select", "Last"))
    }


_ACTION: Final = "spec.actions[]"

DEFAULTS: Final[dict[str, dict[str, Scalar]]] = {
    "DRWorkflow": {
        "spec.failurePolicy": "FailFast",
        "spec.executor.type": "Native",
        **_parameter_defaults("spec.parameters[]"),
        f"{_ACTION}.timeout": "5m",
        f"{_ACTION}.waitReady": False,
        f"{_ACTION}.clusterExecutionMode": "",
        f"{_ACTION}.retryPolicy.limit": 3,
        f"{_ACTION}.retryPolicy.interval": "5s",
        f"{_ACTION}.retryPolicy.backoffMultiplier": "2.0",
        f"{_ACTION}.http.method": "GET",
        f"{_ACTION}.localization.operation": "Create",
        f"{_ACTION}.globalization.operation": "Create",
        f"{_ACTION}.helmChart.operation": "Create",
        f"{_ACTION}.subscription.operation": "Create",
        f"{_ACTION}.resource.operation": "Create",
    },
    "DRPlan": {
        "spec.failurePolicy": "Stop",
        "spec.stages[].parallel": False,
        **_parameter_defaults("spec.globalParams[]", "spec.stages[].workflows[].params[]"),
    },
    "DRPlanExecution": _parameter_defaults("spec.params[]"),
}
"""Values the API server fills in where the parent object is given and the member is not."""

LIST_KEYS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "DRWorkflow": {"status.conditions": ("type",)},
    "DRPlan": {"status.conditions": ("type",)},
    "DRPlanExecution": {"status.conditions": ("type",)},
}
"""Arrays that are merged by key. All others are atomic."""

JOB_SPEC_PATHS: Final[dict[str, tuple[str, ...]]] = {"DRWorkflow": (f"{_ACTION}.job.template.spec",)}
"""Where the schema of batch/v1 JobSpec is put in."""
