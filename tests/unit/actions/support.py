"""What tests of actions share: a context to run them in, prior states in memory."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from app.engine.names import ActionIdentity
from app.engine.templates import Scope
from app.kube.bounded import BoundedClient
from app.kube.client import KubeClient
from app.models.actions import Action
from app.runtime.http_client import HttpSender
from controller.actions.base import ActionContext


class MemoryPriors:
    """Prior states as the store keeps them: the first record of a key stays."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any] | None] = {}

    async def save(self, key: str, obj: Mapping[str, Any] | None) -> bool:
        is_first = key not in self.records
        self.records.setdefault(key, None if obj is None else dict(obj))
        return is_first

    async def replace(self, key: str, obj: Mapping[str, Any]) -> None:
        self.records[key] = dict(obj)

    async def load(self, key: str) -> tuple[bool, dict[str, Any] | None]:
        return key in self.records, self.records.get(key)


def context(
    kube: KubeClient | None = None,
    *,
    http: HttpSender | None = None,
    params: Mapping[str, str] | None = None,
    secrets: frozenset[str] = frozenset(),
    seconds: float = 20.0,
    namespace: str = "default",
    action: str = "step",
    run: str = "run-1",
    own_namespace: str = "",
    **others: Any,
) -> ActionContext:
    """A context of action `action` in the run with UID `run`, `seconds` before its time-out."""
    made = ActionContext(
        kube=BoundedClient(cast("KubeClient", kube), own_namespace),
        http=cast("HttpSender", http),
        execution_name="failover",
        execution_namespace=namespace,
        execution_uid=run,
        plan_name="plan",
        stage="first",
        workflow_index=0,
        action=action,
        identity=str(ActionIdentity(run, "first", 0, action)),
        workflow_namespace=namespace,
        scope=Scope(
            params=dict(params or {}), plan_name="plan", execution_name="failover", mode="install", secrets=secrets
        ),
        attempt=1,
        deadline=asyncio.get_running_loop().time() + seconds,
        timeout_text=f"{seconds:g}s",
        in_doubt=False,
        priors=MemoryPriors(),
    )
    return replace(made, **others)


def reverting(forward: ActionContext, run: str = "revert-1", **others: Any) -> ActionContext:
    """The context in which another run takes the action of `forward` back."""
    identity = str(ActionIdentity(run, forward.stage, forward.workflow_index, forward.action))
    changes = {
        "execution_uid": run,
        "identity": identity,
        "target_identity": forward.identity,
        "deadline": asyncio.get_running_loop().time() + 20.0,
        "in_doubt": False,
        "attempt": 1,
    }
    return replace(forward, **{**changes, **others})


def action(type_: str, name: str = "step", **blocks: Any) -> Action:
    """An action as a user writes it."""
    return Action.from_wire({"name": name, "type": type_, **blocks})
