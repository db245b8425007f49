"""What can go wrong between us and the API server, as one tree of exceptions.

    KubeError
    ├── ApiError            the server answered, and the answer is a refusal
    │   ├── BadRequest       400
    │   ├── Unauthorized     401
    │   ├── Forbidden        403
    │   ├── NotFound         404 of an object
    │   ├── NotServed        404 of the path: this type, or this scope of it, is not served (now)
    │   ├── Conflict         409, reason Conflict: the resourceVersion or uid is not the current one
    │   ├── AlreadyExists    409, reason AlreadyExists
    │   ├── Gone             410: the resourceVersion or continue token is too old
    │   ├── Invalid          422
    │   ├── TooManyRequests  429
    │   └── ServerError      5xx
    ├── ApiUnavailable      no answer: connection, TLS, time-out, broken stream
    │   └── WatchSilent      a watch brought no line for too long
    ├── WatchLineTooLong    one watch event is larger than the read buffer
    ├── AnswerTooLarge      an answer, or all pages of one list, has more bytes than anybody wants to hold
    ├── UnknownKind         the server serves no such kind
    ├── IllegalName         nothing of that name can exist: it never becomes part of a URL
    ├── OutOfBounds         actions may not touch it: see `app.kube.bounded`
    └── ConnectionConfigError  there is no usable kubeconfig or service account

The text of an `ApiError` is the server's own message and nothing else, because users read it in
statuses. The body of an answer is kept only when it is a `Status`: anything else may hold data of users.
"""

# ruff: noqa: N818  (the names are the reasons of the Kubernetes API)
from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import orjson

from app.models.stored import items, members

MESSAGE_LIMIT = 1024
"""Bytes of a server's message that are kept."""


class KubeError(Exception):
    """Base of everything that `app.kube` raises on purpose."""


class ApiError(KubeError):
    """The API server refused a request.

    `status` is the HTTP status, `reason` the machine-readable reason of the Status body, `details` its
    details (causes with field paths), `retry_after` the seconds the server asks to wait, if it does.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.retry_after = retry_after

    @property
    def causes(self) -> list[dict[str, Any]]:
        """The causes of the refusal: `reason`, `message`, `field` each, as far as given."""
        return [cause for cause in map(members, items(self.details.get("causes"))) if cause]


class BadRequest(ApiError):
    """400: the request itself is malformed, or a webhook denied it with that code."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired (after one fresh look at the token)."""


class Forbidden(ApiError):
    """403: RBAC, an admission webhook or a terminating namespace refuses."""

    @property
    def namespace_terminating(self) -> bool:
        """The namespace is being deleted: no retry can succeed."""
        return any(cause.get("reason") == "NamespaceTerminating" for cause in self.causes)


class NotFound(ApiError):
    """404: the object does not exist. The Status names it in its details; any other 404 is no NotFound."""


class NotServed(ApiError):
    """404 without a Status: nothing answers at that path, so that it says nothing about any object (decision A8).

    The CustomResourceDefinition is gone, not yet established or was made anew with another scope or version.
    """


class Conflict(ApiError):
    """409: the object has changed since it was read, or a precondition does not hold."""


class AlreadyExists(ApiError):
    """409: an object of that name exists."""


class Gone(ApiError):
    """410: the resourceVersion or continue token is no longer served; list again."""


class Invalid(ApiError):
    """422: the object violates the schema or a validation rule."""


class TooManyRequests(ApiError):
    """429: the server sheds load; wait `retry_after` seconds."""


class ServerError(ApiError):
    """5xx: the server or something behind it failed; a write may or may not have happened."""


class ApiUnavailable(KubeError):
    """No (complete) answer came: connection refused or lost, TLS failure, time-out.

    `server` is the address that was asked. `in_doubt` is true when the request may have reached the server,
    so that a write may have happened; false when it certainly has not.
    """

    def __init__(self, message: str, *, server: str, in_doubt: bool) -> None:
        super().__init__(message)
        self.server = server
        self.in_doubt = in_doubt


class AnswerTooLarge(KubeError):
    """An answer is larger than it may be; it was not read to its end."""


class TooDeep(ApiError):
    """An object has more levels than can be read; another try changes nothing."""

    def __init__(self) -> None:
        text = "the object is nested too deeply to be read (more than 1,000 levels of lists and objects)"
        super().__init__(HTTPStatus.UNPROCESSABLE_ENTITY, "TooDeep", text)


class WatchSilent(ApiUnavailable):
    """No line came on a watch for too long.

    Either the connection is dead, or nothing of this type has changed since the API server started (it sends
    bookmarks only after the first change). The same watch again tells the two apart.
    """


class WatchLineTooLong(KubeError):
    """A watch event did not fit into the read buffer; only a new list gets past it."""


class UnknownKind(KubeError):
    """The server serves no such apiVersion and kind; the text hints at near misses.

    `may_come` says that a CustomResourceDefinition may bring the kind later, so that asking again is worth it.
    """

    def __init__(self, message: str, *, may_come: bool = False) -> None:
        super().__init__(message)
        self.may_come = may_come


