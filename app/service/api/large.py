"""Bounds of single answers, and making the large ones in a process of its own: reviews share this event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import orjson
from pydantic import ValidationError

from app.kube.errors import AnswerTooLarge
from app.models.execution import DRPlanExecution
from app.runtime.worker import Ask
from app.runtime.workers import BusyError, Workers, WorkFailedError
from app.service.api.problems import ProblemError, unavailable
from app.service.api.timeline import timeline_of

MOST_STORED: Final = 2 * 1024 * 1024
"""Bytes of an object that is read for an answer: etcd stores 1.5 MiB unless it is set up otherwise."""
MOST_ANSWERED: Final = 8 * 1024 * 1024
"""Bytes of an answer before compression."""
SMALL: Final = 64 * 1024
"""Bytes of an object of which the event loop makes the answer."""
_SECONDS: Final = 10.0
_MADE_HERE: Final = "app.service.api.large:timeline_here"


@contextmanager
def bounded(what: str, read_it: str) -> Iterator[None]:
    """Turn an object that is too large to be shown into a ProblemError; `read_it` is the command that shows it."""
    try:
        yield
    except AnswerTooLarge as error:
        raise too_large(what, MOST_STORED, read_it) from error


def too_large(what: str, most: int, read_it: str) -> ProblemError:
    """The error of what is too large to be shown."""
    text = f"{what} has more than {most // 2**20} MiB, which is not shown here; look at it with {read_it}"
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, text)


async def timeline_bytes(stored: dict[str, Any], what: str, read_it: str, workers: Workers | None) -> bytes:
    """Return the timeline of a stored execution as JSON text. Raises ProblemError."""
    data = orjson.dumps(stored)
    try:
        if workers is None or len(data) <= SMALL:
            body = timeline_text(stored)
        else:
            body = await workers.call(_MADE_HERE, data, seconds=_SECONDS)
    except ValidationError as error:
        raise unreadable(what, error) from error
    except BusyError as error:
        raise unavailable(f"{what}: {error}") from error
    except WorkFailedError as error:
        text = f"the timeline of {what} was not made: {error}; look at it with {read_it}"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, text) from error
    if isinstance(body, str):
        raise ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, f"{what} {body}")
    if len(body) > MOST_ANSWERED:
        raise too_large(f"the timeline of {what}", MOST_ANSWERED, read_it)
    return body


def timeline_text(stored: dict[str, Any]) -> bytes:
    """Return the timeline of a stored execution as JSON text. Raises ValidationError."""
    return orjson.dumps(timeline_of(DRPlanExecution.from_wire(stored)).model_dump(mode="json", exclude_none=True))


def timeline_here(ask: Ask, data: bytes) -> bytes | str:
    """Make a timeline, in a worker; a text says why there is none."""
    del ask
    try:
        return timeline_text(orjson.loads(data))
    except ValidationError as error:
        return _why(error)


def unreadable(what: str, error: ValidationError) -> ProblemError:
    """The error of an object that does not decode."""
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, f"{what} {_why(error)}")


def _why(error: ValidationError) -> str:
    where = ", ".join(".".join(map(str, each["loc"])) for each in error.errors()[:3])
    return f"is stored in a form that cannot be read ({where}); look at it with kubectl"
