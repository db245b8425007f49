"""Small parts of requests and answers: query parameters, names and namespaces of bodies, JSON objects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from app.kube.errors import ApiError, ApiUnavailable, IllegalName, TooDeep
from app.kube.resources import Resource
from app.rules.levels import cut, is_depth_error

JsonObject = dict[str, Any]


def make_query(**values: str | int | None) -> dict[str, str]:
    """Query parameters as text, without those that are None. A name that Python keeps for itself ends in `_`."""
    return {key.removesuffix("_"): str(value) for key, value in values.items() if value is not None}


def name_of(body: Mapping[str, Any]) -> str:
    """Return the name in an object's metadata; IllegalName when there is none."""
    name = (body.get("metadata") or {}).get("name")
    if not isinstance(name, str) or not name:
        raise IllegalName(f"metadata.name of a {body.get('kind', 'object')} is missing")
    return name


def namespace_for(resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> str | None:
    """Return the namespace given, else that of the object; IllegalName when a namespaced resource has neither."""
    found = namespace or (body.get("metadata") or {}).get("namespace")
    if resource.namespaced and not found:
        raise IllegalName(f"metadata.namespace of a {resource.kind} is missing")
    return found


async def parse_collection(content: bytes, server: str) -> JsonObject:
    """Return an answer's JSON object, as of a list; an item that is nested too deeply is left out, no other."""
    try:
        return parse_object(content, server)
    except TooDeep:
        return parse_object(await asyncio.to_thread(cut, content), server)


def parse_object(content: bytes, server: str) -> JsonObject:
    """Return an answer's JSON object.

    Raises ApiUnavailable when what answered is no API server, TooDeep for an object of too many levels.
    """
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError as e:
        if is_depth_error(e):
            raise TooDeep from e
        raise ApiUnavailable(
            f"the API server {server} answered with something that is no JSON; check what listens there",
            server=server,
            in_doubt=True,
        ) from e
    if not isinstance(parsed, dict):
        raise ApiError(502, "BadGateway", f"the API server {server} answered with JSON that is no object")
    return parsed
