"""DRWorkflow: a reusable list of actions (contract: api 3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.models.actions import Action
from app.models.base import API_VERSION, MANY, MANY_ACTIONS, ApiModel, Int32, Int64, most
from app.models.common import Parameter
from app.models.meta import Condition, ObjectMeta
from app.models.phases import WorkflowPhase, WorkflowPolicy


class TtlStrategy(ApiModel):
    """Reserved."""

    seconds_after_completion: Int32 | None = None
    """Reserved."""
    seconds_after_success: Int32 | None = None
    """Reserved."""
    seconds_after_failure: Int32 | None = None
    """Reserved."""


class ArgoOptions(ApiModel):
    """Reserved for running a workflow by Argo."""

    namespace: str = ""
    """Reserved."""
    service_account_name: str = ""
    """Reserved."""
    ttl_strategy: TtlStrategy | None = None
    """Reserved."""


class Executor(ApiModel):
    """Reserved: which engine runs the workflow."""

    type: Literal["Native", "Argo"] = "Native"
    """Only Native runs today."""
    argo_options: ArgoOptions | None = None
    """Reserved."""


class DRWorkflowSpec(ApiModel):
    """What a workflow does."""

    executor: Executor | None = None
    """Reserved."""
    parameters: Annotated[tuple[Parameter, ...], most("maxItems", MANY)] = ()
    """Parameters the actions use, with their defaults."""
    actions: Annotated[tuple[Action, ...], Field(min_length=1), most("maxItems", MANY_ACTIONS)]
    """The actions: in list order, or as a graph when any has `dependsOn`."""
    failure_policy: WorkflowPolicy = WorkflowPolicy.FAIL_FAST
    """FailFast starts nothing more after a failed action, Continue runs what does not depend on it."""


class DRWorkflowStatus(ApiModel):
    """Whether the workflow can run."""

    phase: WorkflowPhase | None = None
    """Ready or Invalid; absent until the controller has looked at it."""
    conditions: tuple[Condition, ...] = ()
    """The condition `Ready` says why."""
    observed_generation: Int64 = 0
    """The generation that was validated."""
    action_count: Int32 = 0
    """Number of actions."""


class DRWorkflow(ApiModel):
    """A reusable list of actions."""

    api_version: str = API_VERSION
    kind: str = "DRWorkflow"
    metadata: ObjectMeta = ObjectMeta()
    spec: DRWorkflowSpec
    """What the workflow does."""
    status: DRWorkflowStatus = DRWorkflowStatus()
    """Whether it can run."""
