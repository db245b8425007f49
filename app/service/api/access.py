"""Who may read: the cluster decides, by TokenReview and SubjectAccessReview.

Answers are kept for some seconds, so that a dashboard does not double the load of the API server. Tokens are kept as
hashes only, and never logged.
"""

from __future__ import annotations

import hashlib
import ipaddress
from http import HTTPStatus
from typing import Any

from cachetools import TTLCache

from app.kube.access import Right, User, ask_access
from app.kube.client import KubeClient
from app.kube.resources import TOKEN_REVIEWS
from app.service.api.problems import CHALLENGE, ProblemError, as_problem

REMEMBERED_SECONDS = 10.0
"""How long a yes, and a user behind a token, is believed. A token or right that is taken away works so long."""

REFUSED_SECONDS = 2.0
"""How long a no is believed, so that a right that was just given soon works."""

REMEMBERED_ANSWERS = 2048
"""Most answers of each sort that are kept."""

TOKEN_LIMIT = 16 * 1024
REVIEW_SECONDS = 5.0


LOCAL_USER = User("(loopback)")
"""Who asks without a token where none is needed."""


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
            with as_problem("cannot check access"):
                answer = await ask_access(self._kube, user, right, timeout=REVIEW_SECONDS)
            if answer.allowed:
                self._granted[user, right] = True
                return
            why = self._refused[user, right] = answer.reason
        reason = f" ({why})" if why else ""
        text = f'user "{user.name}" may not {right}{reason}; ask an admin of the cluster for that right'
        raise ProblemError(HTTPStatus.FORBIDDEN, text)

    async def _review(self, token: str) -> User | None:
        body = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": TOKEN_REVIEWS.kind, "spec": {"token": token}}
        with as_problem("cannot check the token"):
            answer = await self._kube.create(TOKEN_REVIEWS, body, timeout=REVIEW_SECONDS)
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            return None
        user: dict[str, Any] = status.get("user") or {}
        extra = tuple(sorted((key, tuple(values)) for key, values in (user.get("extra") or {}).items()))
        return User(user.get("username", ""), user.get("uid", ""), tuple(user.get("groups") or ()), extra)


def _unauthorized(text: str, challenge: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, text, headers={"WWW-Authenticate": challenge})
