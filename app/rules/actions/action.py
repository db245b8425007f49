"""One action of a workflow: its block, times and retries, condition, rollback (rules W2-W20, W24-W29, W60, U1-U4)."""

from __future__ import annotations

from pydantic import ValidationError

from app.engine.durations import parse_duration
from app.engine.retry import DEFAULT_INTERVAL, DEFAULT_LIMIT, MIN_DELAY, RetryPolicy
from app.engine.text import short
from app.models.actions import (
    Action,
    ActionBody,
    ActionType,
    ResourceOperation,
    Rollback,
    RollbackPolicy,
    block_of,
    operation_of,
    rollback_type,
)
from app.models.actions import RetryPolicy as RetryBlock
from app.rules.actions.blocks import check_block
from app.rules.actions.conditions import check_when
from app.rules.actions.order import Order
from app.rules.actions.placeholders import check_action_placeholders, check_rollback_placeholders
from app.rules.actions.rollback_policy import check_rollback_policy
from app.rules.actions.unknown import check_unknown_members
from app.rules.actions.unsupported import check_cluster_mode, check_hooks, check_wait_ready
from app.rules.decode import member_problems
from app.rules.durations import DURATIONS, timeout_problem
from app.rules.findings import Spot
from app.rules.ready_when import ready_when_problem
from app.rules.remember import remembered

NO_ROLLBACK = "no custom rollback defined, will use automatic rollback (delete resource)"
_SHORT = 256


def check_action(spot: Spot, order: Order, index: int) -> None:
    """Check one action of a workflow. `spot` is the action, its prefix `action[i] 'name': `."""
    action = order.actions[index]
    _check_body(spot, action, action.type)
    _check_rollback_given(spot, action)
    check_when(spot, order, index)
    check_cluster_mode(spot, action)
    check_hooks(spot, action)
    check_action_placeholders(spot, order, index)
    _check_rollback(spot, action, order)
    check_rollback_policy(spot, action)


def _check_body(spot: Spot, body: ActionBody, type_: ActionType) -> None:
    check_block(spot, body, type_)
    _check_timeout(spot, body.timeout)
    _check_retry(spot, body)
    check_wait_ready(spot, body, type_)
    _check_ready_when(spot, body, type_)


def _check_ready_when(spot: Spot, body: ActionBody, type_: ActionType) -> None:
    """Rule W60."""
    text = body.ready_when
    if not text:
        return
    if type_ is not ActionType.KUBERNETES_RESOURCE:
        spot.error(
            "W60",
            f"readyWhen is for KubernetesResource actions; remove it, or use that type instead of {type_}",
            "readyWhen",
        )
    elif not body.wait_ready:
        spot.error(
            "W60", "readyWhen has no effect without waitReady: add waitReady: true, or remove readyWhen", "readyWhen"
        )
    elif problem := ready_when_problem(text):
        spot.error("W60", problem, "readyWhen", found=short(text))


def _check_timeout(spot: Spot, timeout: str | None) -> None:
    """Rule W25."""
    problem = timeout_problem(timeout) if timeout else ""
    if problem:
        spot.error("W25", f"invalid timeout {timeout}: {problem}", "timeout", found=timeout or "", runnable=True)


def _check_retry(spot: Spot, body: ActionBody) -> None:
    """Rule W26."""
    policy = body.retry_policy
    if policy is None:
        return
    if policy.limit is not None and policy.limit < 0:
        text = f"retryPolicy.limit {policy.limit} counts as {DEFAULT_LIMIT}, the default: write 0 for no retries"
        spot.warn("N22", text, "retryPolicy.limit")
    if problem := _interval_problem(policy.interval or ""):
        spot.error("W26", f"invalid retry policy: {problem} ({DURATIONS})", "retryPolicy.interval")
    elif parse_duration(policy.interval or DEFAULT_INTERVAL) < MIN_DELAY and policy.limit != 0:
        told = short(policy.interval or "")
        text = f"retryPolicy.interval {told} is shorter than the shortest delay, 100ms, which counts"
        spot.warn("N21", text, "retryPolicy.interval")
    if problem := _multiplier_problem(policy.backoff_multiplier or ""):
        spot.error("W26", f"invalid retry policy: {problem}", "retryPolicy.backoffMultiplier")


@remembered(_SHORT)
def _interval_problem(interval: str) -> str:
    return _retry_problem(RetryBlock(interval=interval))


@remembered(_SHORT)
def _multiplier_problem(multiplier: str) -> str:
    return _retry_problem(RetryBlock(backoff_multiplier=multiplier))


def _retry_problem(policy: RetryBlock) -> str:
    try:
        RetryPolicy.parse(policy)
    except ValueError as error:
        return str(error)
    return ""


def _check_rollback_given(spot: Spot, action: Action) -> None:
    """Rule W20, and N1: the automatic rollback will be used."""
    operation = operation_of(action, action.type)
    if action.rollback is not None or block_of(action, action.type) is None:
        return
    policy = action.rollback_policy
    if operation is ResourceOperation.PATCH and policy is not RollbackPolicy.RESTORE:
        spot.error("W20", f"rollback is required for {action.type} Patch operation", "rollback", runnable=True)
    automatic = operation is ResourceOperation.CREATE or (
        operation is ResourceOperation.APPLY and action.type is ActionType.KUBERNETES_RESOURCE
    )
    if policy is None and (automatic or action.type is ActionType.JOB):
        spot.warn("N1", NO_ROLLBACK)


def _check_rollback(spot: Spot, action: Action, order: Order) -> None:
    """Rule W28: the rollback block decodes and is complete for the type it runs as (decision A4).

    The Go operator stored incomplete ones; what comes before a Revert runs all the same.
    """
    if action.rollback is None:
        return
    inner = spot.below("rollback", "rollback: ", runnable=True)
    check_unknown_members(inner, action.rollback)
    try:
        rollback = Rollback.from_wire(action.rollback)
    except ValidationError as error:
        for problem in member_problems(error):
            spot.error("W28", f"rollback: {problem.path} {problem.text}", f"rollback.{problem.path}")
        return
    type_ = rollback_type(rollback, action.type)
    _check_body(inner, rollback, type_)
    check_rollback_placeholders(inner, rollback, type_, order)
