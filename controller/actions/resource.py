"""KubernetesResource actions: any objects, by manifest (contract: actions 5; decisions A3, A5, R8)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.cel.ready import ReadyWhen, ReadyWhenError, compile_ready_when
from app.engine.amounts import too_long
from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.outputs import united
from app.engine.templates import UnresolvedPlaceholdersError, render
from app.engine.vanishing import works_once
from app.kube.errors import KubeError, NotServed, UnknownKind
from app.kube.resources import Resource
from app.models.actions import ActionBody, ActionType, ResourceOperation, operation_of, reads_strictly
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from app.rules.manifests.trees import ManifestError
from app.runtime.workers import Workers, WorkFailedError
from controller.actions import objects
from controller.actions.attempts import Settling, failed, timed_out, within_deadline
from controller.actions.base import ActionContext
from controller.actions.doubt import resolve_doubt
from controller.actions.job_ttl import is_expiring
from controller.actions.manifests import needed_first, read_manifest
from controller.actions.objects import Made, Target
from controller.actions.ownership import is_being_deleted, is_own, uid_of
from controller.actions.ready import is_definition_of, propagation_of, wait_ready
from controller.actions.resource_rollback import roll_back
from controller.actions.undo import goes_back_by_itself
from controller.actions.waiting import WaitTimeoutError

ESTABLISHED_SECONDS = 0.3
"""Between two questions for a kind whose CustomResourceDefinition the same manifest brings."""


class ResourceExecutor:
    """Creates, applies, patches or deletes the objects of a manifest, in their order.

    Without workers, manifests of any size are read in the event loop.
    """

    def __init__(self, workers: Workers | None = None) -> None:
        self._workers = workers

    async def execute(self, body: ActionBody, context: ActionContext) -> Outcome:
        """Work the documents off; the first that fails ends the attempt. Outputs name what was done until then."""
        block = body.resource
        if block is None:
            return Failed("KubernetesResource configuration is required")
        try:
            text = render(block.manifest, context.scope)
            documents = await read_manifest(text, self._workers, strict=reads_strictly(body))
        except UnresolvedPlaceholdersError as error:
            return Failed(f"failed to render manifest: {error}")
        except ManifestError as error:
            return Failed(f"failed to parse manifest: {error}")
        except WorkFailedError as error:
            return Failed(f"failed to read the manifest: {error}")
        if problem := too_long(documents, context.execution_namespace):
            return Failed(problem)
        operation = operation_of(body, ActionType.KUBERNETES_RESOURCE) or ResourceOperation.CREATE
        try:
            ready_when = compile_ready_when(body.ready_when) if body.wait_ready and body.ready_when else None
        except ReadyWhenError as error:
            return Failed(str(error))
        run = _Attempt(context, operation, documents, wait=body.wait_ready, ready_when=ready_when)
        return await within_deadline(context, run.work, run.last_look, run.outputs)

    async def rollback(self, body: ActionBody, outputs: ActionOutputs, context: ActionContext) -> Outcome:
        """Delete what the run created, restore what it changed, make what it deleted again; last document first."""
        operation = operation_of(body, ActionType.KUBERNETES_RESOURCE) or ResourceOperation.CREATE
        refs = outputs.resource_refs or ((outputs.resource_ref,) if outputs.resource_ref else ())
        if not (refs and goes_back_by_itself(context.rollback_policy, operation)):
            return NothingToDo(f"No automatic rollback for {operation} operation")
        return await roll_back(context, refs, operation)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at one object tells after the time-out."""

    done: bool
    """Whether its document is certainly done."""
    ref: CoreReference | None = None
    """The object, if the action may have touched it."""
    why: str = ""
    """What kept its document from being done, if that is known."""


