"""Statuses that the API server refuses, or that somebody else wrote: who is deposed is what the journal says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.kube.errors import Conflict, Invalid
from app.models.execution import DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from app.models.phases import Phase
from controller.journal import DeposedError
from controller.run.status_writer import StatusWriter
from controller.sealing import is_sealed, new_seal_key
from controller.status_pace import StatusPace

pytestmark = pytest.mark.looptime

KEY = new_seal_key()
RUNNING = DRPlanExecutionStatus(phase=Phase.RUNNING, journal_sequence=3)
ENDED = DRPlanExecutionStatus(phase=Phase.SUCCEEDED, message="done", journal_sequence=4)


class Server:
    """Keeps one status; `refuses` says which it does not take."""

    def __init__(self, refuses: Callable[[dict[str, Any]], bool] = lambda _status: False) -> None:
        self.refuses = refuses
        self.version = 1
        self.status: dict[str, Any] = {}
        self.tries = 0

    async def replace(self, _resource: object, body: dict[str, Any], *, subresource: str) -> dict[str, Any]:
        assert subresource == "status"
        self.tries += 1
        if self.refuses(body["status"]):
            raise Invalid(422, "Invalid", "no")
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict(409, "Conflict", "changed")
        self.put(body["status"])
        return await self.get()

    def put(self, status: dict[str, Any]) -> None:
        self.status, self.version = status, self.version + 1

    async def get(self, *_: object, **__: object) -> dict[str, Any]:
        metadata = {"name": "e", "namespace": "ns", "uid": "u", "resourceVersion": str(self.version)}
        return {"metadata": metadata, "status": self.status}


class Writing:
    """A writer at work, what it told, and whether this process leads."""

    def __init__(self, server: Server) -> None:
        self.told: list[str] = []
        self.refused: list[str] = []
        self.leads = True
        self.asked = 0
        self.writer = StatusWriter(
            cast("KubeClient", server),
            ObjectMeta(name="e", namespace="ns", uid="u", resource_version="1"),
            pace=StatusPace(0.5),
            on_written=lambda _stored, _sequence: None,
            on_refused=self.refused.append,
            on_touched=self.told.append,
            demand_lead=self.demand_lead,
            seal_key=KEY,
        )
        self.task = asyncio.create_task(self.writer.run())

    async def demand_lead(self) -> None:
        self.asked += 1
        if not self.leads:
            raise DeposedError("another leader")

    async def write(self, status: DRPlanExecutionStatus) -> None:
        self.writer.offer(status, urgent=True)
        await self.writer.flush()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def test_a_final_status_that_is_refused_in_every_form_does_not_keep_its_run() -> None:
    server = Server(refuses=lambda _status: True)
    writing = Writing(server)
    async with asyncio.timeout(5):
        await writing.write(ENDED)
    assert server.tries == 3
    assert writing.refused
    await writing.stop()


async def test_of_a_final_status_as_much_is_stored_as_is_taken() -> None:
    server = Server(refuses=lambda status: "journalSequence" in status)
    writing = Writing(server)
    async with asyncio.timeout(5):
        await writing.write(ENDED)
    assert server.status == {"phase": "Succeeded", "message": "done"}
    await writing.stop()


@pytest.mark.parametrize("lie", [{"phase": "Failed"}, {"phase": "Succeeded", "journalSequence": 2**62}, {}])
async def test_what_somebody_else_wrote_is_told_and_written_over(lie: dict[str, Any]) -> None:
    server = Server()
    writing = Writing(server)
    await writing.write(RUNNING)
    server.put(lie)
    await writing.write(RUNNING.model_copy(update={"journal_sequence": 5}))
    assert server.status["journalSequence"] == 5
    assert is_sealed(KEY, "u", server.status)
    assert writing.asked == 1
    assert writing.told == ["The status of this running execution was changed by somebody else; it is written again"]
    await writing.stop()


async def test_a_change_is_written_over_as_soon_as_it_is_seen() -> None:
    server = Server()
    writing = Writing(server)
    await writing.write(RUNNING)
    written = await server.get()
    writing.writer.note_stored(written)
    server.put({"phase": "Failed"})
    writing.writer.note_stored(await server.get())
    await asyncio.sleep(1)
    assert server.status["phase"] == "Running"
    assert len(writing.told) == 1
    await writing.stop()


async def test_only_the_journal_deposes() -> None:
    server = Server()
    writing = Writing(server)
    await writing.write(RUNNING)
    server.put({"phase": "Running", "journalSequence": 9})
    writing.leads = False
    writing.writer.offer(RUNNING.model_copy(update={"journal_sequence": 5}), urgent=True)
    with pytest.raises(DeposedError):
        await writing.task
