"""Fresh reads of the cluster for the API. Nothing is kept between requests, so any replica answers any page.

Lists of executions come as Tables and are reduced to one page while they pass: the API server lists by name, and newest
first needs a look at all of them, but not at their statuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from app.kube.client import KubeClient
from app.kube.errors import BadRequest, Gone, NotFound
from app.kube.resources import EXECUTIONS, PLANS, Resource
from app.kube.tables import table_rows
from app.models.execution import DRPlanExecution
from app.runtime.parts import decoded
from app.runtime.workers import Workers
from app.service.api.large import MOST_STORED, bounded, timeline_bytes, unreadable
from app.service.api.models import (
    ExecutionItem,
    ExecutionList,
    History,
    ListMetadata,
    PlanDetail,
    PlanItem,
    PlanList,
)
from app.service.api.params import ExecutionQuery, PageQuery, RunQuery, point_in_time
from app.service.api.plans import plan_detail, plan_item
from app.service.api.problems import ProblemError, as_problem, bad_parameters, unavailable
from app.service.api.records import (
    COLUMNS,
    Filter,
    Window,
    gone,
    history_item,
    item_of,
    item_of_record,
    item_of_row,
    records_of,
)
from app.service.api.tokens import Position, bad_token, read_position, read_token, write_position, write_token

CHUNK = 200
"""Rows of one read: decoding them takes a few milliseconds, which reviews on the same event loop wait."""

PLAN_CHUNK = 100
SCANS_AT_ONCE = 2
READ_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """A list as it was asked for: what is wanted, from where on, and the name of the request in tokens."""

    scope: str
    wanted: Filter
    after: Position | None
    limit: int

    def metadata(self, window: Window) -> ListMetadata:
        token = None
        if window.remaining:
            last = window.items[-1]
            at = Position(last.created.timestamp(), last.namespace, last.name, self.wanted.since, self.wanted.until)
            token = write_position(self.scope, at)
        return ListMetadata(continue_=token, remaining_item_count=window.remaining)


class Reader:
    """Answers the questions of the API."""

    def __init__(self, kube: KubeClient, workers: Workers | None = None) -> None:
        self._kube = kube
        self._workers = workers
        self._scans = asyncio.Semaphore(SCANS_AT_ONCE)

    async def plans(self, namespace: str | None, query: PageQuery) -> PlanList:
        """A page of plans, by namespace and name."""
        scope = f"plans/{namespace or ''}"
        token = _server_token(scope, query.continue_)
        items: list[PlanItem] = []
        remaining: int | None = 0
        while len(items) < query.limit:
            with as_problem("cannot list plans"):
                try:
                    page = await self._kube.list(
                        PLANS,
                        namespace=namespace,
                        limit=min(PLAN_CHUNK, query.limit - len(items)),
                        continue_token=token,
                        timeout=READ_SECONDS,
                    )
                except BadRequest as error:
                    if token is None:
                        raise
                    raise bad_token() from error
            items += map(plan_item, page["items"])
            metadata = page.get("metadata") or {}
            token, remaining = metadata.get("continue") or None, metadata.get("remainingItemCount")
            if token is None:
                remaining = 0
                break
        following = write_token(scope, token) if token else None
        metadata_of_page = ListMetadata(continue_=following, remaining_item_count=remaining)
        return PlanList(metadata=metadata_of_page, items=tuple(items))

    async def plan(self, namespace: str, name: str) -> PlanDetail:
        """One plan."""
        what = f"plan {namespace}/{name}"
        with (
            as_problem(f"cannot read {what}", _no_plan(namespace, name)),
            bounded(what, _command(PLANS, namespace, name)),
        ):
            stored = await self._read(PLANS, namespace, name)
        try:
            return plan_detail(stored)
        except ValidationError as error:
            raise unreadable(what, error) from error

    async def _read(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        return await self._kube.get(resource, name, namespace=namespace, timeout=READ_SECONDS, max_bytes=MOST_STORED)

    async def executions(self, namespace: str | None, query: ExecutionQuery) -> ExecutionList:
        """A page of executions, newest first."""
        asked = _asked(f"executions/{namespace or ''}", query, query.plan)
        window = Window(asked.wanted, asked.limit, asked.after)
        async for items in self._scan(namespace, asked.wanted):
            window.add(items)
        return ExecutionList(metadata=asked.metadata(window), items=tuple(window.items))

    async def history(self, namespace: str, name: str, query: RunQuery) -> History:
        """A page of all runs of a plan that the cluster knows of, newest first."""
        asked = _asked(f"history/{namespace}/{name}", query, name)
        with as_problem(f"cannot read plan {namespace}/{name}"):
            try:
                with bounded(f"plan {namespace}/{name}", _command(PLANS, namespace, name)):
                    stored = await self._read(PLANS, namespace, name)
            except NotFound:
                stored = None
        window = Window(asked.wanted, asked.limit, asked.after)
        uids: set[str] = set()
        names: set[str] = set()
        async for items in self._scan(namespace, Filter(plan=name)):
            own = [item for item in items if item.plan == name]
            uids.update(item.uid for item in own)
            names.update(item.name for item in own)
            window.add(own)
        if stored is None and not uids:
            raise ProblemError(HTTPStatus.NOT_FOUND, _no_plan(namespace, name))
        left = [item_of_record(record, name) for record in gone(records_of(stored or {}), uids, names)]
        window.add(left)
        left_ids = {id(item) for item in left}
        runs = tuple(history_item(item, exists=id(item) not in left_ids) for item in window.items)
        return History(plan=name, plan_exists=stored is not None, metadata=asked.metadata(window), items=runs)

    async def execution(self, namespace: str, name: str) -> dict[str, Any]:
        """One execution with its status as stored, in wire form."""
        stored = await self._stored(namespace, name)
        item = item_of(await _decoded({**stored, "status": {**(stored.get("status") or {}), "stageStatuses": []}}))
        return {**item.model_dump(mode="json", exclude_none=True), "status": stored.get("status") or {}}

    async def timeline(self, namespace: str, name: str) -> bytes:
        """What happened in one execution, as the JSON text of a `Timeline`."""
        stored = await self._stored(namespace, name)
        what, command = f"execution {namespace}/{name}", _command(EXECUTIONS, namespace, name)
        return await timeline_bytes(stored, what, command, self._workers)

    async def _stored(self, namespace: str, name: str) -> dict[str, Any]:
        missing = (
            f"there is no execution {name} in namespace {namespace}; GET /api/v1/namespaces/{namespace}/executions "
            "lists those that exist"
        )
        what = f"execution {namespace}/{name}"
        with as_problem(f"cannot read {what}", missing), bounded(what, _command(EXECUTIONS, namespace, name)):
            return await self._read(EXECUTIONS, namespace, name)

    async def _scan(self, namespace: str | None, wanted: Filter) -> AsyncIterator[list[ExecutionItem]]:
        """Yield executions in chunks, those that the API server selects. Without selectable fields it gives all."""
        selector = wanted.field_selector()
        token: str | None = None
        async with self._scans:
            while True:
                with as_problem("cannot list executions"):
                    try:
                        table = await self._kube.table(
                            EXECUTIONS,
                            namespace=namespace,
                            field_selector=selector,
                            limit=CHUNK,
                            continue_token=token,
                            timeout=READ_SECONDS,
                        )
                    except BadRequest:
                        if selector is None or token is not None:
                            raise
                        selector = None
                        continue
                    except Gone as error:
                        raise unavailable("the list of executions expired while it was read; ask again") from error
                    yield [item_of_row(row) for row in table_rows(table, COLUMNS)]
                token = (table.get("metadata") or {}).get("continue") or None
                if token is None:
                    return


def _asked(kind: str, query: RunQuery, plan: str) -> _Asked:
    scope = "\n".join([kind, plan, query.phase or "", query.operation or "", query.since or "", query.until or ""])
    if query.continue_:
        after = read_position(scope, query.continue_)
        since, until = after.since, after.until
    else:
        after, now = None, datetime.now(UTC)
        since = point_in_time(query.since, now) if query.since else None
        until = point_in_time(query.until, now) if query.until else None
    if since and until and since >= until:
        raise bad_parameters({"since": f"found {since:%FT%TZ}, which is not before `until`, {until:%FT%TZ}"})
    return _Asked(scope, Filter(plan, query.phase, query.operation, since, until), after, query.limit)


def _server_token(scope: str, token: str) -> str | None:
    """The API server's own token inside one of ours."""
    if not token:
        return None
    match read_token(scope, token):
        case [str() as theirs]:
            return theirs
    raise bad_token()


async def _decoded(stored: dict[str, Any]) -> DRPlanExecution:
    try:
        return await decoded(DRPlanExecution, stored)
    except ValidationError as error:
        meta = stored["metadata"]
        raise unreadable(f"execution {meta.get('namespace')}/{meta.get('name')}", error) from error


def _command(resource: Resource, namespace: str, name: str) -> str:
    return f"kubectl get {resource.plural} {name} -n {namespace} -o yaml"


def _no_plan(namespace: str, name: str) -> str:
    return (
        f"there is no plan {name} in namespace {namespace}; GET /api/v1/namespaces/{namespace}/plans lists those "
        "that exist"
    )
