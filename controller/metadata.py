"""Metadata that the controller puts on executions: finalizer, labels, the mark that it was here (decisions D5, D9)."""

from __future__ import annotations

from typing import Any

from app.engine.names import label_value
from app.models.execution import DRPlanExecution
from app.models.names import ADOPTED_ANNOTATION, FINALIZER, OPERATION_LABEL, PLAN_LABEL, RESUME_ANNOTATION
from app.rules.unfinished import comes_from_backup


def missing_metadata(execution: DRPlanExecution) -> dict[str, Any] | None:
    """Return the merge patch that gives an execution its finalizer, labels and mark; None when it has them.

    The patch carries the resourceVersion: finalizers are a list, which a merge patch replaces whole.
    """
    metadata = execution.metadata
    labels = {
        PLAN_LABEL: label_value(execution.spec.plan_ref),
        OPERATION_LABEL: execution.spec.operation_type.value,
    }
    is_labelled = all(metadata.labels.get(key) == value for key, value in labels.items())
    if FINALIZER in metadata.finalizers and is_labelled and ADOPTED_ANNOTATION in metadata.annotations:
        return None
    finalizers = [*metadata.finalizers, *(() if FINALIZER in metadata.finalizers else (FINALIZER,))]
    return {
        "metadata": {
            "resourceVersion": metadata.resource_version,
            "finalizers": finalizers,
            "labels": labels,
            "annotations": {ADOPTED_ANNOTATION: metadata.uid},
        }
    }


def without_finalizer(execution: DRPlanExecution) -> dict[str, Any]:
    """Return the merge patch that takes the finalizer off."""
    kept = [name for name in execution.metadata.finalizers if name != FINALIZER]
    return {"metadata": {"resourceVersion": execution.metadata.resource_version, "finalizers": kept}}


def without_resume(execution: DRPlanExecution) -> dict[str, Any]:
    """Return the merge patch that takes the resume annotation off: one answer serves one question."""
    return {
        "metadata": {
            "resourceVersion": execution.metadata.resource_version,
            "annotations": {RESUME_ANNOTATION: None},
        }
    }


def restored_from_backup(execution: DRPlanExecution) -> bool:
    """Tell whether an execution that has not started was created with our finalizer on it (decision D9)."""
    metadata = execution.metadata
    return comes_from_backup(metadata.uid, metadata.finalizers, metadata.annotations)
