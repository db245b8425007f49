"""What the API knows but this release does not run yet: refused where it would change what happens.

Where such a member has no effect (the Go operator ignored it on that type, too), it draws a warning instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.text import short
from app.models.actions import Action, ActionBody, ActionType, ResourceOperation, block_of, operation_of
from app.models.execution import DRPlanExecution
from app.models.phases import Mode, Operation
from app.models.workflow import DRWorkflow
from app.rules.actions.conditions import modes_of, takes_part
from app.rules.findings import Spot

ROLLBACK_HOOKS = ("pre-rollback", "post-rollback")
_CLUSTERNET = (
    ActionType.LOCALIZATION,
    ActionType.GLOBALIZATION,
    ActionType.HELM_CHART,
    ActionType.SUBSCRIPTION,
)


def check_wait_ready(spot: Spot, body: ActionBody, type_: ActionType) -> None:
    """Rule U1: Subscriptions cannot be waited for yet. `spot` is the action or rollback."""
    if type_ is ActionType.SUBSCRIPTION and body.wait_ready:
        text = (
            "waitReady of Subscription actions is not supported yet: "
            "remove it, the action then succeeds once the Subscription is stored"
        )
        spot.error("U1", text, "waitReady", found="true")


def check_cluster_mode(spot: Spot, action: Action) -> None:
    """Rule U2: PerCluster does not run yet. `spot` is the action."""
    if action.cluster_execution_mode != "PerCluster":
        return
    if action.type is ActionType.SUBSCRIPTION:
        text = "clusterExecutionMode PerCluster is not supported yet: use Global, or leave it out"
        spot.error("U2", text, "clusterExecutionMode", found="PerCluster")
    else:
        text = f"clusterExecutionMode PerCluster has no effect on {action.type} actions"
        spot.warn("N12", text, "clusterExecutionMode")


def check_hooks(spot: Spot, action: Action) -> None:
    """Rules U3 and U4: rollback hooks and hookCleanup do not run yet. `spot` is the action."""
    if action.hook_type in ROLLBACK_HOOKS:
        text = f"hookType {action.hook_type} is not supported yet: put what it does into the rollback of an action"
        spot.error("U3", text, "hookType", found=action.hook_type)
    cleanup = action.hook_cleanup
    if cleanup is None:
        return
    asked = [
        member
        for member, wanted in (
            ("beforeCreate", cleanup.before_create),
            ("onSuccess", cleanup.on_success),
            ("onFailure", cleanup.on_failure),
        )
        if wanted
    ]
    if asked and action.type is ActionType.SUBSCRIPTION:
        text = f"hookCleanup ({', '.join(asked)}) is not supported yet: delete the Subscription by an action of its own"
        spot.error("U4", text, "hookCleanup", found=", ".join(asked))
    elif asked:
        spot.warn("N13", f"hookCleanup has no effect on {action.type} actions", "hookCleanup")


def check_engine(spot: Spot, workflow: DRWorkflow) -> None:
    """Rule U5: only the native engine runs workflows. `spot` is the spec."""
    if workflow.spec.executor is not None and workflow.spec.executor.type == "Argo":
        text = "executor.type Argo is not supported yet: use Native, or leave executor out"
        spot.error("U5", text, "executor.type", found="Argo", runnable=True)


def check_delete_mode(spot: Spot, execution: DRPlanExecution, workflows: Sequence[DRWorkflow]) -> None:
    """Rule U6: deletes that would have to be derived from other actions. `spot` is the execution's spec.

    With `mode: Delete` the Go operator derived deletes for workflows that have Clusternet actions but no explicit
    delete among them. Until that is done here, such a run must not look as if it had deleted what stays: each object of
    a Clusternet kind that the plan makes in another mode has an explicit Delete that takes part, and a workflow without
    Clusternet actions runs as written, so it must be written for that: by an action that deletes, or by a `when` that
    chooses this mode.
    """
    spec = execution.spec
    if spec.operation_type is not Operation.EXECUTE or spec.mode is not Mode.DELETE:
        return
    deleted = {_named(action) for workflow in workflows for action in _deletes(workflow) if action.type in _CLUSTERNET}
    for workflow in workflows:
        if _is_made_for_delete(workflow):
            for action in workflow.spec.actions:
                if _makes(action) and _named(action) not in deleted:
                    spot.error("U6", _stays(workflow, action), "mode", found="Delete")
        else:
            spot.error("U6", _not_made_for_delete(workflow), "mode", found="Delete")


def _not_made_for_delete(workflow: DRWorkflow) -> str:
    return (
        f"mode Delete is not supported yet for workflow {workflow.metadata.key}, because it has no explicit Delete "
        'action: add actions with operation Delete (and when: mode == "delete"), or run it without mode Delete'
    )


def _stays(workflow: DRWorkflow, action: Action) -> str:
    return (
        f"mode Delete would leave the {action.type} of action '{short(action.name)}' of workflow "
        f"{workflow.metadata.key}, because no explicit Delete of it takes part: add an action of this type, name and "
        'namespace with operation Delete (and when: mode == "delete")'
    )


def _is_made_for_delete(workflow: DRWorkflow) -> bool:
    deletes = _deletes(workflow)
    if any(action.type in _CLUSTERNET for action in workflow.spec.actions):
        return any(action.type in _CLUSTERNET for action in deletes)
    return bool(deletes) or any(_chooses_delete(action) for action in workflow.spec.actions)


def _deletes(workflow: DRWorkflow) -> list[Action]:
    """The explicit deletes that may take part in mode Delete."""
    return [
        action
        for action in workflow.spec.actions
        if operation_of(action, action.type) is ResourceOperation.DELETE and takes_part(action, Mode.DELETE)
    ]


def _chooses_delete(action: Action) -> bool:
    """Tell whether the condition of an action lets it take part in mode Delete because of the mode."""
    return "delete" in action.when.lower() and takes_part(action, Mode.DELETE)


def _makes(action: Action) -> bool:
    """Tell whether an action may make an object of a Clusternet kind in a mode that brings things about."""
    makes = operation_of(action, action.type) not in (ResourceOperation.DELETE, ResourceOperation.PATCH)
    return action.type in _CLUSTERNET and makes and bool(modes_of(action.when) - {Mode.DELETE, Mode.ROLLBACK})


def _named(action: Action) -> tuple[str, str, str]:
    """The object of a Clusternet action, as it is written."""
    block = block_of(action, action.type)
    return str(action.type), getattr(block, "namespace", ""), getattr(block, "name", "")
