"""Which absences the record of a run explains (decision R5): of one object, from one point of the run on.

An object that an action made may be gone because a later action deleted it, its Namespace or the
CustomResourceDefinition of its kind, or because it is a Job whose lifetime removes it. What the run deleted before it
made the object explains nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.engine.definition import Address, ObjectKey, object_key, references
from app.models.actions import Action, ActionType, ResourceOperation, operation_of
from app.models.common import CoreReference
from app.models.execution import ActionStatus, DRPlanExecutionStatus, WorkflowExecutionStatus
from app.models.phases import Phase
from app.models.snapshot import Snapshot

_Name = tuple[str, str, str]
"""Kind, namespace and name: of whatever group, which records of other controllers leave out."""
_NAMESPACE = "Namespace"
_DEFINITION = "CustomResourceDefinition"
_DEFINITIONS = "apiextensions.k8s.io"
_PLURALS = ("", "s", "es")
_NEVER = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a Delete action of the run removed, and when: recorded times are whole seconds, `rank` tells within one."""

    ref: CoreReference
    ended: datetime
    rank: int
    sure: bool
    """Whether the action succeeded. One that failed may still have deleted an object whose UID it recorded."""


@dataclass(frozen=True, slots=True)
class Absences:
    """What explains that objects of a run are gone. `ranks` are the places of its actions in the order of the work."""

    deletions: Mapping[_Name, Sequence[Deletion]]
    ranks: Mapping[Address, int]

    @property
    def definitions(self) -> Iterator[Deletion]:
        """Those of CustomResourceDefinitions, with which every object of their kinds went."""
        return (each for name, deletions in self.deletions.items() if name[0] == _DEFINITION for each in deletions)

    def explained(self, address: Address, action: ActionStatus, definition: Action | None) -> frozenset[ObjectKey]:
        """Return the objects of an action that the rest of the run, or a lifetime, may have removed."""
        begun = (action.start_time or _EARLIEST, self.ranks[address])
        return frozenset(
            object_key(ref)
            for ref in references(action.outputs)
            if _expires(ref, action, definition) or self._removed(ref, begun)
        )

    def _removed(self, ref: CoreReference, begun: tuple[datetime, int]) -> bool:
        """Tell whether the run may have removed the object of `ref`, whose action began at `begun`."""
        of_it = self.deletions.get(object_key(ref)[1:], ())
        of_namespace = self.deletions.get((_NAMESPACE, "", ref.namespace), ()) if ref.namespace else ()
        with_it = [each for each in of_namespace if each.ref.api_version in ("", "v1")]
        with_it += [each for each in self.definitions if _defines(each.ref, ref)]
        return any(_may_have_removed(each, ref, begun) for each in of_it if _same_group(each.ref, ref)) or any(
            _came_later(each, begun) for each in with_it
        )


def absences(snapshot: Snapshot, status: DRPlanExecutionStatus, order: Sequence[Address]) -> Absences:
    """Return what the record of the run in `snapshot` explains; `order` is that in which its actions ran."""
    ranks = {address: rank for rank, address in enumerate(order)}
    deletions: defaultdict[_Name, list[Deletion]] = defaultdict(list)
    for s, stage in enumerate(status.stage_statuses):
        for w, workflow in enumerate(stage.workflow_executions):
            deleting = _deleting(snapshot, workflow)
            for a, action in enumerate(workflow.action_statuses):
                for ref in references(action.outputs) if action.name in deleting else ():
                    sure, ended = action.phase is Phase.SUCCEEDED, action.completion_time or _NEVER
                    deletions[object_key(ref)[1:]].append(Deletion(ref, ended, ranks[Address(s, w, a)], sure))
    return Absences(deletions, ranks)


def _deleting(snapshot: Snapshot, workflow: WorkflowExecutionStatus) -> frozenset[str]:
    """Return the names of the actions of a workflow that delete."""
    spec = snapshot.workflow_of(workflow.workflow_ref)
    actions = spec.actions if spec is not None else ()
    return frozenset(each.name for each in actions if operation_of(each, each.type) is ResourceOperation.DELETE)


def _may_have_removed(deletion: Deletion, ref: CoreReference, begun: tuple[datetime, int]) -> bool:
    if deletion.ref.uid and ref.uid:
        return deletion.ref.uid == ref.uid
    return _came_later(deletion, begun)


def _came_later(deletion: Deletion, begun: tuple[datetime, int]) -> bool:
    """Tell whether a deletion was done, and after the beginning of an action."""
    return (deletion.sure or bool(deletion.ref.uid)) and (deletion.ended, deletion.rank) > begun


def _defines(definition: CoreReference, ref: CoreReference) -> bool:
    """Tell whether a CustomResourceDefinition is that of an object, by its name: `<plural>.<group>`.

    No record has the plural of a kind, so it has to be an English one.
    """
    plural, _, group = definition.name.partition(".")
    if not group or group != ref.api_version.rpartition("/")[0]:
        return False
    if definition.api_version and definition.api_version.rpartition("/")[0] != _DEFINITIONS:
        return False
    kind = ref.kind.lower()
    return plural in (kind + ending for ending in _PLURALS) or (kind.endswith("y") and plural == f"{kind[:-1]}ies")


def _same_group(one: CoreReference, other: CoreReference) -> bool:
    """Tell whether two references may be of one API group; one without apiVersion may be of any."""
    if not (one.api_version and other.api_version):
        return True
    return one.api_version.rpartition("/")[0] == other.api_version.rpartition("/")[0]


def _expires(ref: CoreReference, action: ActionStatus, definition: Action | None) -> bool:
    outputs = action.outputs
    if outputs is not None and ref.uid and ref.uid in outputs.expiring:
        return True
    job = definition.job if definition is not None and definition.type is ActionType.JOB else None
    return job is not None and job.removes_itself
