"""Query parameters: what may be given, and the points in time they mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.engine.durations import parse_duration
from app.models.phases import Operation, Phase

DEFAULT_LIMIT, MAX_LIMIT = 100, 500

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
"""Names of namespaces and objects, in paths."""

_DAYS = re.compile(r"(\d{1,4})d")
_TIME_HELP = "a time such as 2026-03-01T10:00:00Z, or an age such as 90m, 24h or 7d"


def point_in_time(text: str, now: datetime) -> datetime:
    """The moment that `text` means: RFC 3339, or a duration before `now`; ValueError says what is accepted."""
    days = _DAYS.fullmatch(text)
    try:
        if days:
            return now - timedelta(days=int(days[1]))
        if "T" in text.upper():
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            return moment.astimezone(UTC)
        age = parse_duration(text)
        if age < timedelta():
            raise ValueError
        return now - age
    except (ValueError, OverflowError) as error:
        raise ValueError(f"expected {_TIME_HELP}") from error


def _check_time(text: str) -> str:
    point_in_time(text, datetime.now(UTC))
    return text


_PointInTime = Annotated[str, AfterValidator(_check_time)]


class PageQuery(BaseModel):
    """Parameters of every list."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Most items in the answer.")
    continue_: str = Field(
        "", alias="continue", max_length=4096, description="`metadata.continue` of the page before; same parameters."
    )


class RunQuery(PageQuery):
    """Parameters of a plan's history."""

    phase: Phase | None = Field(None, description="Only runs in this phase.")
    operation: Operation | None = Field(None, description="Only Executes, or only Reverts.")
    since: _PointInTime | None = Field(None, description=f"Only runs created then or later: {_TIME_HELP}.")
    until: _PointInTime | None = Field(None, description=f"Only runs created before: {_TIME_HELP}.")


class ExecutionQuery(RunQuery):
    """Parameters of lists of executions."""

    plan: str = Field("", max_length=253, description="Only runs of the plan of this name.")


class NoQuery(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def known_parameters(path: str) -> str:
    """The parameters that a path accepts, for messages."""
    last = path.rstrip("/").rsplit("/", 1)[-1]
    query: type[BaseModel] = {"plans": PageQuery, "executions": ExecutionQuery, "history": RunQuery}.get(last, NoQuery)
    return ", ".join(field.alias or name for name, field in query.model_fields.items()) or "none"
