"""Removing what is kept of executions that are gone."""

from __future__ import annotations

from app.kube.errors import KubeError
from app.kube.fresh import read_same
from app.kube.resources import EXECUTIONS
from app.runtime.logging import get_logger
from controller.indices import BY_TARGET
from controller.journal import Entry
from controller.services import Services

log = get_logger(__name__)


async def sweep(services: Services, recovered: dict[str, list[Entry]]) -> None:
    """Remove what is kept of executions that are gone, journal entries included, each after a fresh read."""
    known = {obj["metadata"]["uid"]: obj.get("status") or {} for obj in services.executions.items()}
    for entries in [entries for uid, entries in recovered.items() if uid not in known]:
        first = entries[0]
        if await _is_gone(services, first.namespace, first.name, first.uid):
            services.journal.forget(first.uid)
    try:
        owners = await services.snapshots.owners()
        for owner in owners:
            if owner.uid in known or services.executions.by_index(BY_TARGET, f"{owner.namespace}/{owner.name}"):
                continue
            if await _is_gone(services, owner.namespace, owner.name, owner.uid):
                log.info("snapshot of a vanished execution removed", execution=f"{owner.namespace}/{owner.name}")
                await services.snapshots.delete(owner.uid)
    except KubeError as error:
        log.warning("stray snapshots stay until the next start", error=str(error))


async def _is_gone(services: Services, namespace: str, name: str, uid: str) -> bool:
    try:
        return await read_same(services.kube, EXECUTIONS, namespace, name, uid) is None
    except KubeError as error:
        log.warning("cannot tell whether an execution is gone", execution=f"{namespace}/{name}", error=str(error))
        return False
