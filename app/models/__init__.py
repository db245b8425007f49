"""The API `dr.bkbcs.tencent.com/v1alpha1` as pydantic models, shared by the webhook service and the controller."""

from app.models.actions import Action, ActionType, ResourceOperation, Rollback
from app.models.base import API_VERSION, GROUP, VERSION, ApiModel
from app.models.common import CoreReference, ManifestRef, ObjectReference, Parameter
from app.models.execution import (
    ActionOutputs,
    ActionStatus,
    DRPlanExecution,
    DRPlanExecutionSpec,
    DRPlanExecutionStatus,
    ExecutionSummary,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.meta import Condition, ObjectMeta
from app.models.phases import (
    Mode,
    Operation,
    Phase,
    PlanPhase,
    PlanPolicy,
    StagePolicy,
    WorkflowPhase,
    WorkflowPolicy,
)
from app.models.plan import DRPlan, DRPlanSpec, DRPlanStatus, ExecutionRecord, Stage, WorkflowReference
from app.models.workflow import DRWorkflow, DRWorkflowSpec, DRWorkflowStatus

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "Action",
    "ActionOutputs",
    "ActionStatus",
    "ActionType",
    "ApiModel",
    "Condition",
    "CoreReference",
    "DRPlan",
    "DRPlanExecution",
    "DRPlanExecutionSpec",
    "DRPlanExecutionStatus",
    "DRPlanSpec",
    "DRPlanStatus",
    "DRWorkflow",
    "DRWorkflowSpec",
    "DRWorkflowStatus",
    "ExecutionRecord",
    "ExecutionSummary",
    "ManifestRef",
    "Mode",
    "ObjectMeta",
    "ObjectReference",
    "Operation",
    "Parameter",
    "Phase",
    "PlanPhase",
    "PlanPolicy",
    "ResourceOperation",
    "Rollback",
    "Stage",
    "StagePolicy",
    "StageStatus",
    "WorkflowExecutionStatus",
    "WorkflowPhase",
    "WorkflowPolicy",
    "WorkflowReference",
]
