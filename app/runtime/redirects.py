"""What follows on a redirect: the next request, or why it is not sent.

A 301 or 302 that would turn a method with an effect into GET is not followed, as the call would be reported done and
was not. 303 says that the work is done and where its result is. 307 and 308 keep method and body. On another origin
(scheme, host, port) nothing travels on that may be secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

MAX_REDIRECTS = 10
"""Redirects followed in one call (as Go's client does)."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SAFE_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "idempotency-key", "pragma", "user-agent"}
)
"""Headers that travel on to another origin. docs/http-actions.md lists them."""
_OF_BODY = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
_PORTS = {"http": 80, "https": 443}
_KEEP = frozenset({307, 308})
_SEE_OTHER = 303
_SHOWN = 300
"""Characters of an address that a message shows."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One request on the way. `secret` are names of headers (lower case) whose values are secret.

    `foreign` tells that the way left the first origin, `done` that a call with an effect was answered 303.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    secret: frozenset[str] = frozenset()
    foreign: bool = False
    done: bool = False


@dataclass(frozen=True, slots=True)
class NotFollowed:
    """Why a redirect was not followed; the text shows its address without query and user."""

    reason: str


def follow(leg: Leg, status: int, location: str | None, *, as_get: bool) -> Leg | NotFollowed | None:
    """Return what follows on an answer to `leg`; None when the answer is no redirect that says where to."""
    if status not in REDIRECTS or not location:
        return None
    target = _target(leg.url, location)
    if target is None:
        return NotFollowed(f"{leg.method} was answered {status}, a redirect to an address that cannot be called")
    shown = _shown(target)
    if urlsplit(leg.url).scheme == "https" and target.scheme == "http":
        return NotFollowed(
            f"{leg.method} was answered {status}, a redirect from https to {shown}, which is not followed since it "
            "would not be protected any more"
        )
    method, keeps_body = _method(leg.method, status, as_get=as_get)
    if method is None:
        return NotFollowed(
            f"{leg.method} was answered {status}, a redirect to {shown}: following it would turn {leg.method} into GET "
            "without its body, so nothing more was sent; write that address into http.url, or set "
            "http.followRedirects: AsGet if a GET is meant"
        )
    foreign = _origin(urlsplit(leg.url)) != _origin(target)
    if foreign and keeps_body and leg.body:
        return NotFollowed(
            f"{leg.method} was answered {status}, a redirect to another origin, {shown}: the body does not travel "
            "there, so nothing more was sent; write that address into http.url if it is right"
        )
    body = leg.body if keeps_body else None
    headers = leg.headers
    if not keeps_body:
        headers = {name: value for name, value in headers.items() if name.lower() not in _OF_BODY}
    if foreign:
        headers = {n: v for n, v in headers.items() if n.lower() in SAFE_HEADERS and n.lower() not in leg.secret}
    done = leg.done or (status == _SEE_OTHER and leg.method not in SAFE_METHODS)
    return Leg(method, urlunsplit(target), headers, body, leg.secret, leg.foreign or foreign, done)


def _method(method: str, status: int, *, as_get: bool) -> tuple[str | None, bool]:
    """Return the next method, None where it would be lost, and whether the body is kept."""
    if status in _KEEP or (method in SAFE_METHODS and status != _SEE_OTHER):
        return method, True
    if status == _SEE_OTHER:
        return ("HEAD" if method == "HEAD" else "GET"), False
    return ("GET" if as_get else None), False


def _target(url: str, location: str) -> SplitResult | None:
    """Return the address of a redirect, without user and fragment; None when it is none."""
    try:
        parts = urlsplit(urljoin(url, location.strip()))
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host or port == 0:
        return None
    return parts._replace(netloc=_netloc(host, port), fragment="")


def _netloc(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    """Scheme, host and port. With a dot behind it a name is another one: no search domain is tried for it."""
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def _shown(target: SplitResult) -> str:
    """Return what of an address may be shown: its query may hold secrets."""
    text = urlunsplit(target._replace(query=""))[:_SHOWN]
    return f"{text}?…" if target.query else text
