"""Keys in the metadata of objects, and other constant strings that users see (contract: api 5)."""

from __future__ import annotations

from typing import Final

from app.models.base import GROUP

FINALIZER: Final = f"{GROUP}/execution-finalizer"
CANCEL_ANNOTATION: Final = f"{GROUP}/cancel"
RESUME_ANNOTATION: Final = f"{GROUP}/resume"
START_RESTORED_ANNOTATION: Final = f"{GROUP}/start-restored"
ADOPTED_ANNOTATION: Final = f"{GROUP}/adopted-uid"
"""The uid of the execution when the controller first saw it: on an object restored from a backup it is another one."""
UNRECORDED_ANNOTATION: Final = f"{GROUP}/unrecorded-revert"
"""What admission found about the target of a Revert; users cannot set it."""
PLAN_LABEL: Final = f"{GROUP}/plan"
OPERATION_LABEL: Final = f"{GROUP}/operation"
EXECUTION_LABEL: Final = f"{GROUP}/execution"
EXECUTION_UID_LABEL: Final = f"{GROUP}/execution-uid"
ACTION_LABEL: Final = f"{GROUP}/action"
IDENTITY_ANNOTATION: Final = f"{GROUP}/identity"
TTL_ANNOTATION: Final = f"{GROUP}/ttl-seconds-after-finished"
"""On a Job that an action made: its `ttlSecondsAfterFinished`, which is put on once the action's end is recorded."""
FIELD_MANAGER: Final = "drplan-controller"
DEFAULT_NAMESPACE: Final = "default"
CONDITION_READY: Final = "Ready"
CONDITION_AUTHORIZED: Final = "Authorized"
"""Of a plan: whether the controller has the rights that its actions and their rollbacks need."""
CONDITION_SET_ASIDE = "SetAside"
"""The controller fails at this object and leaves it alone until it changes."""