class _Attempt:
    """One attempt over the documents of a manifest."""

    def __init__(
        self,
        context: ActionContext,
        operation: ResourceOperation,
        documents: Sequence[dict[str, Any]],
        *,
        wait: bool,
        ready_when: ReadyWhen | None = None,
    ) -> None:
        self._context = context
        self._operation = operation
        self._documents = documents if operation is ResourceOperation.DELETE else needed_first(tuple(documents))
        self._wait = wait
        self._ready_when = ready_when
        self._targets: list[Target] = []
        """Of the documents that were worked off, in their order."""
        self._made = Made()
        self._expiring: list[str] = []
        """UIDs of the Jobs that their lifetime removes."""
        self._remains: list[str] = []
        """What was deleted and is not gone, where that is not waited for."""

    async def work(self) -> Outcome | Settling:
        """Work off all documents."""
        for document in self._documents:
            try:
                await self._work_off(document)
            except KubeError as error:
                return failed(error, self.outputs(), prefix=self._blame(document))
        return self._settle if self._wait else self._succeeded()

    async def _work_off(self, document: dict[str, Any]) -> None:
        """Carry one document out. When its kind is no longer served as it was known to be, it is looked up afresh."""
        for known_before in (True, False):
            target = await self._target(document)
            try:
                with self._made.making(target):
                    self._made.refs.append(await self._carry_out(target, document))
            except NotServed:
                if not known_before:
                    raise
            else:
                self._targets.append(target)
                return

    async def last_look(self) -> Outcome:
        """Find what was made although nobody saw it end; succeed if that is all there was to do."""
        start, reasons, complete = len(self._targets), list[str](), True
        for document in self._documents[start:]:
            target = await self._target(document)
            with self._made.making(target):
                found = await self._found(target, document)
                if found.ref is not None:
                    self._made.refs.append(found.ref)
                    self._targets.append(target)
            complete &= found.done
            reasons += [found.why] if found.why else []
        if not complete:
            return timed_out(self._context, "; ".join(reasons), self.outputs())
        return await self._settle() if self._wait else self._succeeded()

    async def _found(self, target: Target, document: dict[str, Any]) -> _Found:
        if self._operation in (ResourceOperation.CREATE, ResourceOperation.APPLY):
            await resolve_doubt(self._context, target, document)
        live = await objects.find(self._context, target)
        if self._operation is ResourceOperation.DELETE:
            meant = await objects.meant_to_go(self._context, target)
            gone = live is None or (meant != "" and uid_of(live) != meant)
            return _Found(gone, target.reference(meant) if gone or meant else None)
        if live is None:
            return _Found(done=False)
        if is_being_deleted(live):
            return _Found(done=False, why=objects.still_there(target, live))
        if is_own(live, self._context):
            if is_expiring(live):
                self._expiring.append(uid_of(live))
            return _Found(True, target.reference(uid_of(live)))
        changed, _ = await self._context.priors.load(objects.prior_key(self._context, target))
        return _Found(False, target.reference(uid_of(live)) if changed else None)

    async def _target(self, document: dict[str, Any]) -> Target:
        metadata = document["metadata"]
        resource = await self._resource(document)
        namespace = (metadata.get("namespace") or self._context.execution_namespace) if resource.namespaced else ""
        return Target(resource, namespace, metadata["name"])

    async def _resource(self, document: dict[str, Any]) -> Resource:
        """Return the type of a document; wait for it when a CustomResourceDefinition of this manifest brings it."""
        api_version, kind = document["apiVersion"], document["kind"]
        group = api_version.rpartition("/")[0]
        while True:
            try:
                return await self._context.kube.resource_for(api_version, kind)
            except UnknownKind:
                brought = any(is_definition_of(other, group, kind) for other in self._documents)
                if not brought or self._operation is ResourceOperation.DELETE or self._context.remaining() <= 0:
                    raise
            await asyncio.sleep(ESTABLISHED_SECONDS)

    async def _carry_out(self, target: Target, document: dict[str, Any]) -> CoreReference:
        place = {"namespace": target.namespace} if target.namespace else {}
        body = {**document, "metadata": {**document["metadata"], **place}}
        match self._operation:
            case ResourceOperation.APPLY:
                await resolve_doubt(self._context, target, body)
                made = await objects.apply(self._context, target, body)
            case ResourceOperation.PATCH:
                made = await objects.patch(self._context, target, body)
            case ResourceOperation.DELETE:
                propagation = propagation_of(target, waits=self._wait)
                removal = await objects.remove(self._context, target, propagation=propagation)
                if removal.remains and not self._wait:
                    self._remains.append(removal.remains)
                return target.reference(removal.uid)
            case _:
                await resolve_doubt(self._context, target, body)
                made = await objects.create(self._context, target, body)
        if self._operation is not ResourceOperation.PATCH and is_own(made, self._context) and is_expiring(made):
            self._expiring.append(uid_of(made))
        return target.reference(uid_of(made))

    async def _settle(self) -> Outcome:
        """Wait until every object is ready, or gone after a Delete."""
        if any(works_once(target.resource.group, target.resource.kind) for target in self._targets):
            self._context.reports.keep()
        for target, ref in zip(self._targets, self._made.refs, strict=True):
            try:
                problem = await self._ready(target, ref)
            except WaitTimeoutError as timeout:
                unfinished = "gone" if self._operation is ResourceOperation.DELETE else "ready"
                return timed_out(self._context, f"{_label(target)} is not {unfinished}: {timeout}", self.outputs())
            if problem:
                return Failed(f"{_label(target)} cannot become ready: {problem}", self.outputs())
        return self._succeeded()

    async def _ready(self, target: Target, ref: CoreReference) -> str:
        """Return why the object will never be ready, or gone, as it should be; empty text once it is."""
        if self._operation is not ResourceOperation.DELETE:
            return await wait_ready(self._context, target, ref.uid, self._ready_when)
        if ref.uid:
            await objects.gone(self._context, target, ref.uid)
        return ""

    def _blame(self, document: dict[str, Any]) -> str:
        """Say which of several documents an error is about; of a single one, the server's text alone is the message."""
        if len(self._documents) == 1:
            return ""
        return f"{document['kind']} {document['metadata']['name']}: "

    def _succeeded(self) -> Outcome:
        texts = (f"{_label(target)} {self._operation}" for target in self._targets)
        told = "; ".join([f"Resource {'; '.join(texts)} successfully", *self._remains])
        return Succeeded(told, self.outputs())

    def outputs(self) -> ActionOutputs | None:
        """Return references to what was made so far."""
        refs = united((), self._made.all())
        if not refs:
            return None
        return ActionOutputs(
            resource_ref=refs[0],
            resource_refs=refs if len(self._documents) > 1 else (),
            expiring=tuple(dict.fromkeys(self._expiring)),
        )


def _label(target: Target) -> str:
    """`Kind namespace/name`; the namespace of a cluster-scoped kind is empty (contract: actions 5)."""
    return f"{target.resource.kind} {target.namespace}/{target.name}"
