"""From changes in the caches to keys to reconcile."""

from __future__ import annotations

from typing import Any

from app.kube.stream import EventType
from app.models.stored import members
from controller.executions import cancel_message_of
from controller.indices import BY_PLAN, BY_WORKFLOW, OF_EXECUTIONS, OF_PLANS
from controller.lanes import Key
from controller.queue import WorkQueue
from controller.run.inheritance import Inheritance
from controller.run.runs import Runs
from controller.services import Services
from controller.start.interruption import Starting


class Feed:
    """Turns changes in the caches into keys to reconcile."""

    def __init__(
        self,
        services: Services,
        runs: Runs,
        inheritance: Inheritance,
        starting: Starting,
        workflows: WorkQueue,
        plans: WorkQueue,
        executions: WorkQueue,
    ) -> None:
        self._services = services
        self._runs = runs
        self._inheritance = inheritance
        self._starting = starting
        self._workflows = workflows
        self._plans = plans
        self._executions = executions

    def connect(self) -> None:
        """Index and follow the caches; what they have already is reconciled first."""
        services = self._services
        for name, index in OF_PLANS.items():
            services.plans.add_index(name, index)
        for name, index in OF_EXECUTIONS.items():
            services.executions.add_index(name, index)
        services.workflows.subscribe(self._on_workflow)
        services.plans.subscribe(self._on_plan)
        services.executions.subscribe(self._on_execution)
        for cache, queue in (
            (services.workflows, self._workflows),
            (services.plans, self._plans),
            (services.executions, self._executions),
        ):
            for obj in cache.items():
                queue.add(key_of(obj))

    def _on_workflow(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        del event
        obj = new or old
        if obj is None:
            return
        key = key_of(obj)
        if new is not None:
            self._workflows.add(key)
        if old is None or new is None or _verdict(old) != _verdict(new):
            for plan in self._services.plans.by_index(BY_WORKFLOW, "/".join(key)):
                self._plans.add(key_of(plan))

    def _on_plan(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        del event, old
        if new is None:
            return
        key = key_of(new)
        self._plans.add(key)
        for execution in self._services.executions.by_index(BY_PLAN, "/".join(key)):
            self._executions.add(key_of(execution))

    def _on_execution(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        del event
        if new is None:
            if old is not None:
                self._inheritance.forget(old["metadata"]["uid"])
                self._plans.add((key_of(old)[0], str(members(old.get("spec")).get("planRef", ""))))
                run = self._runs.get(old["metadata"]["uid"])
                if run is not None:
                    run.cancel("Execution removed while running")
                self._starting.interrupt(old["metadata"]["uid"])
            return
        run = self._runs.get(new["metadata"]["uid"])
        if message := cancel_message_of(new["metadata"]):
            self._starting.interrupt(new["metadata"]["uid"])
            if run is not None:
                run.cancel(message)
        if run is not None:
            run.writer.note_stored(new)
        if old is not None and run is not None and not _metadata_changed(old, new):
            return
        self._executions.add(key_of(new))


def key_of(obj: dict[str, Any]) -> Key:
    """Return namespace and name of an object."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _verdict(workflow: dict[str, Any]) -> tuple[object, ...]:
    """Return what of a workflow the validity of its plans depends on."""
    status = workflow.get("status") or {}
    return workflow["metadata"].get("generation"), status.get("phase"), status.get("observedGeneration")


def _metadata_changed(old: dict[str, Any], new: dict[str, Any]) -> bool:
    watched = ("annotations", "labels", "finalizers", "deletionTimestamp", "generation", "uid")
    return any(old["metadata"].get(member) != new["metadata"].get(member) for member in watched)
