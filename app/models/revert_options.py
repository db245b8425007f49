"""How a Revert goes about it: what it does about absences, failures, collisions and targets without record."""

from __future__ import annotations

from enum import StrEnum

from app.models.base import ApiModel


class MissingResources(StrEnum):
    """What a Revert does about an object that is already gone (decision R5)."""

    FAIL = "Fail"
    IGNORE = "Ignore"


class RevertFailurePolicy(StrEnum):
    """What a Revert does after a failed action (decision R6)."""

    STOP = "Stop"
    CONTINUE = "Continue"


class Unrecorded(StrEnum):
    """What a Revert does about a target without outcome record where no admission has seen it (decision D11)."""

    REFUSE = "Refuse"
    USE_STATUS = "UseStatus"


class ConflictPolicy(StrEnum):
    """What a Revert does about a field that the run changed and that others changed since (decision R8)."""

    FAIL = "Fail"
    FORCE = "Force"
    KEEP = "Keep"


class RevertOptions(ApiModel):
    """How a Revert goes about its work."""

    missing_resources: MissingResources = MissingResources.FAIL
    """For an object that is gone, not by this run's own doing: Fail makes the action Failed, Ignore Succeeded."""
    failure_policy: RevertFailurePolicy = RevertFailurePolicy.STOP
    """After the first failed action: Stop skips the rest, Continue goes on. The execution ends Failed either way."""
    conflicts: ConflictPolicy = ConflictPolicy.FAIL
    """For a field that the run changed and that others changed since: Fail makes the action Failed and leaves the
    object as it is, Force puts back what was there before the run, Keep leaves what the others wrote. Fields that the
    run did not change always stay as they are."""
    unrecorded: Unrecorded = Unrecorded.REFUSE
    """For a target whose outcome the controller has not recorded, in an installation without admission: UseStatus
    takes the target's status for the truth. With admission, the rights of the Revert's creator decide."""
