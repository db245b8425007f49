"""Tokens of the parameter `continue`: opaque to clients, bound to the request they came from.

A list that is sorted newest first goes on after the last item shown, so such a token never expires. It also carries the
times that `since=24h` meant at the first page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from app.service.api.problems import ProblemError, bad_parameters

_WRONG = "found a token that no answer gave; use `metadata.continue` of the page before, or leave it out"
_OTHER = "found the token of another request; keep path and other parameters while you go through the pages"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list goes on: after this item. `since` and `until` are as of the first page."""

    created: float
    namespace: str
    name: str
    since: datetime | None = None
    until: datetime | None = None

    @property
    def key(self) -> tuple[float, str, str]:
        """As items are sorted: newest first, then by namespace and name."""
        return (-self.created, self.namespace, self.name)


def write_token(scope: str, *members: object) -> str:
    """A token of `members` (JSON values) for the request `scope`."""
    return base64.urlsafe_b64encode(orjson.dumps([_digest(scope), *members])).decode().rstrip("=")


def read_token(scope: str, token: str) -> list[object]:
    """The members of a token; ProblemError 400 when it is none, or belongs to another request."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        parsed = orjson.loads(raw)
    except (binascii.Error, ValueError) as error:
        raise bad_token() from error
    if not isinstance(parsed, list) or not parsed:
        raise bad_token()
    if parsed[0] != _digest(scope):
        raise bad_parameters({"continue": _OTHER})
    return parsed[1:]


def write_position(scope: str, at: Position) -> str:
    """A token for what follows `at`."""
    times = [moment.timestamp() if moment else None for moment in (at.since, at.until)]
    return write_token(scope, at.created, at.namespace, at.name, *times)


def read_position(scope: str, token: str) -> Position:
    """The position in a token; ProblemError 400."""
    members = read_token(scope, token)
    match members:
        case [int() | float() as created, str() as namespace, str() as name, since, until]:
            return Position(created, namespace, name, _moment(since), _moment(until))
    raise bad_token()


def bad_token() -> ProblemError:
    """The error of a token that cannot be read."""
    return bad_parameters({"continue": _WRONG})


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)):
        raise bad_token()
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise bad_token() from error


def _digest(scope: str) -> str:
    return hashlib.sha256(scope.encode("utf-8", "replace")).hexdigest()[:12]
