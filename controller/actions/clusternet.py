"""Localization, Globalization, HelmChart and Subscription actions: one object each (contract: clusternet 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.engine.outcome import Failed, Outcome, Succeeded
from app.engine.templates import Scope, UnresolvedPlaceholdersError, render
from app.kube.errors import KubeError, NotFound
from app.kube.resources import GLOBALIZATIONS, HELM_CHARTS, LOCALIZATIONS, SUBSCRIPTIONS, Resource
from app.models.actions import ActionBody, ActionType, ResourceOperation, block_of, operation_of
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from app.models.names import DEFAULT_NAMESPACE
from controller.actions import objects
from controller.actions.attempts import failed, timed_out, within_deadline
from controller.actions.base import ActionContext
from controller.actions.clusternet_rollback import roll_back
from controller.actions.clusternet_specs import (
    SpecError,
    globalization_spec,
    helm_chart_spec,
    localization_spec,
    subscription_spec,
)
from controller.actions.objects import Made, Target
from controller.actions.ownership import is_own, reference, uid_of
from controller.actions.waiting import WaitTimeoutError


@dataclass(frozen=True, slots=True)
class ClusternetKind:
    """What distinguishes the four kinds."""

    type: ActionType
    resource: Resource
    configuration: str
    """Name of the block in messages."""
    ref_field: str
    """Member of the outputs."""
    spec: Callable[[Any, ResourceOperation, Scope], dict[str, Any]]
    """Makes the spec out of the type's block."""
    default_namespace: str = ""
    """Taken when the action names none; without one the namespace is required."""
    labelled: bool = False
    """Whether a name that cannot be rendered is said to be one (contract: clusternet 3)."""


LOCALIZATION = ClusternetKind(
    ActionType.LOCALIZATION, LOCALIZATIONS, "localization", "localization_ref", localization_spec
)
GLOBALIZATION = ClusternetKind(
    ActionType.GLOBALIZATION, GLOBALIZATIONS, "globalization", "globalization_ref", globalization_spec
)
HELM_CHART = ClusternetKind(ActionType.HELM_CHART, HELM_CHARTS, "helmChart", "helm_chart_ref", helm_chart_spec)
SUBSCRIPTION = ClusternetKind(
    ActionType.SUBSCRIPTION,
    SUBSCRIPTIONS,
    "subscription",
    "subscription_ref",
    subscription_spec,
    default_namespace=DEFAULT_NAMESPACE,
    labelled=True,
)

_VERBS = {
    ResourceOperation.CREATE: "created",
    ResourceOperation.APPLY: "applied",
    ResourceOperation.PATCH: "patched",
    ResourceOperation.DELETE: "deleted",
    ResourceOperation.REPLACE: "created",
}


class ClusternetExecutor:
    """Brings about one object of a Clusternet kind. Success means that the API server accepted it."""

    def __init__(self, kind: ClusternetKind) -> None:
        self._kind = kind

    async def execute(self, body: ActionBody, context: ActionContext) -> Outcome:
        """Create, apply, patch, replace or delete the object."""
        block: Any = block_of(body, self._kind.type)
        if block is None:
            return Failed(f"{self._kind.configuration} configuration is required")
        operation = operation_of(body, self._kind.type) or ResourceOperation.CREATE
        deleting = operation is ResourceOperation.DELETE
        try:
            target = self._target(block, context.scope)
            spec = {} if deleting else self._kind.spec(block, operation, context.scope)
        except SpecError as error:
            return Failed(str(error))
        run = _Attempt(context, self._kind, operation, target, spec)
        return await within_deadline(context, run.work, run.last_look, run.outputs)

    async def rollback(self, body: ActionBody, outputs: ActionOutputs, context: ActionContext) -> Outcome:
        """Delete what the run created, restore what it applied over or replaced."""
        operation = operation_of(body, self._kind.type) or ResourceOperation.CREATE
        single: CoreReference | None = getattr(outputs, self._kind.ref_field)
        children = outputs.subscription_refs if self._kind is SUBSCRIPTION else ()
        return await roll_back(context, self._kind.resource, children, single, operation)

    def _target(self, block: Any, scope: Scope) -> Target:  # noqa: ANN401 - one of four blocks
        kind = self._kind.type
        name = self._rendered("name", block.name, scope)
        if not name:
            raise SpecError(f"{kind}.Name is required")
        if not self._kind.resource.namespaced:
            return Target(self._kind.resource, "", name)
        namespace = self._rendered("namespace", block.namespace, scope) or self._kind.default_namespace
        if not namespace:
            raise SpecError(f"{kind}.Namespace is required")
        return Target(self._kind.resource, namespace, name)

    def _rendered(self, what: str, text: str, scope: Scope) -> str:
        try:
            return render(text, scope)
        except UnresolvedPlaceholdersError as error:
            prefix = f"failed to render {self._kind.type} {what}: " if self._kind.labelled else ""
            raise SpecError(f"{prefix}{error}") from error


