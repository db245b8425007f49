"""One action of a workflow: its block, times and retries, condition, rollback (rules W2-W20, W24-W29, U1-U4)."""

from __future__ import annotations

from collections.abc import Set
from datetime import timedelta

from pydantic import ValidationError

from app.engine.durations import parse_duration
from app.engine.retry import RetryPolicy
from app.engine.when import WhenError, parse_when
from app.models.actions import (
    Action,
    ActionBody,
    ActionType,
    ResourceOperation,
    block_of,
    operation_of,
    rollback_type,
)
from app.rules.blocks import check_block
from app.rules.decode import member_problems
from app.rules.findings import Spot
from app.rules.placeholders import check_placeholders
from app.rules.unsupported import check_cluster_mode, check_hooks, check_wait_ready

NO_ROLLBACK = "no custom rollback defined, will use automatic rollback (delete resource)"


def check_action(spot: Spot, action: Action, *, finished: Set[str], actions: Set[str]) -> None:
    """Check one action. `spot` is the action, its prefix `action[i] 'name': `.

    `finished` are the actions whose outputs it may use, `actions` the names of all.
    """
    _check_body(spot, action, action.type)
    _check_rollback_given(spot, action)
    _check_when(spot, action.when)
    check_cluster_mode(spot, action)
    check_hooks(spot, action)
    check_placeholders(spot, action, action.type, finished=finished, actions=actions)
    _check_rollback(spot, action, actions)


def _check_body(spot: Spot, body: ActionBody, type_: ActionType) -> None:
    check_block(spot, body, type_)
    _check_timeout(spot, body.timeout)
    _check_retry(spot, body)
    check_wait_ready(spot, body, type_)


def _check_timeout(spot: Spot, timeout: str | None) -> None:
    """Rule W25."""
    if not timeout:
        return
    try:
        why = "timeout must be positive" if parse_duration(timeout) <= timedelta(0) else ""
    except ValueError as error:
        why = f"{error} (write a duration such as 90s, 5m or 1h30m)"
    if why:
        spot.error("W25", f"invalid timeout {timeout}: {why}", "timeout", found=timeout, runnable=True)


def _check_retry(spot: Spot, body: ActionBody) -> None:
    """Rule W26."""
    policy = body.retry_policy
    if policy is None:
        return
    parts = {
        "interval": policy.model_copy(update={"backoff_multiplier": None}),
        "backoffMultiplier": policy.model_copy(update={"interval": None}),
    }
    for member, part in parts.items():
        try:
            RetryPolicy.parse(part)
        except ValueError as error:
            spot.error("W26", f"invalid retry policy: {error}", f"retryPolicy.{member}")


def _check_when(spot: Spot, when: str) -> None:
    """Rule W24."""
    try:
        parse_when(when)
    except WhenError as error:
        spot.error("W24", str(error), "when", found=when)


def _check_rollback_given(spot: Spot, action: Action) -> None:
    """Rule W20, and N1: the automatic rollback will be used."""
    operation = operation_of(action, action.type)
    if action.rollback is not None or block_of(action, action.type) is None:
        return
    if operation is ResourceOperation.PATCH:
        spot.error("W20", f"rollback is required for {action.type} Patch operation", "rollback", runnable=True)
    automatic = operation is ResourceOperation.CREATE or (
        operation is ResourceOperation.APPLY and action.type is ActionType.KUBERNETES_RESOURCE
    )
    if automatic or action.type is ActionType.JOB:
        spot.warn("N1", NO_ROLLBACK)


def _check_rollback(spot: Spot, action: Action, actions: Set[str]) -> None:
    """Rule W28: the rollback block decodes and is complete for the type it runs as (decision A4).

    The Go operator stored incomplete ones; what comes before a Revert runs all the same.
    """
    inner = spot.below("rollback", "rollback: ", runnable=True)
    try:
        rollback = action.custom_rollback()
    except ValidationError as error:
        for problem in member_problems(error):
            spot.error("W28", f"rollback: {problem.path} {problem.text}", f"rollback.{problem.path}")
        return
    if rollback is not None:
        type_ = rollback_type(rollback, action.type)
        _check_body(inner, rollback, type_)
        check_placeholders(inner, rollback, type_, finished=actions, actions=actions)
