"""DRPlanExecution: one run of a plan, and its record (contract: api 4.3 to 4.6)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, model_validator

from app.models.base import API_VERSION, MANY, ApiModel, Int32, Int64, MicroTime, Time, most
from app.models.common import CoreReference, ObjectReference, Parameter
from app.models.earlier_words import translated
from app.models.meta import Condition, ObjectMeta
from app.models.phases import EXECUTION_PHASES, NODE_PHASES, Mode, Operation, Phase
from app.models.revert_options import RevertOptions


def _phase_schema(values: tuple[str, ...]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(values)})


ExecutionPhase = Annotated[Phase, _phase_schema(EXECUTION_PHASES)]
NodePhase = Annotated[Phase, _phase_schema(NODE_PHASES)]


class DRPlanExecutionSpec(ApiModel):
    """What is run. Immutable."""

    plan_ref: str
    """Name of a DRPlan in the same namespace."""
    operation_type: Operation
    """Execute runs the plan, Revert takes an Execute back."""
    mode: Mode | None = None
    """Selects actions by their `when`. Ignored by a Revert, whose mode is always rollback."""
    revert_execution_ref: str = ""
    """Name of the Execute execution to take back; required for Revert."""
    params: Annotated[tuple[Parameter, ...], most("maxItems", MANY)] = ()
    """Parameters with the highest priority."""
    revert_options: RevertOptions | None = None
    """Settings of a Revert."""


class HttpResponse(ApiModel):
    """What an HTTP action was answered."""

    status_code: int
    """HTTP status code."""
    body: str = ""
    """The first 1000 bytes of the body, cut at a character."""


class ActionOutputs(ApiModel):
    """What an action made or was told."""

    job_ref: CoreReference | None = None
    """The Job."""
    localization_ref: CoreReference | None = None
    """The Localization."""
    globalization_ref: CoreReference | None = None
    """The Globalization."""
    helm_chart_ref: CoreReference | None = None
    """The HelmChart."""
    subscription_ref: CoreReference | None = None
    """The Subscription."""
    subscription_refs: tuple[CoreReference, ...] = ()
    """The child Subscriptions of a PerCluster action."""
    resource_ref: CoreReference | None = None
    """The first object of the manifest."""
    resource_refs: tuple[CoreReference, ...] = ()
    """Every object of a manifest with several documents, in their order."""
    expiring: tuple[str, ...] = ()
    """UIDs of the Jobs among them that their ttlSecondsAfterFinished removes."""
    http_response: HttpResponse | None = None
    """The last answer."""
    warnings: tuple[str, ...] = ()
    """What the API server warned of, the first three."""


class ClusterActionStatus(ApiModel):
    """One cluster's part of a PerCluster action."""

    cluster: str
    """`namespace/name` of the ManagedCluster."""
    cluster_id: Annotated[str, Field(alias="clusterID")]
    """Clusternet's id of the cluster once known, else the same as `cluster`."""
    phase: NodePhase
    """How far it got."""
    start_time: Time | None = None
    """When it started."""
    completion_time: Time | None = None
    """When it ended."""
    message: str = ""
    """Details."""


class FieldConflict(ApiModel):
    """A field that a run changed and that others changed since, so that taking it back would take theirs away too.

    Values are JSON, cut at 100 characters, `***` where they may come from a Secret; an absent one means that the field
    was not there.
    """

    object: str
    """Kind, namespace and name of the object."""
    path: str
    """The field, such as `spec.template.spec.containers[name=app].image`."""
    was: str = ""
    """The value before the run."""
    wrote: str = ""
    """The value that the run wrote."""
    now: str = ""
    """The value that is there."""
    changed_by: str = ""
    """The field managers that own it now."""


class NodeStatus(ApiModel):
    """What the statuses of stages, workflows and actions have in common: how they are read."""

    @model_validator(mode="before")
    @classmethod
    def _translated(cls, node: Any) -> Any:  # noqa: ANN401  (stored data)
        return translated(node)


