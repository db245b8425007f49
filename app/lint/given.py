"""The objects of all files of a run, decoded, so that one can be judged in the light of the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from app.engine.graph import closest
from app.lint.objects import Written
from app.lint.repair import Repaired
from app.models.base import ApiModel
from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow

Key = tuple[str, str]
"""Namespace and name."""

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Checked:
    """An object of a file whose schema was checked."""

    written: Written
    model: ApiModel | None
    """None when it cannot be decoded."""
    repaired: Repaired | None = None
    """What of one that cannot be decoded the rules can judge, which others are not judged by."""


@dataclass(slots=True)
class Given:
    """The objects of all files by namespace and name. None stands for one that is there but cannot be decoded."""

    workflows: dict[Key, DRWorkflow | None] = field(default_factory=dict)
    plans: dict[Key, DRPlan | None] = field(default_factory=dict)
    executions: dict[Key, DRPlanExecution | None] = field(default_factory=dict)
    own_namespace: str = ""
    """The controller's, which no action may touch."""


def given(objects: Iterable[Checked]) -> Given:
    """Index objects; of those given twice the last one counts."""
    result = Given()
    for each in objects:
        key = (each.written.namespace, each.written.name)
        match each.written.kind:
            case "DRWorkflow":
                result.workflows[key] = _of(DRWorkflow, each.model)
            case "DRPlan":
                result.plans[key] = _of(DRPlan, each.model)
            case _:
                result.executions[key] = _of(DRPlanExecution, each.model)
    return result


def _of(kind: type[M], model: ApiModel | None) -> M | None:
    return model if isinstance(model, kind) else None


def nearly(key: Key, known: Iterable[Key]) -> str:
    """`namespace/name` of what `key` was probably meant to be: a similar name, or the same in another namespace."""
    candidates = sorted(known)
    similar = closest(key[1], [name for namespace, name in candidates if namespace == key[0]])
    if similar is not None:
        return f"{key[0]}/{similar}"
    return next((f"{namespace}/{name}" for namespace, name in candidates if name == key[1]), "")
