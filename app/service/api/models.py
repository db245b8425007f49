"""What the API answers, as pydantic models; members are camelCase on the wire, as in the CRDs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.models.base import ApiModel, Time
from app.models.execution import DRPlanExecutionStatus
from app.models.meta import Condition
from app.models.plan import ExecutionRecord


class Cause(ApiModel):
    """One thing that is wrong with a request."""

    field: str
    """Name of the parameter."""
    message: str
    """What was found and what is accepted."""


class Details(ApiModel):
    """More about an error."""

    causes: tuple[Cause, ...] = ()
    """Everything that is wrong."""
    retry_after_seconds: int | None = None
    """After how many seconds to try again."""


class ErrorStatus(ApiModel):
    """Every error has this shape, that of the Kubernetes API."""

    kind: str = "Status"
    """`Status`."""
    api_version: str = "v1"
    """`v1`."""
    status: str = "Failure"
    """`Failure`."""
    code: int
    """The HTTP status."""
    reason: str
    """One CamelCase word for programs."""
    message: str
    """What is wrong, and what to do."""
    details: Details | None = None
    """More about it."""


class ListMetadata(ApiModel):
    """Where a page stands in its list."""

    continue_: Annotated[str | None, Field(alias="continue")] = None
    """Token for the parameter `continue`, which gets the next page; absent on the last one."""
    remaining_item_count: int | None = None
    """How many items follow this page; absent where that is not known, and 0 on the last one."""


class PlanItem(ApiModel):
    """A plan in short."""

    namespace: str
    """Namespace of the plan."""
    name: str
    """Name of the plan."""
    uid: str
    """UID of the plan."""
    created: Time | None = None
    """When it was created."""
    description: str = ""
    """Its own words."""
    phase: str = ""
    """Ready, Executed or Invalid; empty until the controller has looked at it."""
    message: str = ""
    """Why it is ready or not."""
    last_execution_ref: str = ""
    """Name of the last successful execution."""
    last_execution_time: Time | None = None
    """When that ended."""
    current_execution: str = ""
    """Name of the execution that runs now."""


class PlanList(ApiModel):
    """Plans by namespace and name."""

    metadata: ListMetadata
    """Where this page stands."""
    items: tuple[PlanItem, ...]
    """The plans."""


class PlanStage(ApiModel):
    """A stage of a plan, without the values of parameters."""

    name: str
    """Name of the stage."""
    description: str = ""
    """Its own words."""
    depends_on: tuple[str, ...] = ()
    """Stages it waits for."""
    parallel: bool = False
    """Whether its workflows run at the same time."""
    failure_policy: str = ""
    """Its own failure policy; empty: the plan's."""
    workflows: tuple[str, ...]
    """Its workflows as `namespace/name`."""


class PlanDetail(PlanItem):
    """A plan: what it does, and what became of it."""

    failure_policy: str = ""
    """What follows a failed stage."""
    stages: tuple[PlanStage, ...]
    """The stages."""
    conditions: tuple[Condition, ...] = ()
    """The conditions of the plan."""
    execution_history: tuple[ExecutionRecord, ...] = ()
    """The last ten runs; `/history` has all that are known."""


class ExecutionItem(ApiModel):
    """An execution in short."""

    namespace: str
    """Namespace of the execution."""
    name: str
    """Name of the execution."""
    uid: str = ""
    """UID of the execution."""
    created: Time
    """When it was created. Lists are sorted and filtered by it."""
    plan: str
    """Name of the plan."""
    operation_type: str
    """Execute or Revert."""
    mode: str = ""
    """Mode of an Execute."""
    revert_execution_ref: str = ""
    """What a Revert takes back."""
    phase: str
    """How far it got."""
    progress: str = ""
    """Actions that have ended of all actions."""
    start_time: Time | None = None
    """When it took the plan."""
    completion_time: Time | None = None
    """When it ended."""
    duration: str = ""
    """From start to end."""
    message: str = ""
    """How it stands, or how it ended."""
    reverted_by: str = ""
    """The Revert that took it back."""


class ExecutionList(ApiModel):
    """Executions, newest first."""

    metadata: ListMetadata
    """Where this page stands."""
    items: tuple[ExecutionItem, ...]
    """The executions."""


class HistoryItem(ExecutionItem):
    """One run of a plan."""

    exists: bool
    """False when the execution is gone and only the plan's own record is left; `created` is then its start."""


class History(ApiModel):
    """All known runs of a plan, newest first."""

    plan: str
    """Name of the plan."""
    plan_exists: bool
    """False when the plan is gone, but executions of it are not."""
    metadata: ListMetadata
    """Where this page stands."""
    items: tuple[HistoryItem, ...]
    """The runs."""


class ExecutionDetail(ExecutionItem):
    """An execution with its whole record."""

    status: DRPlanExecutionStatus
    """The status of the object, as stored: every stage, workflow and action."""


class TimelineEntry(ApiModel):
    """One thing that happened."""

    time: Time | None = None
    """When. Absent where the record does not say (skipped parts, repeats that are over); the place tells then."""
    level: str
    """plan, stage, workflow or action."""
    event: str
    """created, started, retried, scheduled, finished or skipped."""
    stage: str = ""
    """Name of the stage."""
    workflow: str = ""
    """The workflow as `namespace/name`."""
    workflow_index: int | None = None
    """Its place in the stage, from 0: a stage may use a workflow twice."""
    action: str = ""
    """Name of the action."""
    phase: str = ""
    """The phase that the part is in since."""
    duration: str = ""
    """From its start to its end, for `finished`."""
    retries: int | None = None
    """How many attempts followed the first, for `retried`."""
    due: Time | None = None
    """When the next attempt is to be made, for `scheduled`: the only time that may lie ahead."""
    message: str = ""
    """The record's own words."""


class ActionFact(ApiModel):
    """An action that matters."""

    stage: str
    """Name of the stage."""
    workflow: str
    """The workflow as `namespace/name`."""
    action: str
    """Name of the action."""
    phase: str
    """How far it got."""
    duration: str = ""
    """How long it took."""
    message: str = ""
    """The record's own words."""


class Facts(ApiModel):
    """What stands out in a run, computed from its record."""

    waited: str = ""
    """From creation to start."""
    duration: str = ""
    """From start to end."""
    idle: str = ""
    """Time between start and end in which no action ran; whole seconds, as the record has them."""
    actions: int
    """How many actions there are."""
    ended_actions: int
    """How many of them have ended."""
    retries: int
    """Attempts beyond each action's first, all together."""
    first_failure: ActionFact | None = None
    """The action that failed first."""
    running: tuple[ActionFact, ...] = ()
    """What runs now."""
    longest_actions: tuple[ActionFact, ...] = ()
    """The five that took longest."""


class Timeline(ApiModel):
    """What happened in a run, in order."""

    execution: ExecutionItem
    """The execution."""
    facts: Facts
    """What stands out."""
    entries: tuple[TimelineEntry, ...]
    """What happened, earliest first."""