class ActionStatus(NodeStatus):
    """One action of a run."""

    name: str
    """Name of the action."""
    type: str = ""
    """Type of the action."""
    phase: NodePhase
    """How far it got."""
    start_time: Time | None = None
    """When its first attempt started."""
    completion_time: Time | None = None
    """When it ended."""
    failure_time: MicroTime | None = None
    """When it failed, to the microsecond: what failed first is named as the cause."""
    duration: str = ""
    """From start to end, as Go duration text."""
    attempt: Int32 = 0
    """Number of the latest attempt, from 1."""
    retry_count: Int32 = 0
    """Attempts after the first."""
    interruptions: Int32 = 0
    """How often the controller was ended while this attempt was under way; the third time it is given up."""
    next_attempt_time: MicroTime | None = None
    """When a failed attempt is repeated, not sooner."""
    last_failure: str = ""
    """While the action goes on: why its latest failed attempt failed."""
    reason: str = ""
    """Why it failed, was skipped or was cut short, as a word of a closed list: see docs/api.md, Reasons."""
    undecided: bool = False
    """True: nobody knows whether the attempt had its effect, which must not be had twice; an operator is asked."""
    again: bool = False
    """True: an operator said that it is to be done again, whatever became of the attempt before."""
    message: str = ""
    """Details."""
    outputs: ActionOutputs | None = None
    """What it made or was told."""
    cluster_statuses: tuple[ClusterActionStatus, ...] = ()
    """PerCluster actions: each cluster."""
    rolled_back_by: str = ""
    """The Revert that took this action back."""
    conflicts: tuple[FieldConflict, ...] = ()
    """Of a Revert: fields that others changed since the run, the first ten."""


class ResolvedParam(ApiModel):
    """A parameter as the run uses it."""

    name: str
    """Name of the parameter."""
    value: str = ""
    """Its value; `***` when it came from a Secret."""


class WorkflowExecutionStatus(NodeStatus):
    """One workflow of a stage."""

    workflow_ref: ObjectReference
    """The workflow."""
    phase: NodePhase
    """How far it got."""
    start_time: Time | None = None
    """When its first action started."""
    completion_time: Time | None = None
    """When it ended."""
    failure_time: MicroTime | None = None
    """When it failed, to the microsecond: what failed first is named as the cause."""
    duration: str = ""
    """From start to end, as Go duration text."""
    progress: str = ""
    """`N/M actions completed`, or `N/M actions rolled back`: how many of all succeeded."""
    current_action: str = ""
    """The action that runs now."""
    reason: str = ""
    """Why it failed, was skipped or was cut short, as a word of a closed list: see docs/api.md, Reasons."""
    message: str = ""
    """Details."""
    resolved_params: tuple[ResolvedParam, ...] = ()
    """Parameters of this use of the workflow that differ from the run's."""
    action_statuses: tuple[ActionStatus, ...] = ()
    """Its actions, in definition order; of a Revert, in the order of the work."""


class StageStatus(NodeStatus):
    """One stage of a run."""

    name: str
    """Name of the stage."""
    phase: NodePhase
    """How far it got."""
    parallel: bool = False
    """Whether its workflows run at the same time."""
    depends_on: tuple[str, ...] = ()
    """Stages it waits for."""
    start_time: Time | None = None
    """When its first workflow started."""
    completion_time: Time | None = None
    """When it ended."""
    failure_time: MicroTime | None = None
    """When it failed, to the microsecond: what failed first is named as the cause."""
    duration: str = ""
    """From start to end, as Go duration text."""
    reason: str = ""
    """Why it failed, was skipped or was cut short, as a word of a closed list: see docs/api.md, Reasons."""
    message: str = ""
    """Details."""
    workflow_executions: tuple[WorkflowExecutionStatus, ...] = ()
    """Its workflows, in definition order; of a Revert, in the order of the work."""


class HealthCheckStatus(ApiModel):
    """One health check of a run."""

    name: str
    """Name of the check."""
    stage: str = ""
    """The stage that it ends; empty when it ends the run."""
    type: str = ""
    """HTTP or Resources."""
    phase: NodePhase
    """How far it got."""
    attempt: Int32 = 0
    """How many attempts were made."""
    failed_attempts: Int32 = 0
    """How many of them found it not healthy."""
    start_time: Time | None = None
    """When it began."""
    completion_time: Time | None = None
    """When it ended."""
    failure_time: MicroTime | None = None
    """When it failed, to the microsecond: what failed first is named as the cause."""
    duration: str = ""
    """From start to end, as Go duration text."""
    last_attempt_time: MicroTime | None = None
    """When the latest attempt ended."""
    next_attempt_time: MicroTime | None = None
    """When the next attempt is made, not sooner."""
    healthy_since: MicroTime | None = None
    """The first of the answers since which every one was good; absent while the latest was not."""
    last_answer: str = ""
    """What the latest attempt found."""
    reason: str = ""
    """Why it has its phase: `HealthCheckFailed`, or why it was not made or not made to its end."""
    message: str = ""
    """Details."""


