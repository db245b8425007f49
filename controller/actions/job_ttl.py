"""The lifetime of finished Jobs: it begins to run when the end of the action that made the Job is recorded.

A Job with `ttlSecondsAfterFinished` that ends while no controller lives would be gone when the next one looks, and an
action in doubt would run it again. So it is made without, with the author's number in an annotation, and gets it
afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.kube.bounded import BoundedClient
from app.kube.resources import JOBS
from app.models.common import CoreReference
from app.models.names import TTL_ANNOTATION
from app.models.stored import members
from controller.actions.ownership import JsonObject, uid_of

_FIELD = "ttlSecondsAfterFinished"
_MOST = 2**31 - 1


def held(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a Job without its lifetime, which an annotation keeps; any other object as it is.

    A lifetime that the API server would refuse stays, so that it is refused.
    """
    spec = body.get("spec")
    seconds = spec.get(_FIELD) if isinstance(spec, Mapping) else None
    if not is_job(str(body.get("apiVersion", "")), str(body.get("kind", ""))) or not isinstance(spec, Mapping):
        return body
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= _MOST:
        return body
    metadata = body.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), TTL_ANNOTATION: str(seconds)}
    return {
        **body,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {name: value for name, value in spec.items() if name != _FIELD},
    }


def is_job(api_version: str, kind: str) -> bool:
    """Tell whether an object is a Job of Kubernetes."""
    return kind == JOBS.kind and api_version.rpartition("/")[0] == JOBS.group


def is_expiring(obj: Mapping[str, Any]) -> bool:
    """Tell whether an object is a Job that is or will be removed by its lifetime."""
    if not is_job(str(obj.get("apiVersion", "")), str(obj.get("kind", ""))):
        return False
    return members(obj.get("spec")).get(_FIELD) is not None or _kept(obj) is not None


async def release(kube: BoundedClient, ref: CoreReference) -> None:
    """Give a Job the lifetime that was held back, unless it has it already or is another one by now.

    Raises KubeError: NotFound when it is gone, Conflict when it was made anew in this moment.
    """
    job = await kube.get(JOBS, ref.name, namespace=ref.namespace)
    seconds = _kept(job)
    if seconds is None or uid_of(job) != ref.uid:
        return
    patch: JsonObject = {
        "metadata": {"uid": ref.uid, "annotations": {TTL_ANNOTATION: None}},
        "spec": {_FIELD: seconds},
    }
    await kube.patch(JOBS, ref.name, patch, namespace=ref.namespace)


def _kept(job: Mapping[str, Any]) -> int | None:
    text = str(members(members(job.get("metadata")).get("annotations")).get(TTL_ANNOTATION, ""))
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _MOST else None
