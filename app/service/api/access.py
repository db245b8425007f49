"""Who may read: the cluster decides, by TokenReview and SubjectAccessReview.

Answers are kept for some seconds, so that a dashboard does not double the load of the API server. Tokens are kept as
hashes only, and never logged.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from cachetools import TTLCache

from app.kube.client import KubeClient
from app.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Resource
from app.service.api.problems import CHALLENGE, ProblemError, told

REMEMBERED_SECONDS = 10.0
"""How long a yes, and a user behind a token, is believed. A token or right that is taken away works so long."""

REFUSED_SECONDS = 2.0
"""How long a no is believed, so that a right that was just given soon works."""

REMEMBERED_ANSWERS = 2048
"""Most answers of each sort that are kept."""

TOKEN_LIMIT = 16 * 1024
REVIEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as the API server knows them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


LOCAL_USER = User("(loopback)")
"""Who asks without a token where none is needed."""


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody wants to do."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}" + (f' "{self.name}"' if self.name else "")
        return f"{what} in namespace {self.namespace}" if self.namespace else f"{what} in all namespaces"


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach a port bound to `address`."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Gatekeeper:
    """Decides who may read. With `open_to_all`, whoever brings no token may read everything."""

    def __init__(self, kube: KubeClient, *, open_to_all: bool) -> None:
        self._kube = kube
        self._open = open_to_all
        self._users: TTLCache[bytes, User] = TTLCache(REMEMBERED_ANSWERS, REMEMBERED_SECONDS)
        self._strangers: TTLCache[bytes, bool] = TTLCache(REMEMBERED_ANSWERS, REFUSED_SECONDS)
        self._granted: TTLCache[tuple[User, Right], bool] = TTLCache(REMEMBERED_ANSWERS, REMEMBERED_SECONDS)
        self._refused: TTLCache[tuple[User, Right], str] = TTLCache(REMEMBERED_ANSWERS, REFUSED_SECONDS)

    async def user(self, authorization: str | None) -> User:
        """The user behind the header `Authorization`; ProblemError 401 when there is none."""
        if authorization is None:
            if self._open:
                return LOCAL_USER
            text = "a bearer token of the cluster is needed: send `Authorization: Bearer <token>`, with a token such as"
            raise _unauthorized(f"{text} `kubectl create token <service account>` prints", CHALLENGE)
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_LIMIT:
            text = "the header Authorization is not `Bearer <token>`; only bearer tokens of the cluster are accepted"
            raise _unauthorized(text, f'{CHALLENGE}, error="invalid_request"')
        key = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        if key not in self._strangers:
            known = self._users.get(key) or await self._review(token)
            if known is not None:
                self._users.setdefault(key, known)
                return known
            self._strangers[key] = True
        text = "the cluster does not accept this token: it is wrong, expired, or of another cluster; get a new one"
        raise _unauthorized(text, f'{CHALLENGE}, error="invalid_token"')

    async def check(self, user: User, right: Right) -> None:
        """Return when the user may do that; ProblemError 403 when not."""
        if user is LOCAL_USER or (user, right) in self._granted:
            return
        why = self._refused.get((user, right))
        if why is None:
            allowed, why = await self._ask(user, right)
            if allowed:
                self._granted[user, right] = True
                return
            self._refused[user, right] = why
        reason = f" ({why})" if why else ""
        text = f'user "{user.name}" may not {right}{reason}; ask an admin of the cluster for that right'
        raise ProblemError(HTTPStatus.FORBIDDEN, text)

    async def _review(self, token: str) -> User | None:
        body = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": TOKEN_REVIEWS.kind, "spec": {"token": token}}
        with told("cannot check the token"):
            answer = await self._kube.create(TOKEN_REVIEWS, body, timeout=REVIEW_SECONDS)
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            return None
        user: dict[str, Any] = status.get("user") or {}
        extra = tuple(sorted((key, tuple(values)) for key, values in (user.get("extra") or {}).items()))
        return User(user.get("username", ""), user.get("uid", ""), tuple(user.get("groups") or ()), extra)

    async def _ask(self, user: User, right: Right) -> tuple[bool, str]:
        attributes = {
            "group": right.resource.group,
            "version": right.resource.version,
            "resource": right.resource.plural,
            "verb": right.verb,
            "namespace": right.namespace,
            "name": right.name,
        }
        body = {
            "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
            "kind": SUBJECT_ACCESS_REVIEWS.kind,
            "spec": {
                "user": user.name,
                "uid": user.uid,
                "groups": list(user.groups),
                "extra": {key: list(values) for key, values in user.extra},
                "resourceAttributes": attributes,
            },
        }
        with told("cannot check access"):
            answer = await self._kube.create(SUBJECT_ACCESS_REVIEWS, body, timeout=REVIEW_SECONDS)
        status = answer.get("status") or {}
        return bool(status.get("allowed")) and not status.get("denied"), str(status.get("reason") or "")


def _unauthorized(text: str, challenge: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, text, headers={"WWW-Authenticate": challenge})
