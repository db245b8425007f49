"""Answers: JSON with a strong ETag of its content, 304 for who has it already, gzip for who takes it.

Starlette's GZipMiddleware is not used because it compresses on the event loop, where reviews wait, and leaves the ETag
of the uncompressed form on the compressed one.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel

from app.service.api.problems import ProblemError

COMPRESSED_FROM = 1024
"""Bytes from which an answer is compressed."""

_LEVEL = 5
_ALWAYS = {
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


async def answer(request: Request, found: BaseModel | dict[str, Any] | bytes) -> Response:
    """The answer 200 with `found`, or 304."""
    if isinstance(found, bytes):
        return await answer_bytes(request, found)
    data = found.model_dump(mode="json", exclude_none=True) if isinstance(found, BaseModel) else found
    return await answer_bytes(request, orjson.dumps(data))


async def answer_bytes(request: Request, body: bytes) -> Response:
    """The answer 200 with a JSON text, or 304."""
    zipped = len(body) >= COMPRESSED_FROM and takes_gzip(request.headers.get("Accept-Encoding", ""))
    digest = hashlib.sha256(body).hexdigest()[:32]
    headers = {**_ALWAYS, "ETag": f'"{digest}-gzip"' if zipped else f'"{digest}"'}
    if _known(request.headers.get("If-None-Match", ""), digest):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if zipped:
        body = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type="application/json")


def problem(error: ProblemError) -> Response:
    """The answer to a request that cannot be served."""
    body = orjson.dumps(error.status().model_dump(mode="json", exclude_none=True))
    headers = {**_ALWAYS, "Cache-Control": "no-store", **error.headers}
    return Response(body, int(error.code), headers, media_type="application/json")


def takes_gzip(accept_encoding: str) -> bool:
    """Tell whether a client takes gzip (RFC 9110, section 12.5.3)."""
    weights: dict[str, bool] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        weights[coding.strip()] = parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return weights.get("gzip", weights.get("*", False))


def _known(if_none_match: str, digest: str) -> bool:
    """Tell whether the client has this content, in whatever encoding."""
    tags = (tag.strip().removeprefix("W/").strip('"').removesuffix("-gzip") for tag in if_none_match.split(","))
    return any(tag in ("*", digest) for tag in tags)
