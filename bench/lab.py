"""drplan on a real control plane with a target, and the verbs that the cases are written in."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import floor as floors
from bench import target as targets
from bench.client import Client
from bench.figures import Cost, Figure, Results
from bench.objects import Json, collection, execution, http_action, plan, use, workflow
from bench.processes import cpu_seconds
from bench.watch import PATIENCE, Seen, Watch, watching
from devcluster import ControlPlane, ServiceProcess, WebhookProcess, register_webhooks, start_controller, start_webhook
from drplan.dev_up import crds_folder

FLOOR = "floor"
"""Namespace, workflow, plan and execution that the floor is measured with."""
THREADS = 4
"""Connections that make many objects at once."""


@dataclass(slots=True)
class Lab:
    """Everything a case needs. `rounds` is how often it measures."""

    plane: ControlPlane
    target: targets.Target
    webhook: WebhookProcess
    controller: ServiceProcess
    rounds: int
    results: Results = field(default_factory=Results)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def client(self) -> Client:
        """A new connection to the API server, as the admin."""
        return Client(self.plane.server, self.plane.authority.pem, self.plane.identity("admin").token)

    @contextmanager
    def space(self, prefix: str) -> Iterator[Space]:
        """A namespace of its own, watched until the end of the block."""
        name = f"{prefix}-{next(self._numbers)}" if prefix != FLOOR else FLOOR
        self.plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        with self.client() as client, watching(self.plane, name) as watch:
            yield Space(self, name, client, watch)

    def floor(self) -> floors.Floor:
        """Measure what bare requests take now."""
        with self.client() as client:
            return floors.measure(client, FLOOR, FLOOR, self.target.url)

    def add(self, *figures: Figure) -> None:
        """Keep figures for the table."""
        self.results.figures += figures

    def cpu(self) -> dict[str, float]:
        """Processor seconds of every process so far, this one included, because it shares the cores."""
        pids = {name: part.pid for name, part in self.plane.components.items()}
        pids |= {"controller": self.controller.pid, "webhook": self.webhook.pid, "target": self.target.pid}
        return {name: cpu_seconds(pid) for name, pid in pids.items()} | {"benchmark": time.process_time()}

    def journal_bytes(self) -> int:
        """Bytes that the controller has written to its journal since it was started."""
        lines = self.controller.metrics().splitlines()
        return int(sum(float(line.split()[1]) for line in lines if line.startswith("drplan_journal_bytes_total")))


@dataclass(frozen=True, slots=True)
class Run:
    """One execution: when its creation was sent, and the event that showed its end."""

    started: float
    end: Seen

    @property
    def seconds(self) -> float:
        """From before the creation to the visible end."""
        return self.end.at - self.started


@dataclass(frozen=True, slots=True)
class Space:
    """One namespace of the lab."""

    lab: Lab
    name: str
    client: Client
    watch: Watch

    def create(self, *objects: Json) -> None:
        """Create workflows, plans and executions."""
        for obj in objects:
            self.client.request("POST", collection(obj["kind"], self.name), obj)

    def create_at_once(self, objects: Iterable[Json]) -> None:
        """Create many objects with several connections."""
        self.at_once(lambda client, obj: client.request("POST", collection(obj["kind"], self.name), obj), objects)

    def at_once(self, work: Callable[[Client, Json], object], objects: Iterable[Json]) -> None:
        """Do the same for many objects, with several connections."""
        own = threading.local()

        def one(obj: Json) -> None:
            if not hasattr(own, "client"):
                own.client = self.lab.client()
            work(own.client, obj)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, objects))

    def get(self, kind: str, name: str) -> Json:
        """Read one object."""
        return self.client.request("GET", f"{collection(kind, self.name)}/{name}")

    def wait_free(self, *plans: str) -> None:
        """Wait until plans are valid and nothing runs them."""
        for name in plans:
            self.wait(lambda name=name: self._is_free(name), f"plan {name} to be ready")  # type: ignore[misc]

    def wait(self, done: Callable[[], object], what: str) -> None:
        """Poll for something that is not measured."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: waited {PATIENCE:g} s for {what}")
            time.sleep(0.02)

    def run(self, obj: Json) -> Run:
        """Create an execution and wait for its end."""
        started = time.perf_counter()
        self.create(obj)
        return Run(started, self.watch.wait_phase(obj["metadata"]["name"]))

    def timed_runs(self, plan: str, make: Callable[[int], Json]) -> list[float]:
        """Run a plan once to warm up, and then `rounds` times; return the seconds."""
        seconds = []
        for number in range(-1, self.lab.rounds):
            self.wait_free(plan)
            seconds.append(self.run(make(number + 1)).seconds)
        return seconds[1:]

    @contextmanager
    def costing(self, case: str, names: Callable[[], Iterable[str]]) -> Iterator[None]:
        """Keep what the block costs; `names` gives the executions whose statuses count."""
        lab = self.lab
        mark, cpu, journal = lab.plane.audit.mark(), lab.cpu(), lab.journal_bytes()
        yield
        cpu = {name: round(after - cpu[name], 3) for name, after in lab.cpu().items() if name in cpu}
        journal = lab.journal_bytes() - journal
        time.sleep(0.2)  # the API server notes a request a moment after its answer
        user = lab.plane.identity("controller").username
        asked = [r for r in lab.plane.audit.since(mark, user=user) if r.verb != "watch" and r.resource != "leases"]
        requests = Counter(f"{r.verb} {r.resource}{'/' + r.subresource if r.subresource else ''}" for r in asked)
        statuses = [self.watch.status_writes(name) for name in names()]
        to_journal = [r for r in asked if r.name.startswith("drplan-journal-") and r.verb in ("create", "update")]
        lab.results.keep(
            Cost(
                case=case,
                requests=dict(requests.most_common()),
                status_writes=sum(count for count, _ in statuses),
                status_bytes=sum(size for _, size in statuses),
                journal_writes=len(to_journal),
                journal_bytes=journal,
                cpu=cpu,
            )
        )

    def _is_free(self, name: str) -> bool:
        status = self.get("DRPlan", name).get("status") or {}
        return status.get("phase") in ("Ready", "Executed") and "currentExecution" not in status


@contextmanager
def installed(rounds: int) -> Iterator[Lab]:
    """A control plane with webhook service and controller, as processes of their own, until the end of the block."""
    with ControlPlane("minimal") as plane, targets.serving() as target:
        plane.api.install_crds(crds_folder())
        plane.install_clusternet()
        webhook = start_webhook(plane)
        register_webhooks(plane, webhook)
        lab = Lab(plane, target, webhook, start_controller(plane), rounds)
        _prepare_floor(lab)
        yield lab


def _prepare_floor(lab: Lab) -> None:
    with lab.space(FLOOR) as space:
        action = http_action("call", f"{lab.target.url}/floor/run")
        space.create(floors.config_map(0), workflow(FLOOR, [action]), plan(FLOOR, [[use(FLOOR)]]))
        space.wait_free(FLOOR)
        space.run(execution(FLOOR, FLOOR))
        space.wait_free(FLOOR)
