"""The error tree: which answer of the server becomes which exception, with which text."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import orjson
import pytest

from app.kube import errors as e

NOW = 1_750_000_000.0


def status_body(**fields: object) -> bytes:
    return orjson.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", **fields})


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", e.BadRequest),
        (401, "Unauthorized", e.Unauthorized),
        (403, "Forbidden", e.Forbidden),
        (409, "Conflict", e.Conflict),
        (409, "AlreadyExists", e.AlreadyExists),
        (410, "Expired", e.Gone),
        (422, "Invalid", e.Invalid),
        (429, "TooManyRequests", e.TooManyRequests),
        (500, "InternalError", e.ServerError),
        (503, "ServiceUnavailable", e.ServerError),
        (405, "MethodNotAllowed", e.ApiError),
    ],
)
def test_each_status_has_its_class(status: int, reason: str, kind: type[e.ApiError]) -> None:
    error = e.error_from_response(status, status_body(code=status, reason=reason, message="no, because"), {}, now=NOW)
    assert type(error) is kind
    assert (str(error), error.status, error.reason) == ("no, because", status, reason)


def test_only_a_404_that_names_the_object_says_that_it_is_absent() -> None:
    named = status_body(
        reason="NotFound", message='configmaps "a" not found', details={"name": "a", "kind": "configmaps"}
    )
    assert type(e.error_from_response(404, named, {}, now=NOW)) is e.NotFound
    denied = status_body(
        reason="NotFound", message='admission webhook "w" denied the request: no such ticket', code=404
    )
    assert type(e.error_from_response(404, denied, {}, now=NOW)) is e.ApiError
    unserved = status_body(reason="NotFound", message="the server could not find the requested resource", details={})
    assert type(e.error_from_response(404, unserved, {}, now=NOW)) is e.NotServed


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"}),
        (b"<html>no such service</html>", {"Content-Type": "text/html"}),
        (b"", {}),
    ],
)
def test_a_404_without_a_status_is_about_the_path(body: bytes, headers: dict[str, str]) -> None:
    error = e.error_from_response(404, body, headers, now=NOW)
    assert type(error) is e.NotServed
    assert not isinstance(error, e.NotFound)


def test_a_refused_patch_does_not_tell_the_whole_object() -> None:
    """As kube-apiserver answers a strict merge patch with an unknown field; of a Secret that would be its data."""
    dump = '{\\"data\\":{\\"password\\":\\"aHVudGVyMg==\\"},\\"x\\":{}}'
    message = f' "" is invalid: patch: Invalid value: "{dump}": strict decoding error: unknown field "spec.x"'
    error = e.error_from_response(422, status_body(message=message, reason="Invalid"), {}, now=NOW)
    assert str(error) == 'strict decoding error: unknown field "spec.x"'


@pytest.mark.parametrize(
    "message",
    [
        "failed to create typed patch object (ns/a; Kind=Deployment): .spec.replica: field not declared in schema",
        "etcdserver: request is too large",
        "json: cannot unmarshal string into Go value of type int32",
    ],
)
def test_what_a_500_says_of_the_object_itself_is_for_good(message: str) -> None:
    error = e.error_from_response(500, status_body(message=message, reason="InternalError"), {}, now=NOW)
    assert not e.is_transient(error)
    assert e.is_transient(e.error_from_response(500, status_body(message="timed out"), {}, now=NOW))


def test_details_and_causes_are_kept() -> None:
    details = {"causes": [{"reason": "FieldValueInvalid", "field": "spec.stages", "message": "too many"}]}
    error = e.error_from_response(422, status_body(message="x", details=details), {}, now=NOW)
    assert error.causes == [{"reason": "FieldValueInvalid", "field": "spec.stages", "message": "too many"}]


def test_a_terminating_namespace_is_recognised_by_its_cause() -> None:
    details = {"causes": [{"reason": "NamespaceTerminating", "message": "namespace x is being terminated"}]}
    terminating = e.error_from_response(403, status_body(message="x", details=details), {}, now=NOW)
    plain = e.error_from_response(403, status_body(message="x"), {}, now=NOW)
    assert isinstance(terminating, e.Forbidden)
    assert isinstance(plain, e.Forbidden)
    assert terminating.namespace_terminating
    assert not plain.namespace_terminating


def test_a_body_that_is_no_status_is_not_shown() -> None:
    body = orjson.dumps({"kind": "Secret", "data": {"password": "aHVudGVyMg=="}})
    error = e.error_from_response(409, body, {"Content-Type": "application/json"}, now=NOW)
    assert str(error) == "HTTP 409 Conflict"


def test_a_proxy_s_plain_text_shows_its_first_line() -> None:
    error = e.error_from_response(502, b"upstream gone\nmore", {"Content-Type": "text/plain"}, now=NOW)
    assert str(error) == "HTTP 502 Bad Gateway: upstream gone"


def test_long_messages_are_cut_at_a_kilobyte_between_characters() -> None:
    error = e.error_from_response(422, status_body(message="é" * 2000), {}, now=NOW)
    assert len(str(error).encode()) <= 1024
    assert set(str(error).removesuffix("...")) == {"é"}


@pytest.mark.parametrize(
    ("headers", "details", "expected"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({"Retry-After": formatdate(NOW + 30, usegmt=True)}, {}, 30.0),
        ({"Retry-After": formatdate(NOW - 30, usegmt=True)}, {}, 0.0),
        ({"Retry-After": "soon"}, {}, None),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({}, {}, None),
    ],
)
def test_retry_after(headers: dict[str, str], details: dict[str, Any], expected: float | None) -> None:
    error = e.error_from_response(429, status_body(message="slow down", details=details), headers, now=NOW)
    assert error.retry_after == expected


@pytest.mark.parametrize("skew", [-3600.0, -70.0, 70.0, 86_400.0])
def test_a_date_to_retry_after_is_on_the_server_s_clock(skew: float) -> None:
    """The answer says what time it is there, so that our own clock does not matter."""
    now = 1_800_000_000.0
    there = now + skew
    value = formatdate(there + 30, usegmt=True)
    assert e.parse_retry_after(value, now=now, date=formatdate(there, usegmt=True)) == 30
    assert e.parse_retry_after(value, now=now, date="yesterday") == max(0.0, 30 + skew)
    assert e.parse_retry_after("7", now=now, date=formatdate(there, usegmt=True)) == 7


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (e.ApiUnavailable("x", server="http://a", in_doubt=True), True),
        (e.TooManyRequests(429, "", ""), True),
        (e.ServerError(500, "", ""), True),
        (e.ServerError(501, "", ""), False),
        (TimeoutError(), True),
        (e.Conflict(409, "", ""), False),
        (e.Forbidden(403, "", ""), False),
        (ValueError(), False),
    ],
)
def test_transient_means_that_waiting_may_help(error: Exception, transient: bool) -> None:
    assert e.is_transient(error) is transient
