"""The one way in which a status is written: whole, onto the version it was computed from (invariants 4, 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.kube.client import KubeClient
from app.kube.resources import Resource
from app.models.meta import ObjectMeta


async def put_status(
    kube: KubeClient, resource: Resource, metadata: ObjectMeta, status: Mapping[str, Any]
) -> dict[str, Any]:
    """Replace the status of an object and return the object as stored.

    Args:
        kube: the API server.
        resource: the object's type.
        metadata: the object's, of the version that `status` was computed from.
        status: its JSON-ready form.

    Raises:
        Conflict: the object has another version by now, or is another one of the same name.
        NotFound: it is gone.
        KubeError: the API server refused it or did not answer.
    """
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
        "status": status,
    }
    return await kube.replace(resource, body, subresource="status")
