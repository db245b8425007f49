"""The paths of the API: each checks who asks, reads, and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.kube.access import Right
from app.kube.resources import EXECUTIONS, PLANS, Resource
from app.service.api.access import Gatekeeper
from app.service.api.answers import answer
from app.service.api.models import (
    ErrorStatus,
    ExecutionDetail,
    ExecutionList,
    History,
    PlanDetail,
    PlanList,
    Timeline,
)
from app.service.api.params import NAME_PATTERN, ExecutionQuery, NoQuery, PageQuery, RunQuery
from app.service.api.reads import Reader

Namespace = Annotated[str, Path(pattern=NAME_PATTERN, description="Namespace.")]
Name = Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the object.")]
Guard = Callable[[Request], Awaitable[None]]

_TAGGED = {
    "ETag": {"description": "Tag of the content, for `If-None-Match`.", "schema": {"type": "string"}},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"headers": _TAGGED},
    304: {"description": "The client has this content already (`If-None-Match`)."},
    400: {"model": ErrorStatus, "description": "A parameter cannot be used; `details.causes` names it."},
    401: {"model": ErrorStatus, "description": "No bearer token, or one that the cluster does not accept."},
    403: {"model": ErrorStatus, "description": "The user lacks the right that the message names."},
    404: {"model": ErrorStatus, "description": "There is no such object."},
    410: {"model": ErrorStatus, "description": "The token in `continue` has expired: begin with the first page."},
    422: {"model": ErrorStatus, "description": "The object is too large to be shown; the message has the command."},
    429: {"model": ErrorStatus, "description": "Too many requests at once: try again after `Retry-After` seconds."},
    503: {"model": ErrorStatus, "description": "The API server of the cluster does not answer."},
    504: {"model": ErrorStatus, "description": "The answer took too long."},
    "default": {"model": ErrorStatus, "description": "Any other error."},
}


def guard(gatekeeper: Gatekeeper, *rights: tuple[str, Resource]) -> Guard:
    """A dependency that lets in who has `rights` in the namespace of the path; `get` is about the object it names."""

    async def check(request: Request) -> None:
        user = await gatekeeper.user(request.headers.get("Authorization"))
        request.scope["drplan.user"] = user.name
        namespace = request.path_params.get("namespace", "")
        for verb, resource in rights:
            name = request.path_params.get("name", "") if verb == "get" else ""
            await gatekeeper.check(user, Right(verb, resource, namespace, name))

    return check


def plan_routes(reader: Reader, gatekeeper: Gatekeeper) -> APIRouter:
    """The paths of plans."""
    router = APIRouter(tags=["plans"], responses=_RESPONSES)
    may_list = [Depends(guard(gatekeeper, ("list", PLANS)))]
    may_get = [Depends(guard(gatekeeper, ("get", PLANS)))]
    may_get_runs = [Depends(guard(gatekeeper, ("get", PLANS), ("list", EXECUTIONS)))]

    @router.get("/plans", response_model=PlanList, dependencies=may_list, summary="Plans of all namespaces")
    async def list_all_plans(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        return await answer(request, await reader.plans(None, query))

    base = "/namespaces/{namespace}/plans"

    @router.get(base, response_model=PlanList, dependencies=may_list, summary="Plans of a namespace")
    async def list_plans(request: Request, namespace: Namespace, query: Annotated[PageQuery, Query()]) -> Response:
        return await answer(request, await reader.plans(namespace, query))

    @router.get(f"{base}/{{name}}", response_model=PlanDetail, dependencies=may_get, summary="One plan")
    async def get_plan(
        request: Request, namespace: Namespace, name: Name, _query: Annotated[NoQuery, Query()]
    ) -> Response:
        return await answer(request, await reader.plan(namespace, name))

    @router.get(
        f"{base}/{{name}}/history",
        response_model=History,
        dependencies=may_get_runs,
        summary="All known runs of a plan, newest first",
    )
    async def get_history(
        request: Request, namespace: Namespace, name: Name, query: Annotated[RunQuery, Query()]
    ) -> Response:
        return await answer(request, await reader.history(namespace, name, query))

    return router


def execution_routes(reader: Reader, gatekeeper: Gatekeeper) -> APIRouter:
    """The paths of executions."""
    router = APIRouter(tags=["executions"], responses=_RESPONSES)
    may_list = [Depends(guard(gatekeeper, ("list", EXECUTIONS)))]
    may_get = [Depends(guard(gatekeeper, ("get", EXECUTIONS)))]

    @router.get(
        "/executions",
        response_model=ExecutionList,
        dependencies=may_list,
        summary="Executions of all namespaces, newest first",
    )
    async def list_all_executions(request: Request, query: Annotated[ExecutionQuery, Query()]) -> Response:
        return await answer(request, await reader.executions(None, query))

    base = "/namespaces/{namespace}/executions"

    @router.get(
        base,
        response_model=ExecutionList,
        dependencies=may_list,
        summary="Executions of a namespace, newest first",
    )
    async def list_executions(
        request: Request, namespace: Namespace, query: Annotated[ExecutionQuery, Query()]
    ) -> Response:
        return await answer(request, await reader.executions(namespace, query))

    @router.get(f"{base}/{{name}}", response_model=ExecutionDetail, dependencies=may_get, summary="One execution")
    async def get_execution(
        request: Request, namespace: Namespace, name: Name, _query: Annotated[NoQuery, Query()]
    ) -> Response:
        return await answer(request, await reader.execution(namespace, name))

    @router.get(
        f"{base}/{{name}}/timeline",
        response_model=Timeline,
        dependencies=may_get,
        summary="What happened in one execution, in order",
    )
    async def get_timeline(
        request: Request, namespace: Namespace, name: Name, _query: Annotated[NoQuery, Query()]
    ) -> Response:
        return await answer(request, await reader.timeline(namespace, name))

    return router
