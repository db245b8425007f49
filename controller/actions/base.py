"""The protocol of an action's executor, and what it is handed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.engine.definition import ObjectKey
from app.engine.outcome import Outcome
from app.engine.templates import Scope
from app.kube.bounded import BoundedClient
from app.models.actions import ActionBody, RollbackPolicy
from app.models.execution import ActionOutputs
from app.models.revert_options import ConflictPolicy, MissingResources
from app.runtime.http_client import HttpSender
from app.runtime.tracing import Traces


class PriorStates(Protocol):
    """What objects were like before this run changed them; kept with the run's snapshot (design: the journal)."""

    async def save(self, key: str, obj: Mapping[str, Any] | None) -> bool:
        """Record `obj`, or its absence, before it is changed. The first record stays; tell whether it is this.

        Both for what an object was like and, under a key of its own, for what a run changed of it.
        """

    async def replace(self, key: str, obj: Mapping[str, Any]) -> None:
        """Record `obj` in the place of whatever was recorded under the key."""

    async def load(self, key: str) -> tuple[bool, dict[str, Any] | None]:
        """Return whether there is a record, and the object (None: it was absent)."""


class Reports:
    """What an attempt has made so far, for an ending that does not come from its executor."""

    def __init__(self, on_made: Callable[[ActionOutputs], None] = lambda _: None) -> None:
        self._made: Callable[[], ActionOutputs | None] = lambda: None
        self._on_made = on_made

    def follow(self, made: Callable[[], ActionOutputs | None]) -> None:
        """Take `made` to say from now on what the attempt has made."""
        self._made = made

    def made(self) -> ActionOutputs | None:
        """Return references to what was made until now."""
        return self._made()

    def keep(self) -> None:
        """Have what was made until now recorded at once: the rest may take long, and the objects may go meanwhile."""
        if (made := self._made()) is not None:
            self._on_made(made)


@dataclass(frozen=True, slots=True)
class ActionContext:
    """Everything one attempt of one action may use.

    `identity` is `<execution-uid>/<stage>/<workflow-index>/<action>`, segments percent-encoded: the idempotency key of
    HTTP requests and the ownership mark of created objects (invariant 3). `deadline` is on the event loop's
    clock. `in_doubt` says that an earlier attempt may have had its effect although nobody saw it end: observe first.
    `earlier` names what earlier attempts made, unless an operator has said that it is to be done again.
    `rollback_policy` is that of the action, also when it is carried out: what could not be restored is refused then.
    `target_identity` is set in rollbacks only: the identity that the action had in the run that is taken back.
    `explained` are the objects whose absence the record of that run explains. `unrecorded` says that nothing but the
    status of the target names what is taken back, within the rights of the Revert's creator (decision D11).
    `kube` keeps to the bounds of actions by itself (decision A10), and writes within the leader's lease only.
    `reports` is told what the attempt makes while it makes it, so that every ending can name it.
    `traces` knows what a called service needs to join the trace of the run, under the span of this action.
    """

    kube: BoundedClient
    http: HttpSender
    execution_name: str
    execution_namespace: str
    execution_uid: str
    plan_name: str
    stage: str
    workflow_index: int
    action: str
    identity: str
    workflow_namespace: str
    scope: Scope
    attempt: int
    deadline: float
    timeout_text: str
    in_doubt: bool
    priors: PriorStates
    earlier: ActionOutputs | None = None
    missing_resources: MissingResources = MissingResources.FAIL
    explained: frozenset[ObjectKey] = frozenset()
    conflicts: ConflictPolicy = ConflictPolicy.FAIL
    rollback_policy: RollbackPolicy | None = None
    target_identity: str = ""
    unrecorded: bool = False
    traces: Traces = field(default_factory=Traces)
    reports: Reports = field(default_factory=Reports)

    def remaining(self) -> float:
        """Seconds left until the action's time-out; never negative."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


class Executor(Protocol):
    """Runs and takes back actions of one type.

    Both methods return an outcome for everything that can be foreseen, API errors and time-outs included; what they
    raise is a defect, or the cancellation at the controller's shutdown: the action then stays recorded as started.
    """

    async def execute(self, body: ActionBody, context: ActionContext) -> Outcome:
        """Bring about what the type's block in `body` says."""

    async def rollback(self, body: ActionBody, outputs: ActionOutputs, context: ActionContext) -> Outcome:
        """Take back automatically what `outputs` names; `body` is the definition the run was executed with."""