class IllegalName(KubeError, ValueError):
    """A name, namespace, apiVersion or resource that nothing can have; no request was made, and none would help.

    The text says what was found and what would be accepted.
    """


ABSENT = (NotFound, IllegalName)
"""What tells that there is no object of a name that another object says: a name that nothing can have is nobody's."""


class OutOfBounds(KubeError):
    """Nothing that is done for an action may touch this; no request was made, or its answer is withheld."""


class ConnectionConfigError(KubeError):
    """The connection to the cluster cannot be configured; the text says what was tried and what is missing."""


_TOO_LARGE = ("etcdserver: request is too large", "trying to send message larger than max")
"""What an API server says, as 500, when etcd or the way to it does not take an object of that size."""

_NO_RESOURCE = "the server could not find the requested resource"
"""What an API server says of a path below one of its own groups that it does not serve. Of others it says it in plain
text."""
_MALFORMED = (
    "field not declared in schema",
    "failed to create typed patch object",
    "cannot unmarshal",
    "unable to decode",
)
"""What an API server says, as 500, of an object that it will never understand (server-side apply, above all)."""

_WHOLE_OBJECT = re.compile(
    r'(?: "" is invalid: patch: )?Invalid value: "\{.*\}": (?=strict decoding error|[a-z])', re.DOTALL
)
"""How an API server tells a patch whose result it refuses: with the whole object in front of the reason, data of
Secrets included, which must not reach a status."""

_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may succeed a little later without anybody changing anything.

    True for a missing answer, for 429 and for 5xx other than 501 and those that tell of the object itself: that it is
    too large, or not to be understood. A conflict is not transient: it needs a fresh read first.
    """
    if isinstance(error, ServerError):
        for_good = any(text in error.message for text in (*_TOO_LARGE, *_MALFORMED))
        return error.status != HTTPStatus.NOT_IMPLEMENTED and not for_good
    return isinstance(error, (ApiUnavailable, TooManyRequests, TimeoutError))


def error_from_response(status: int, body: bytes, headers: Mapping[str, str], *, now: float) -> ApiError:
    """Build the error of an HTTP answer with a failure status.

    `now` is the current time as seconds since the epoch; it is used when Retry-After is a date.
    """
    status_object = _as_status(body)
    retry_after = parse_retry_after(headers.get("Retry-After"), now=now, date=headers.get("Date"))
    if status_object is not None:
        return error_from_status(status_object, http_status=status, retry_after=retry_after)
    if status == HTTPStatus.NOT_FOUND:
        return NotServed(status, "NotServed", _plain_message(status, body, headers), retry_after=retry_after)
    return _build(status, _phrase(status), _plain_message(status, body, headers), {}, retry_after)


def error_from_status(
    status_object: Mapping[str, Any], *, http_status: int | None = None, retry_after: float | None = None
) -> ApiError:
    """Build the error of a `Status` object: the body of a refusal, or the object of an ERROR watch event."""
    code = status_object.get("code")
    status = http_status or (code if isinstance(code, int) and code else 500)
    details = members(status_object.get("details"))
    seconds = details.get("retryAfterSeconds")
    if retry_after is None and isinstance(seconds, (int, float)) and seconds > 0:
        retry_after = float(seconds)
    reason = str(status_object.get("reason") or _phrase(status))
    message = cut_message(
        _WHOLE_OBJECT.sub("", str(status_object.get("message") or f"HTTP {status} {_phrase(status)}"))
    )
    return _build(status, reason, message, details, retry_after)


def parse_retry_after(value: str | None, *, now: float, date: str | None = None) -> float | None:
    """Seconds to wait by a Retry-After header (delta seconds or an HTTP date), None when absent or unreadable.

    A date is on the server's clock, and so is `date`, the answer's Date header: that says what time it is there. Only
    without it does `now` count, in seconds since 1970.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - (_seconds(date) or now))
    except (TypeError, ValueError):
        return None


def _seconds(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None


def cut_message(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Cut a text to at most `limit` bytes of UTF-8, never inside a character."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    return raw[: limit - 3].decode("utf-8", "ignore") + "..."


def _build(status: int, reason: str, message: str, details: Mapping[str, Any], retry_after: float | None) -> ApiError:
    if status == HTTPStatus.CONFLICT and reason == "AlreadyExists":
        kind: type[ApiError] = AlreadyExists
    elif status == HTTPStatus.NOT_FOUND and message == _NO_RESOURCE:
        kind = NotServed
    elif status == HTTPStatus.NOT_FOUND and not details.get("name"):
        kind = ApiError  # an admission webhook may refuse with any code; only an object's name tells what is absent
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = ServerError
    else:
        kind = _BY_STATUS.get(status, ApiError)
    return kind(status, reason, message, details=details, retry_after=retry_after)


def _as_status(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else None


def _plain_message(status: int, body: bytes, headers: Mapping[str, str]) -> str:
    """Return the first line of a plain-text refusal (a proxy's, or the server's own before authorisation)."""
    head = f"HTTP {status} {_phrase(status)}"
    if not headers.get("Content-Type", "").startswith("text/plain"):
        return head
    lines = body[:256].decode("utf-8", "replace").strip().splitlines()
    return f"{head}: {lines[0]}" if lines else head


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"