class ExecutionSummary(ApiModel):
    """Counts; those of one level add up to its total.

    `completed*` of stages and workflows counts Succeeded ones only, as the Go operator did; `completedActions` counts
    every action that has ended (decision D2).
    """

    total_stages: int = 0
    """All stages."""
    completed_stages: int = 0
    """Stages that succeeded."""
    running_stages: int = 0
    """Stages that run now."""
    pending_stages: int = 0
    """Stages that have not begun."""
    failed_stages: int = 0
    """Stages that failed."""
    succeeded_stages: int = 0
    """Stages that succeeded."""
    skipped_stages: int = 0
    """Stages that were skipped."""
    cancelled_stages: int = 0
    """Stages that were cut short."""
    total_workflows: int = 0
    """All workflows."""
    completed_workflows: int = 0
    """Workflows that succeeded."""
    running_workflows: int = 0
    """Workflows that run now."""
    pending_workflows: int = 0
    """Workflows that have not begun."""
    failed_workflows: int = 0
    """Workflows that failed."""
    skipped_workflows: int = 0
    """Workflows that were skipped."""
    cancelled_workflows: int = 0
    """Workflows that were cut short."""
    total_actions: int = 0
    """All actions."""
    completed_actions: int = 0
    """Actions that have ended, however."""
    succeeded_actions: int = 0
    """Actions that succeeded."""
    failed_actions: int = 0
    """Actions that failed."""
    skipped_actions: int = 0
    """Actions that were skipped."""
    cancelled_actions: int = 0
    """Actions that were cut short."""
    running_actions: int = 0
    """Actions that run now."""
    pending_actions: int = 0
    """Actions that have not begun."""


class DRPlanExecutionStatus(ApiModel):
    """The record of a run."""

    phase: Annotated[ExecutionPhase | None, _phase_schema(EXECUTION_PHASES)] = None
    """Pending, Running, Succeeded, Failed, Cancelled or Unknown; absent means not started."""
    start_time: Time | None = None
    """When the run took the plan."""
    completion_time: Time | None = None
    """When it ended."""
    duration: str = ""
    """From start to end, as Go duration text."""
    reason: str = ""
    """Why it failed, was cancelled or stands still: the reason of the condition that says so."""
    message: str = ""
    """Details."""
    progress: str = ""
    """Actions that succeeded of all actions, such as `12/40`."""
    summary: ExecutionSummary | None = None
    """Counts."""
    stage_statuses: tuple[StageStatus, ...] = ()
    """Every stage; of a Revert, in the order of the work."""
    health_checks: tuple[HealthCheckStatus, ...] = ()
    """Every health check: those of stages in the plan's order, then those that end the run."""
    conditions: tuple[Condition, ...] = ()
    """`Started`, `Complete`, `Completed`, `Failed` and `Cancelled`, for `kubectl wait`."""
    observed_generation: Int64 = 0
    """The generation that is run."""
    resolved_params: tuple[ResolvedParam, ...] = ()
    """The parameters of the run, as resolved at its start."""
    journal_sequence: Int64 = 0
    """The last journalled event that this status includes."""
    reverted_by: str = ""
    """The Revert that took this run back."""
    seal: str = ""
    """While the run goes on: shows the controller that it wrote this status itself."""

    @property
    def has_ended(self) -> bool:
        """True when the run is over."""
        return self.phase is not None and self.phase.is_final


class DRPlanExecution(ApiModel):
    """One run of a plan."""

    api_version: str = API_VERSION
    kind: str = "DRPlanExecution"
    metadata: ObjectMeta = ObjectMeta()
    spec: DRPlanExecutionSpec
    """What is run."""
    status: DRPlanExecutionStatus = DRPlanExecutionStatus()
    """What became of it."""

    @property
    def phase(self) -> Phase:
        """The phase; Pending when none is written yet."""
        return self.status.phase or Phase.PENDING


def execution_status_from_wire(data: dict[str, Any] | None) -> DRPlanExecutionStatus:
    """Decode a stored status; an absent one is empty. Those of the Go operator, with fields missing, decode too."""
    return DRPlanExecutionStatus.from_wire(data or {})