class _Attempt:
    """One attempt at one object."""

    def __init__(
        self,
        context: ActionContext,
        kind: ClusternetKind,
        operation: ResourceOperation,
        target: Target,
        spec: dict[str, Any],
    ) -> None:
        self._context = context
        self._kind = kind
        self._operation = operation
        self._target = target
        self._spec = spec
        self._made = Made()
        self._remains = ""
        """What holds the object that was deleted."""

    async def work(self) -> Outcome:
        """Send the request of the operation."""
        with self._made.making(self._target):
            try:
                self._made.refs.append(await self._carry_out())
            except WaitTimeoutError as timeout:
                return timed_out(self._context, str(timeout), self.outputs())
            except NotFound as error:
                missing = f"get existing {self._target.label}: " if self._operation is ResourceOperation.PATCH else ""
                return failed(error, prefix=missing)
            except KubeError as error:
                if self._operation is not ResourceOperation.PATCH:
                    raise
                return failed(error, prefix=f"patch {self._target.label}: ")
        return self._succeeded()

    async def last_look(self) -> Outcome:
        """Succeed when the object is there as the action would have made it, or gone after a Delete."""
        live = await objects.find(self._context, self._target)
        if self._operation is ResourceOperation.DELETE:
            meant = await objects.meant_to_go(self._context, self._target)
            gone = live is None or (meant != "" and uid_of(live) != meant)
            return self._succeeded() if gone else timed_out(self._context)
        if live is not None and is_own(live, self._context):
            self._made.refs[:] = [reference(live)]
            return self._succeeded()
        return timed_out(self._context, outputs=self.outputs())

    async def _carry_out(self) -> CoreReference:
        context, target = self._context, self._target
        place = {"namespace": target.namespace} if target.namespace else {}
        body = {
            "apiVersion": target.resource.api_version,
            "kind": target.resource.kind,
            "metadata": {"name": target.name, **place},
            "spec": self._spec,
        }
        match self._operation:
            case ResourceOperation.DELETE:
                removal = await objects.remove(context, target)
                self._remains = removal.remains
                return target.reference(removal.uid)
            case ResourceOperation.PATCH:
                made = await objects.patch(context, target, {"spec": self._spec})
            case ResourceOperation.APPLY:
                made = await objects.apply(context, target, body)
            case ResourceOperation.REPLACE:
                made = await objects.replace(context, target, body)
            case _:
                made = await objects.create(context, target, body)
        return target.reference(uid_of(made))

    def _succeeded(self) -> Outcome:
        told = f"{self._target.label} {_VERBS[self._operation]} successfully"
        return Succeeded(f"{told}; {self._remains}" if self._remains else told, self.outputs())

    def outputs(self) -> ActionOutputs | None:
        """Return the reference to what was made so far."""
        refs = self._made.all()
        if not refs and self._operation is ResourceOperation.DELETE:
            refs = (self._target.reference(),)
        return ActionOutputs.model_validate({self._kind.ref_field: refs[-1]}) if refs else None
