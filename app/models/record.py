"""What became of a run, as kept in the controller's namespace: the ground that a Revert stands on (decision D11).

Namespace users may be able to write statuses, so a Revert does not believe them. These are formats of our own, not of
the API; both are written once and never changed.
"""

from __future__ import annotations

from typing import Any, Self

from app.models.base import ApiModel
from app.models.dumping import dumped
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Operation

RECORD_FORMAT = 1


class _Kept(ApiModel):
    def dump(self) -> dict[str, Any]:
        """Return the stored form."""
        return dumped(self)

    @classmethod
    def load(cls, data: dict[str, Any]) -> Self:
        """Read the stored form. Raises `pydantic.ValidationError`."""
        return cls.model_validate(data)


class OutcomeRecord(_Kept):
    """How a run ended. `status` is the one that its execution was given at the end."""

    format: int = RECORD_FORMAT
    execution_name: str
    execution_namespace: str
    execution_uid: str
    operation: Operation
    plan_name: str
    snapshot_digest: str = ""
    """SHA-256 of the run's snapshot as stored; empty for a run without one."""
    status: DRPlanExecutionStatus


class TakenBack(_Kept):
    """What one Revert took back of a run; belongs to the run that was taken back, and outlives the Revert."""

    format: int = RECORD_FORMAT
    revert_name: str
    revert_uid: str
    whole: bool = False
    """Whether the Revert succeeded, so that the whole run counts as taken back."""
    actions: tuple[tuple[int, int, int], ...] = ()
    """Stage, workflow and action, as indexes into the lists of the run's status."""
