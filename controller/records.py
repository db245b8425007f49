"""Outcome records of runs, and what Reverts took back of them (decision D11); see `app.models.record`.

They are written before a run is reported ended, never changed, and removed with the execution.
"""

from __future__ import annotations

import asyncio

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, NotFound
from app.kube.kept import (
    OUTCOME,
    TAKEN_BACK,
    DamagedError,
    Object,
    Owner,
    Place,
    Records,
    config_map,
    index_of,
    outcome_name,
    packed,
    read_records,
    records_selector,
    taken_back_name,
)
from app.kube.resources import CONFIG_MAPS
from app.models.record import RECORD_FORMAT, OutcomeRecord, TakenBack

__all__ = ["DamagedError", "RecordStore"]


class RecordStore:
    """Saves and reads records. Methods raise `KubeError` when the API server does not do it."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def save(self, record: OutcomeRecord) -> None:
        """Store how a run ended. The first complete record of a run stays."""
        owner = Owner(record.execution_uid, record.execution_namespace, record.execution_name)
        place = Place(self._namespace, outcome_name(owner.uid), OUTCOME, owner)
        parts, index = await asyncio.to_thread(_config_maps, place, record)
        for part in parts:
            if not await self._created(part) and not await self._replaced(place, part):
                return
        await self._created(index)

    async def save_taken_back(self, target: Owner, marks: TakenBack) -> None:
        """Store what a Revert took back of the run of `target`."""
        name = taken_back_name(target.uid, marks.revert_uid)
        place = Place(self._namespace, name, TAKEN_BACK, target)
        await self._created(config_map(place, {}, packed(marks.dump())))

    async def load(self, uid: str) -> Records:
        """Return the records of the run `uid`, read in one request. Raises `DamagedError`."""
        found = await self._kube.list_all(CONFIG_MAPS, namespace=self._namespace, label_selector=records_selector(uid))
        return await asyncio.to_thread(read_records, uid, found)

    async def _created(self, body: Object) -> bool:
        try:
            await self._kube.create(CONFIG_MAPS, body)
        except AlreadyExists:
            return False
        return True

    async def _replaced(self, place: Place, part: Object) -> bool:
        """Replace the leftover of a try that was cut short; False when there is a whole record."""
        try:
            await self._kube.get(CONFIG_MAPS, place.name, namespace=self._namespace)
        except NotFound:
            await self._kube.delete(CONFIG_MAPS, part["metadata"]["name"], namespace=self._namespace)
            return await self._created(part)
        return False


def _config_maps(place: Place, record: OutcomeRecord) -> tuple[list[Object], Object]:
    return index_of(place, packed(record.dump()), RECORD_FORMAT)
