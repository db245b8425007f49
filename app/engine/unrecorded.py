"""What a Revert of a run without outcome record would touch, as far as the status of that run says (decision D11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.engine.tree import each_action
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, DRPlanExecutionStatus
from app.models.names import DEFAULT_NAMESPACE

RECORDED = "recorded"
"""Stamp of a Revert whose target had an outcome record at admission."""
_CLUSTERNET = "apps.clusternet.io/v1alpha1"


def stamp_of(digest: str) -> str:
    """Return the stamp of a Revert that was admitted on the claims of a status."""
    return f"claims-sha256:{digest}"


@dataclass(frozen=True, slots=True)
class NamedObject:
    """An object that a status names. `namespace` is what it says, or the default of the action's type."""

    api_version: str
    kind: str
    namespace: str
    name: str
    changed: bool = True
    """Whether taking the action back may restore the object instead of deleting it."""

    def is_within(self, namespace: str) -> bool:
        """Tell whether it is a namespace, or in it."""
        is_itself = (self.api_version, self.kind, self.name) == ("v1", "Namespace", namespace)
        return bool(namespace) and (self.namespace == namespace or is_itself)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def named_objects(status: DRPlanExecutionStatus) -> list[NamedObject]:
    """Return every object that the status names in an action that was not taken back yet, each once."""
    found = (
        named
        for _, action in each_action(status)
        if action.outputs is not None and not action.rolled_back_by
        for named in _named(action.outputs)
    )
    return list(dict.fromkeys(found))


def _named(outputs: ActionOutputs) -> Iterator[NamedObject]:
    """Yield the objects of one action; the type of an action decides about the kind, not what the reference says."""
    fixed = (
        (outputs.job_ref, "batch/v1", "Job"),
        (outputs.localization_ref, _CLUSTERNET, "Localization"),
        (outputs.globalization_ref, _CLUSTERNET, "Globalization"),
        (outputs.helm_chart_ref, _CLUSTERNET, "HelmChart"),
        (outputs.subscription_ref, _CLUSTERNET, "Subscription"),
        *((ref, _CLUSTERNET, "Subscription") for ref in outputs.subscription_refs),
    )
    for ref, api_version, kind in fixed:
        if ref is not None:
            namespace = "" if kind == "Globalization" else ref.namespace or DEFAULT_NAMESPACE
            yield NamedObject(api_version, kind, namespace, ref.name, changed=kind != "Job")
    single = (outputs.resource_ref,) if outputs.resource_ref else ()
    for ref in (*single, *outputs.resource_refs):
        yield _resource(ref)


def _resource(ref: CoreReference) -> NamedObject:
    return NamedObject(ref.api_version, ref.kind, ref.namespace, ref.name)
