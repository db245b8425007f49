"""DRPlan: stages of workflows (contract: api 4.1 and 4.2)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.models.base import API_VERSION, MANY, ApiModel, DependsOn, Int64, Name, Time, most
from app.models.common import ObjectReference, Parameter
from app.models.health import HealthChecks, PlanHealthChecks
from app.models.meta import Condition, ObjectMeta
from app.models.phases import PlanPhase, PlanPolicy, StagePolicy

HISTORY_LIMIT = 10
"""Most records in `status.executionHistory` (decision D7)."""


class WorkflowReference(ApiModel):
    """A workflow within a stage."""

    workflow_ref: ObjectReference
    """The workflow; the plan's namespace when it names none."""
    params: Annotated[tuple[Parameter, ...], most("maxItems", MANY)] = ()
    """Parameters for this use of the workflow; they win over the plan's."""


class Stage(ApiModel):
    """A step of a plan."""

    name: Name
    """Name, unique within the plan."""
    description: str = ""
    """Free text."""
    depends_on: DependsOn = ()
    """Stages that must be done first."""
    parallel: bool = False
    """True: the workflows run at the same time, else one after another."""
    workflows: Annotated[tuple[WorkflowReference, ...], Field(min_length=1), most("maxItems", MANY)]
    """What the stage runs."""
    failure_policy: StagePolicy | None = None
    """What a failed workflow means: Stop starts nothing more in the whole plan, Continue lets everything go on that
    does not depend on it, FailFast starts no further workflow of this stage and leaves the rest to the plan's policy.
    When absent, the plan's policy of the moment counts."""
    health_check: HealthChecks | None = None
    """What must be healthy once the workflows of the stage are done, before the stage succeeds. Of an Execute only."""


class DRPlanSpec(ApiModel):
    """What a plan does."""

    description: str = ""
    """Free text."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1), most("maxItems", MANY)]
    """The stages: in list order as soon as what they depend on is done."""
    global_params: Annotated[tuple[Parameter, ...], most("maxItems", MANY)] = ()
    """Parameters for all workflows."""
    failure_policy: PlanPolicy = PlanPolicy.STOP
    """Stop starts nothing more after a failed stage, Continue goes on with stages that do not depend on it."""
    max_parallel_stages: Annotated[int, Field(ge=1, json_schema_extra={"format": "int32"})] | None = None
    """How many stages may run at the same time; 1 when absent."""
    health_check: PlanHealthChecks | None = None
    """What must be healthy before a Revert succeeds, and with `onExecute` an Execute. Without it a Revert ends without
    proof that the system works."""


class CurrentExecution(ApiModel):
    """The lock: the execution that owns the plan."""

    name: str
    """Name of the execution."""
    namespace: str = ""
    """Namespace of the execution."""
    uid: str = ""
    """UID of the execution, so that a new one of the same name is not mistaken for it."""


class ExecutionRecord(ApiModel):
    """One run in the plan's history. It outlives the execution."""

    name: str
    """Name of the execution."""
    namespace: str
    """Namespace of the execution."""
    uid: str = ""
    """UID of the execution."""
    operation_type: str
    """Execute or Revert."""
    phase: str = ""
    """Running, then the phase the run ended with."""
    start_time: Time | None = None
    """When the run took the plan."""
    completion_time: Time | None = None
    """When the run ended."""
    message: str = ""
    """How the run ended."""
    reverted_by: str = ""
    """The Revert that took this run back."""


class DRPlanStatus(ApiModel):
    """Whether a plan can run, what runs now and what ran before."""

    phase: PlanPhase | None = None
    """Ready, Executed (the last successful operation was an Execute) or Invalid."""
    conditions: tuple[Condition, ...] = ()
    """The condition `Ready` says whether the plan is valid, and why not."""
    last_execution_time: Time | None = None
    """When the last successful execution ended."""
    last_execution_ref: str = ""
    """Name of the last successful execution, Execute or Revert."""
    last_execution_operation: str = ""
    """What the last successful execution was: Execute or Revert. The history may no longer have it."""
    current_execution: CurrentExecution | None = None
    """The execution that runs now."""
    last_processed_trigger: str = ""
    """Unused; kept for stored objects."""
    execution_history: Annotated[tuple[ExecutionRecord, ...], Field(max_length=HISTORY_LIMIT)] = ()
    """The last ten runs, newest first."""
    observed_generation: Int64 = 0
    """The generation that was validated."""


class DRPlan(ApiModel):
    """A disaster-recovery plan: stages of workflows."""

    api_version: str = API_VERSION
    kind: str = "DRPlan"
    metadata: ObjectMeta = ObjectMeta()
    spec: DRPlanSpec
    """What the plan does."""
    status: DRPlanStatus = DRPlanStatus()
    """What became of it."""
