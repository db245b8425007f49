"""What a run is made of, as stored with it: definitions and resolved parameters as of its start (invariant 6).

This is a format of our own, not of the API: it lives in the controller's namespace only. A value that came from a
Secret is never in it; where it is read from is (invariant 11).
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from app.models.base import ApiModel
from app.models.common import ManifestRef, ObjectReference
from app.models.dumping import dumped
from app.models.execution import DRPlanExecutionStatus, ResolvedParam
from app.models.health import PlanHealthChecks
from app.models.phases import Operation
from app.models.plan import DRPlanSpec
from app.models.revert_options import RevertOptions
from app.models.workflow import DRWorkflowSpec

FORMAT = 1


class WorkflowRun(ApiModel):
    """One use of a workflow within a stage."""

    namespace: str
    name: str
    params: dict[str, str] = Field(default_factory=dict)
    """Resolved parameters by name, without secret ones."""
    secret_params: dict[str, ManifestRef] = Field(default_factory=dict)
    """Parameters whose value is in a Secret, with the place to read it from."""

    @property
    def key(self) -> str:
        """`namespace/name` of the workflow."""
        return f"{self.namespace}/{self.name}"


class StageRun(ApiModel):
    """The workflows of one stage, in the plan's order."""

    name: str
    workflows: tuple[WorkflowRun, ...] = ()


class Target(ApiModel):
    """The Execute that a Revert takes back, as it stood when the Revert started (decision R2a)."""

    name: str
    uid: str
    status: DRPlanExecutionStatus
    has_snapshot: bool = True
    """False when the target left no snapshot: definitions and parameters are then the live ones."""
    unrecorded: bool = False
    """True when the target left no outcome record, so that `status` is only what its execution said (decision D11)."""
    differs: str = ""
    """How the target's own status differed from its record when the Revert started; empty when it did not."""


class Snapshot(ApiModel):
    """Everything a run needs besides its own status and journal."""

    format: int = FORMAT
    execution_name: str
    execution_namespace: str
    execution_uid: str
    execution_generation: int = 1
    operation: Operation
    mode: str
    """Lower-case mode of the run."""
    mode_assumed: bool = False
    """True when the execution names no mode and install was taken (decision P7)."""
    plan_name: str
    plan_uid: str = ""
    plan_spec: DRPlanSpec
    workflows: dict[str, DRWorkflowSpec] = Field(default_factory=dict)
    """Specs by `namespace/name`."""
    stages: tuple[StageRun, ...] = ()
    resolved_params: tuple[ResolvedParam, ...] = ()
    """The run's own parameters as its status shows them."""
    target: Target | None = None
    revert_options: RevertOptions | None = None
    in_order_of_work: bool = False
    """A Revert lists its parts in the reverse of the order in which they ran. Those of earlier releases did so in the
    reverse of the listed order, and a Revert that one of them began goes on so."""
    plan_generation: int = 0
    """Generation of the plan that `plan_spec` was taken from; 0 in snapshots of earlier releases."""
    health_check: PlanHealthChecks | None = None
    """What ends a Revert: the plan's checks as of its own start, because it is now that the system must work."""
    health_params: dict[str, str] = Field(default_factory=dict)
    """Parameters that health checks take, by name, without secret ones."""
    health_secrets: dict[str, ManifestRef] = Field(default_factory=dict)
    """Those whose value is in a Secret, with the place to read it from."""
    seal_key: str = ""
    """Secret of this run with which its statuses are sealed; empty in snapshots of earlier releases."""
    digest: str = Field("", exclude=True)
    """SHA-256 of the stored form; known once it is stored."""

    def workflow_of(self, reference: ObjectReference) -> DRWorkflowSpec | None:
        """Return the spec of a workflow that a status of this plan names; None when there is none."""
        return self.workflows.get("/".join(reference.key_in(self.execution_namespace)))

    def dump(self) -> dict[str, Any]:
        """Return the stored form: what users wrote stays distinguishable from what they did not."""
        return dumped(self, unset=True)

    @classmethod
    def load(cls, data: dict[str, Any]) -> Self:
        """Read the stored form. Raises `pydantic.ValidationError`."""
        return cls.model_validate(data)
