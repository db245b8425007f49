"""One attempt of one action: from its definition to an outcome, with parameters, secrets, time-out and redaction."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import replace

from app.engine.decide import deadline
from app.engine.definition import Address, Forward, RollBack, RunDefinition
from app.engine.durations import format_duration
from app.engine.names import ActionIdentity
from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.outputs import output_fields, outputs_of_predecessors
from app.engine.templates import secret_values
from app.engine.text import redact, single_line
from app.engine.tree import action_at
from app.kube.errors import KubeError, is_transient
from app.kube.kept import Owner
from app.models.actions import ActionType, rollback_policy_of
from app.models.execution import ActionOutputs, DRPlanExecutionStatus
from app.models.revert_options import RevertOptions
from app.models.snapshot import Snapshot
from app.runtime.logging import get_logger
from controller.actions.base import ActionContext, Reports
from controller.references import ParameterError, read_secrets
from controller.run.context import context_of, scope_of
from controller.services import Services
from controller.writing import Warnings, writing_of

log = get_logger(__name__)

OVERTIME = 15.0
"""Seconds that an executor may take beyond an action's time-out to observe and tidy up."""


async def attempt(
    services: Services,
    snapshot: Snapshot,
    definition: RunDefinition,
    status: DRPlanExecutionStatus,
    address: Address,
    *,
    in_doubt: bool,
    look_only: bool = False,
    on_made: Callable[[ActionOutputs], None] = lambda _: None,
) -> Outcome:
    """Run one attempt and return its outcome; secrets are masked in everything it says.

    `on_made` is told what the attempt has made when that is to be recorded before its end.
    With `look_only` it counts as expired: what an earlier process left of it is looked at, and nothing is done anew.

    An executor that fails in a way nobody foresaw ends its action Failed, and is logged with its traceback: one broken
    action must not take the other runs down.
    """
    node = definition.action(address)
    step = node.step
    if step is None:
        return Failed(f"action {node.name} has nothing to run")
    left = max(0.0, (deadline(definition, status, address) - services.now()).total_seconds())
    left = 0.0 if look_only else left
    secrets: frozenset[str] = frozenset()
    reports, heard = Reports(on_made), Warnings()
    try:
        async with asyncio.timeout(left + OVERTIME):
            context = await _context(
                services, snapshot, definition, status, address, step, heard, reports, in_doubt=in_doubt, left=left
            )
            secrets = secret_values(context.scope)
            outcome = await _run(services, step, context)
    except (ParameterError, KubeError) as error:
        outcome = Failed(single_line(str(error)), reports.made(), retryable=is_transient(error))
    except TimeoutError:
        outcome = Failed(f"timed out after {format_duration(node.timeout)}", reports.made(), timed_out=True)
    except Exception as error:
        text = redact(f"{type(error).__name__}: {error}", secrets)
        stack = "".join(traceback.format_tb(error.__traceback__))
        log.error("action failed in an unforeseen way", action=node.name, type=node.type, error=text, stack=stack)
        outcome = Failed(f"internal error in {node.type} action: {text}", reports.made())
    outcome = _masked(heard.with_warnings(outcome), secrets)
    if not isinstance(outcome, NothingToDo) and outcome.outputs is not None and outcome.outputs.warnings:
        log.warning("the API server warns", action=node.name, warnings=list(outcome.outputs.warnings))
    return outcome


async def _run(services: Services, step: Forward | RollBack, context: ActionContext) -> Outcome:
    executor = services.executors[step.type]
    if isinstance(step, Forward):
        return await executor.execute(step.body, context)
    if not step.custom:
        return await executor.rollback(step.body, step.outputs, context)
    outcome = await executor.execute(step.body, context)
    if isinstance(outcome, Succeeded):
        kind = "custom HTTP rollback action" if step.type is ActionType.HTTP else "custom rollback action"
        return replace(outcome, message=f"Rolled back: executed {kind}")
    if isinstance(outcome, Failed):
        return replace(outcome, message=f"Custom rollback failed: {outcome.message}")
    return outcome


