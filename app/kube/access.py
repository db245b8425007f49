"""What a user, or the own account, may do, asked of the API server by a review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.kube.client import KubeClient
from app.kube.resources import SELF_SUBJECT_ACCESS_REVIEWS, SUBJECT_ACCESS_REVIEWS, Resource


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as the API server knows them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody wants to do; without name or namespace, to all of them."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""

    @property
    def of_all(self) -> Right:
        """The same for every object of the collection."""
        return replace(self, name="")

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}" + (f' "{self.name}"' if self.name else "")
        return f"{what} in namespace {self.namespace}" if self.namespace else f"{what} in all namespaces"


@dataclass(frozen=True, slots=True)
class Access:
    """Whether a user may do something, and why not."""

    allowed: bool
    reason: str = ""


async def ask_access(kube: KubeClient, user: User, right: Right, *, timeout: float) -> Access:
    """Whether `user` has `right`; `timeout` in seconds. Raises KubeError."""
    who = {
        "user": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra},
    }
    return await _ask(kube, SUBJECT_ACCESS_REVIEWS, who, right, timeout)


async def ask_own_access(kube: KubeClient, right: Right, *, timeout: float) -> Access:
    """Whether the account of `kube` has `right`; `timeout` in seconds. Raises KubeError."""
    return await _ask(kube, SELF_SUBJECT_ACCESS_REVIEWS, {}, right, timeout)


async def _ask(kube: KubeClient, reviews: Resource, who: Mapping[str, object], right: Right, timeout: float) -> Access:
    review = {
        "apiVersion": reviews.api_version,
        "kind": reviews.kind,
        "spec": {
            **who,
            "resourceAttributes": {
                "group": right.resource.group,
                "version": right.resource.version,
                "resource": right.resource.plural,
                "verb": right.verb,
                "namespace": right.namespace,
                "name": right.name,
            },
        },
    }
    status = (await kube.create(reviews, review, timeout=timeout)).get("status") or {}
    return Access(bool(status.get("allowed")) and not status.get("denied"), str(status.get("reason") or ""))
