"""A controller in the test's own event loop, on an API server in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from app.kube.client import KubeClient
from app.kube.events import EventRecorder
from app.kube.lease import LeaderLease
from app.kube.leased import LeasedKubeClient
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS, Resource
from app.runtime.http_client import HttpCall, HttpReply, HttpSender
from app.runtime.pod import Identity
from app.runtime.settings import ControllerSettings
from app.runtime.tasks import TaskOwner
from app.runtime.tracing import Traces
from app.runtime.workers import Workers
from controller.leader import lead
from controller.main import caches_of, journal_of, services_of
from controller.process import Process
from tests.support.installation import execution, revert
from tests.support.memory.api import MemoryApi, MemoryTransport, Object

OWN = "drplan-system"
KINDS: Mapping[str, Resource] = {each.kind: each for each in (WORKFLOWS, PLANS, EXECUTIONS)}
SECONDS = 20.0
"""How long anything is waited for."""

Answer = Callable[[HttpCall], HttpReply]


def answered(status: int = 200, body: bytes = b"ok") -> HttpReply:
    """An answer of a target."""
    return HttpReply(status, {}, body, truncated=False)


class Site:
    """The targets of HTTP actions: each call is noted; `answers` has what a path answers, or a gate to wait at.

    `rows` has answers for one call each, the last of which stays. `keys` are the idempotency keys of the calls.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.keys: list[tuple[str, str]] = []
        self.answers: dict[str, int] = {}
        self.rows: dict[str, list[int]] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def send(self, call: HttpCall) -> HttpReply:
        """Answer one call, in place of `HttpSender.send`."""
        path = call.url.removeprefix("http://site.invalid")
        self.calls.append(path)
        headers = {name.lower(): value for name, value in call.headers.items()}
        self.keys.append((path, headers.get("idempotency-key", "")))
        if path in self.gates:
            async with asyncio.timeout(SECONDS):
                await self.gates[path].wait()
        row = self.rows.get(path)
        status = self.answers.get(path, 200) if row is None else row.pop(0) if len(row) > 1 else row[0]
        return answered(status, b"ok" if status < 300 else b"no")


def client_of(transport: MemoryTransport) -> KubeClient:
    """Return a client whose requests go by a transport."""
    kube = KubeClient(transport.config)
    kube._transport = transport
    return kube


class MemoryController:
    """Users' commands and what they see, on a controller that runs in memory."""

    def __init__(self, api: MemoryApi, site: Site) -> None:
        self.api = api
        self.kube = client_of(MemoryTransport(api))
        """The users' client."""
        self.line = MemoryTransport(api)
        """The controller's own way to the API server."""
        self.site = site
        self.lease = 1e9
        self.dead = False
        """Set to end it as by SIGKILL: nothing it has under way is wound down."""

    async def apply(self, *objects: Mapping[str, Any], namespace: str = "ns") -> None:
        """Create objects of the three kinds."""
        for obj in objects:
            await self.kube.create(KINDS[obj["kind"]], obj, namespace=namespace)

    async def until(self, condition: Callable[[], object], what: str = "") -> Any:
        """Wait until a condition is true; return what it says."""
        async with asyncio.timeout(SECONDS):
            while not (found := condition()):
                await asyncio.sleep(0.005)
        return found

    def execution(self, name: str) -> Object:
        """A stored execution."""
        found = self.api.find(EXECUTIONS.plural, name)
        assert found is not None, name
        return found

    def status(self, name: str) -> Object:
        """The status of an execution."""
        return cast("Object", self.execution(name).get("status") or {})

    def plan_status(self, name: str) -> Object:
        """The status of a plan."""
        return cast("Object", (self.api.find(PLANS.plural, name) or {}).get("status") or {})

    async def ended(self, name: str, phase: str = "Succeeded") -> Object:
        """Wait until an execution has ended and its plan is free; return its status."""
        await self.until(lambda: self.status(name).get("phase") in ("Succeeded", "Failed", "Cancelled"))
        status = self.status(name)
        assert status["phase"] == phase, status
        plan = self.execution(name)["spec"]["planRef"]
        held = lambda: (self.plan_status(plan).get("currentExecution") or {}).get("name")  # noqa: E731
        await self.until(lambda: held() != name)
        return status

    async def run(self, name: str, plan: str, phase: str = "Succeeded", **spec: Any) -> Object:
        """Execute a plan to its end; return the status."""
        await self.apply(execution(name, plan, **spec))
        return await self.ended(name, phase)

    async def take_back(self, name: str, plan: str, target: str, phase: str = "Succeeded", **spec: Any) -> Object:
        """Revert an execution to the end; return the status."""
        await self.apply(revert(name, plan, target, **spec))
        return await self.ended(name, phase)

    async def annotate(self, name: str, **annotations: str) -> None:
        """Annotate an execution, with the prefix of the group."""
        named = {f"dr.bkbcs.tencent.com/{key}": value for key, value in annotations.items()}
        await self.kube.patch(EXECUTIONS, name, {"metadata": {"annotations": named}}, namespace="ns")

    def events(self, name: str) -> list[str]:
        """The reasons of the Events about an object."""
        events = self.api.objects("events")
        return [each["reason"] for each in events if each["involvedObject"]["name"] == name]


@contextlib.asynccontextmanager
async def controller(
    api: MemoryApi | None = None, site: Site | None = None, **settings: Any
) -> AsyncIterator[MemoryController]:
    """A leader that runs until the end of the block, and is then shut down as by SIGTERM."""
    api, site = api or MemoryApi(), site or Site()
    made = MemoryController(api, site)
    plain = client_of(made.line)
    kube = LeasedKubeClient(plain, lambda: made.lease)
    chosen = ControllerSettings(namespace=OWN, status_interval=0.05, shutdown_grace=0.2, **settings)
    async with Workers("memory") as workers, TaskOwner("memory") as owner:
        process = Process(
            settings=chosen,
            identity=Identity("memory"),
            kube=kube,
            unleased=plain,
            http=cast("HttpSender", site),
            workers=workers,
            recorder=EventRecorder(kube, instance="memory"),
            lease=LeaderLease(plain, namespace=OWN, identity="memory"),
            remaining=lambda: made.lease,
            traces=Traces(),
            caches=caches_of(kube),
        )
        journal = journal_of(process)
        for cache in process.caches.values():
            owner.spawn(f"cache/{cache.resource.plural}", cache.run())
            await cache.wait_synced(SECONDS)
        owner.spawn("events", process.recorder.run())
        recovered = await journal.claim()
        leading = owner.spawn("lead", lead(services_of(process, journal), recovered, process.stop))
        try:
            yield made
        finally:
            if made.dead:
                made.line.cut = True
                made.lease = 0.0
            else:
                process.stop.set()
                async with asyncio.timeout(SECONDS):
                    await asyncio.wait({leading})
            owner.cancel_all()
