"""What an attempt of an action and one of a health check are made with alike: whose it is, and what it may use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from app.engine.definition import RunDefinition
from app.engine.durations import format_duration
from app.engine.names import ActionIdentity
from app.engine.templates import Scope
from app.kube.kept import Owner
from app.models.snapshot import Snapshot
from controller.actions.base import ActionContext
from controller.services import Services


def scope_of(
    snapshot: Snapshot,
    definition: RunDefinition,
    params: Mapping[str, str],
    secrets: Mapping[str, str],
    outputs: Mapping[str, Mapping[str, str]] | None = None,
) -> Scope:
    """Return what templates see of a run."""
    return Scope(
        params={**params, **secrets},
        plan_name=snapshot.plan_name,
        execution_name=snapshot.execution_name,
        mode=definition.mode,
        outputs=outputs or {},
        secrets=frozenset(secrets),
    )


def context_of(
    services: Services,
    snapshot: Snapshot,
    scope: Scope,
    *,
    stage: str,
    workflow_index: int,
    name: str,
    namespace: str,
    attempt: int,
    timeout: timedelta,
    seconds: float,
) -> ActionContext:
    """Return the context of an attempt that has `seconds` left of its `timeout`.

    `namespace` is where objects are that name none.
    """
    owner = Owner(snapshot.execution_uid, snapshot.execution_namespace, snapshot.execution_name)
    return ActionContext(
        kube=services.bounded,
        http=services.http,
        execution_name=snapshot.execution_name,
        execution_namespace=snapshot.execution_namespace,
        execution_uid=snapshot.execution_uid,
        plan_name=snapshot.plan_name,
        stage=stage,
        workflow_index=workflow_index,
        action=name,
        identity=str(ActionIdentity(snapshot.execution_uid, stage, workflow_index, name)),
        workflow_namespace=namespace,
        scope=scope,
        attempt=attempt,
        deadline=asyncio.get_running_loop().time() + seconds,
        timeout_text=format_duration(timeout),
        in_doubt=False,
        priors=services.snapshots.priors(owner),
        traces=services.traces,
    )