async def _context(
    services: Services,
    snapshot: Snapshot,
    definition: RunDefinition,
    status: DRPlanExecutionStatus,
    address: Address,
    step: Forward | RollBack,
    heard: Warnings,
    reports: Reports,
    *,
    in_doubt: bool,
    left: float,
) -> ActionContext:
    stage, workflow, node = definition.stages[address.stage], definition.workflow(address), definition.action(address)
    used = snapshot.stages[stage.snapshot_index].workflows[workflow.snapshot_index]
    secrets = await read_secrets(used.secret_params, services.bounded)
    action = action_at(status, address)
    options = snapshot.revert_options or RevertOptions()
    outputs = _outputs(snapshot, definition, status, address, step)
    context = context_of(
        services,
        snapshot,
        scope_of(snapshot, definition, used.params, secrets, outputs),
        stage=stage.name,
        workflow_index=workflow.snapshot_index,
        name=node.name,
        namespace=used.namespace,
        attempt=action.attempt,
        timeout=node.timeout,
        seconds=left,
    )
    writing = writing_of(
        step,
        plan=f"{snapshot.execution_namespace}/{snapshot.plan_name}",
        stage=stage.name,
        index=workflow.snapshot_index,
        action=node.name,
        heard=heard,
    )
    return replace(
        context,
        kube=services.bounded.written(writing),
        in_doubt=in_doubt,
        earlier=None if action.again and not in_doubt else action.outputs,
        reports=reports,
        priors=services.snapshots.priors(_owner_of_priors(snapshot, step)),
        missing_resources=options.missing_resources,
        conflicts=options.conflicts,
        rollback_policy=rollback_policy_of(step.body),
        explained=step.explained if isinstance(step, RollBack) else frozenset(),
        unrecorded=snapshot.target is not None and snapshot.target.unrecorded,
        target_identity=_target_identity(snapshot, step, node.name),
    )


def _target_identity(snapshot: Snapshot, step: Forward | RollBack, action: str) -> str:
    """Return the identity under which the target run made what is taken back now."""
    if not isinstance(step, RollBack) or snapshot.target is None:
        return ""
    return str(ActionIdentity(snapshot.target.uid, step.stage, step.workflow_index, action))


def _owner_of_priors(snapshot: Snapshot, step: Forward | RollBack) -> Owner:
    """Return whose records are read: those of the target run for an automatic rollback, else those of this run."""
    if isinstance(step, RollBack) and not step.custom and snapshot.target is not None:
        return Owner(snapshot.target.uid, snapshot.execution_namespace, snapshot.target.name)
    return Owner(snapshot.execution_uid, snapshot.execution_namespace, snapshot.execution_name)


def _outputs(
    snapshot: Snapshot,
    definition: RunDefinition,
    status: DRPlanExecutionStatus,
    address: Address,
    step: Forward | RollBack,
) -> dict[str, dict[str, str]]:
    """Return the outputs that templates see: a rollback sees those of the workflow run it takes back."""
    if isinstance(step, RollBack):
        target = snapshot.target
        if target is None:
            return {}
        at = step.target_address
        run = target.status.stage_statuses[at.stage].workflow_executions[at.workflow]
        return {action.name: output_fields(action.outputs) for action in run.action_statuses if action.outputs}
    run = status.stage_statuses[address.stage].workflow_executions[address.workflow]
    return outputs_of_predecessors(definition.workflow(address), run.action_statuses, address.action)


def _masked(outcome: Outcome, secrets: frozenset[str]) -> Outcome:
    if not secrets:
        return outcome
    message = redact(outcome.message, secrets)
    if isinstance(outcome, NothingToDo) or outcome.outputs is None:
        return replace(outcome, message=message)
    return replace(outcome, message=message, outputs=_masked_outputs(outcome.outputs, secrets))


def _masked_outputs(outputs: ActionOutputs, secrets: frozenset[str]) -> ActionOutputs:
    if outputs.warnings:
        outputs = outputs.model_copy(update={"warnings": tuple(redact(text, secrets) for text in outputs.warnings)})
    response = outputs.http_response
    if response is None:
        return outputs
    masked = response.model_copy(update={"body": redact(response.body, secrets)})
    return outputs.model_copy(update={"http_response": masked})
