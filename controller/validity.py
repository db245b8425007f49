"""The condition `Ready`, which says whether a workflow or plan is valid (contract: lifecycle 4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from app.engine.conditions import set_condition
from app.models.base import ApiModel
from app.models.meta import Condition
from app.models.names import CONDITION_READY, CONDITION_SET_ASIDE
from app.rules.decode import UndecodableError, decode
from app.rules.findings import Report, refusal

M = TypeVar("M", bound=ApiModel)
_MESSAGE_LIMIT = 32 * 1024 - 64


def judge(model: type[M], stored: dict[str, Any], check: Callable[[M], Report]) -> Report:
    """Return what `check` says about a stored object; one that does not decode is refused for that."""
    try:
        decoded = decode(model, stored)
    except UndecodableError as error:
        return refusal("undecodable", "spec", str(error))
    return decoded if isinstance(decoded, Report) else check(decoded)


def ready_condition(
    conditions: tuple[Condition, ...], report: Report, kind: str, generation: int, at: datetime
) -> tuple[Condition, ...]:
    """Return `conditions` with `Ready` as the report of a `kind` ("Workflow" or "Plan") says."""
    conditions = tuple(condition for condition in conditions if condition.type != CONDITION_SET_ASIDE)
    if not report.stoppers:
        message = f"{kind} is valid and ready to execute"
        return set_condition(conditions, CONDITION_READY, "True", "ValidationSucceeded", message, at, generation)
    listed = "; ".join(finding.message for finding in report.stoppers)
    message = f"Validation failed: [{listed}]"[:_MESSAGE_LIMIT]
    return set_condition(conditions, CONDITION_READY, "False", "ValidationFailed", message, at, generation)
