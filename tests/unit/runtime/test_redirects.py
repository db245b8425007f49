"""Redirects: what travels on, what is not followed and why."""

from __future__ import annotations

import pytest

from app.runtime.redirects import Leg, NotFollowed, follow

HEADERS = {
    "Accept": "text/plain",
    "Authorization": "Bearer s3cret",
    "Content-Type": "text/plain",
    "Cookie": "a=b",
    "Idempotency-Key": "run/1",
    "X-Api-Key": "s3cret",
    "User-Agent": "me",
}


def leg(method: str = "GET", url: str = "https://a.example/x", body: bytes | None = None, **more: object) -> Leg:
    return Leg(method, url, HEADERS, body, **more)  # type: ignore[arg-type]


def followed(start: Leg, status: int, location: str, *, as_get: bool = False) -> Leg:
    found = follow(start, status, location, as_get=as_get)
    assert isinstance(found, Leg)
    return found


def refused(start: Leg, status: int, location: str) -> str:
    found = follow(start, status, location, as_get=False)
    assert isinstance(found, NotFollowed)
    return found.reason


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 309, 400])
def test_other_statuses_are_answers(status: int) -> None:
    assert follow(leg(), status, "/y", as_get=False) is None


@pytest.mark.parametrize("location", [None, ""])
def test_without_an_address_it_is_the_answer(location: str | None) -> None:
    assert follow(leg("POST"), 302, location, as_get=False) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 302])
def test_a_method_with_an_effect_is_not_turned_into_get(method: str, status: int) -> None:
    reason = refused(leg(method, body=b"x"), status, "/y?token=s3cret")
    assert f"{method} was answered {status}, a redirect to https://a.example/y?…" in reason
    assert "followRedirects: AsGet" in reason
    assert "s3cret" not in reason
    wanted = followed(leg(method, body=b"x"), status, "/y", as_get=True)
    assert (wanted.method, wanted.body, wanted.done) == ("GET", None, False)
    assert "Content-Type" not in wanted.headers
    assert "Authorization" in wanted.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_methods_without_effect_stay(method: str, status: int) -> None:
    assert followed(leg(method), status, "y").method == method


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_303_is_an_end_of_the_work_and_its_get_is_right(method: str) -> None:
    then = followed(leg(method, body=b"x"), 303, "/result")
    assert (then.method, then.body, then.done) == ("GET", None, True)
    assert followed(then, 302, "/elsewhere").done


def test_303_of_head_and_get() -> None:
    assert (followed(leg("HEAD"), 303, "/y").method, followed(leg(), 303, "/y").done) == ("HEAD", False)


@pytest.mark.parametrize("status", [307, 308])
def test_307_and_308_keep_method_and_body(status: int) -> None:
    then = followed(leg("POST", body=b"x"), status, "/y")
    assert (then.method, then.body, then.headers) == ("POST", b"x", HEADERS)


@pytest.mark.parametrize(
    "location",
    [
        "https://b.example/",
        "https://a.example:444/",
        "//b.example/",
        "https://a.example.b.example/",
        "https://a.example./y",
        "https://a.example\u3002/y",
        "https://a.example\\@b.example/",
        "ht\ttps://b.example/",
        "https://a%2e.example/",
    ],
)
def test_nothing_secret_travels_to_another_origin(location: str) -> None:
    then = followed(leg("DELETE", secret=frozenset({"user-agent"})), 307, location)
    assert then.foreign
    assert then.headers == {"Accept": "text/plain", "Idempotency-Key": "run/1"}
    back = followed(then, 307, "https://a.example/x")
    assert (back.foreign, back.headers) == (True, then.headers)


@pytest.mark.parametrize("location", ["/y", "https://a.example/y", "https://A.EXAMPLE:443/y"])
def test_the_same_origin_keeps_everything(location: str) -> None:
    then = followed(leg("DELETE"), 307, location)
    assert (then.foreign, then.headers) == (False, HEADERS)


@pytest.mark.parametrize("status", [307, 308])
def test_a_body_for_another_origin_is_neither_sent_nor_left_out(status: int) -> None:
    assert "the body does not travel there" in refused(leg("POST", body=b"x"), status, "https://b.example/y")


def test_from_https_never_to_http() -> None:
    assert "not be protected" in refused(leg(), 302, "http://a.example/y")
    assert followed(leg(url="http://a.example/x"), 302, "https://a.example/y").foreign


@pytest.mark.parametrize(
    "location",
    ["ftp://a/", "file:///etc/passwd", "javascript:x", "http:///x", "https://[::1", "https://a:99999/", "data:,a"],
)
def test_addresses_that_cannot_be_called(location: str) -> None:
    assert "cannot be called" in refused(leg(), 302, location)


def test_a_user_in_the_address_is_left_out_and_never_shown() -> None:
    assert followed(leg(), 302, "https://u:p4ss@b.example/y#part").url == "https://b.example/y"
    assert "p4ss" not in refused(leg("POST"), 302, "https://u:p4ss@b.example/y")
    assert followed(leg(), 302, "https://b.example\\@a.example/y").url.startswith("https://a.example/")


def test_a_long_address_is_cut() -> None:
    assert len(refused(leg("POST"), 302, "/" + "y" * 5000)) < 700
