"""What a Revert takes back: the run as recorded, or, where nothing is recorded, as its status says (decision D11)."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from app.engine.record import as_recorded, claims_digest, differences
from app.engine.revert import target_problem
from app.engine.unrecorded import RECORDED, named_objects, stamp_of
from app.kube.errors import ABSENT, KubeError
from app.kube.fresh import read_same
from app.kube.kept import Records
from app.kube.resources import EXECUTIONS
from app.models.dumping import dumped
from app.models.execution import DRPlanExecution
from app.models.meta import ObjectMeta
from app.models.names import UNRECORDED_ANNOTATION
from app.models.revert_options import RevertOptions, Unrecorded
from app.models.snapshot import Snapshot
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from app.runtime.parts import decoded
from controller.endings import tell_differs, with_differs
from controller.plans.status import problems_of
from controller.records import DamagedError
from controller.services import Services
from controller.status_form import wire_in_turns
from controller.status_put import put_status

log = get_logger(__name__)


class TargetRefusedError(Exception):
    """An execution that cannot be taken back; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class RevertTarget:
    """The execution that is taken back. Its status is the recorded one, with marks, where there is a record.

    `snapshot_digest` is what the record says of the run's snapshot. `differs` tells how the stored status differed.
    """

    execution: DRPlanExecution
    recorded: bool
    snapshot_digest: str = ""
    differs: str = ""


async def read_target(services: Services, execution: DRPlanExecution) -> RevertTarget:
    """Read what a Revert takes back. Raises `TargetRefusedError`, and `KubeError` for another try."""
    name, namespace = execution.spec.revert_execution_ref, execution.metadata.namespace
    if not name:
        raise TargetRefusedError("revertExecutionRef must be specified for Revert operation")
    try:
        stored = await services.kube.get(EXECUTIONS, name, namespace=namespace)
        records = await services.records.load(stored["metadata"]["uid"])
    except ABSENT as error:
        raise TargetRefusedError(f"Failed to get target execution {name}: {error}") from error
    except DamagedError as error:
        raise TargetRefusedError(str(error)) from error
    target = await _decoded(stored, records)
    found = await _as_recorded(target, records) if records.outcome else RevertTarget(target, recorded=False)
    problem = target_problem(
        found.execution.spec.operation_type,
        found.execution.status,
        same_plan=found.execution.spec.plan_ref == execution.spec.plan_ref,
        target=f"{namespace}/{name}",
    )
    if problem:
        raise TargetRefusedError(problem)
    if not found.recorded:
        await to_thread(demand_vouched, execution, target, services.settings.namespace)
    return found


async def _decoded(stored: dict[str, object], records: Records) -> DRPlanExecution:
    try:
        return await decoded(DRPlanExecution, stored)
    except ValidationError as error:
        if records.outcome is not None:
            try:
                return await decoded(DRPlanExecution, {**stored, "status": {}})
            except ValidationError:
                pass
        raise TargetRefusedError(f"The target execution cannot be read: {problems_of(error)}") from error


async def _as_recorded(target: DRPlanExecution, records: Records) -> RevertTarget:
    """Return the target with its recorded status, and how the stored one differs."""
    outcome = records.outcome
    if outcome is None:
        return RevertTarget(target, recorded=False)
    recorded = await to_thread(as_recorded, outcome.status, records.taken_back)
    found = await to_thread(differences, target.status, recorded)
    differs = ""
    if found:
        differs = (
            f"The status of execution {target.metadata.key} is not what was recorded when it ended: "
            f"{'; '.join(found)}. The record counts"
        )
    true = target.model_copy(update={"status": recorded})
    return RevertTarget(true, recorded=True, snapshot_digest=outcome.snapshot_digest, differs=differs)


async def put_right(services: Services, revert: Snapshot) -> None:
    """Give the target of a Revert its recorded status again where it had another, and say so by Event and condition.

    A refusal stops no Revert.
    """
    target = revert.target
    if target is None or not target.differs:
        return
    try:
        stored = await read_same(services.kube, EXECUTIONS, revert.execution_namespace, target.name, target.uid)
        if stored is None:
            return
        metadata = ObjectMeta.from_wire(stored["metadata"])
        tell_differs(services, metadata, target.differs)
        status = with_differs(services, target.status, target.differs, metadata.generation)
        services.executions.remember(await put_status(services.kube, EXECUTIONS, metadata, await wire_in_turns(status)))
    except KubeError as error:
        log.warning("status of a target is not put right", execution=target.name, error=str(error))


def demand_vouched(execution: DRPlanExecution, target: DRPlanExecution, own_namespace: str) -> None:
    """Let a Revert act on the mere status of its target only where somebody vouches for it (decision D11).

    With admission that is the stamp, which says that the Revert's creator may delete and change what this very status
    names. Without, the Revert itself has to say that the status is to be used. Raises `TargetRefusedError`.
    """
    key = target.metadata.key
    if within := [str(named) for named in named_objects(target.status) if named.is_within(own_namespace)]:
        raise TargetRefusedError(
            f"execution {key} has no outcome record, and its status names objects of the controller's own namespace: "
            f"{', '.join(within[:10])}; nothing there is ever reverted"
        )
    stamp = execution.metadata.annotations.get(UNRECORDED_ANNOTATION)
    if stamp == stamp_of(claims_digest(target.metadata.uid, dumped(target.status))):
        return
    if stamp == RECORDED:
        raise TargetRefusedError(
            f"execution {key} had an outcome record when this Revert was admitted and has none any more; create the "
            "Revert again, so that the rights to act on the status alone are checked"
        )
    if stamp is not None:
        raise TargetRefusedError(
            f"execution {key} has no outcome record, and its status has changed since this Revert was admitted; look "
            "at what it names now, then create the Revert again"
        )
    if (execution.spec.revert_options or RevertOptions()).unrecorded is not Unrecorded.USE_STATUS:
        raise TargetRefusedError(
            f"execution {key} has no outcome record (it was made by another controller, or the record was lost), and "
            "no admission has checked what may be done by its status alone; look at what it names, then create the "
            "Revert with spec.revertOptions.unrecorded: UseStatus"
        )
