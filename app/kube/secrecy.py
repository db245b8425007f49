"""What of an answer of the API server must not be shown: Secrets, whatever they are called and wherever they are.

Decided by what was resolved and by what was answered, not by how anybody wrote it (invariant 11). An object of another
kind counts as a Secret when it holds one: a Clusternet Manifest or a ManifestWork has whole objects in it, and kubectl
keeps a copy of what it applied in an annotation. What merely names a Secret holds none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from app.kube.resources import Resource

_SECRETS: Final = ("Secret", "SecretList")
_CONTENT: Final = ("data", "stringData", "items")
_COPY: Final = "kubectl.kubernetes.io/last-applied-configuration"
_TOLD: Final = re.compile(r'"kind"\s*:\s*"Secret(?:List)?"')


def is_secret(resource: Resource, obj: Mapping[str, Any] | None = None) -> bool:
    """Tell whether values of `resource`, or of the object `obj` that was read from it, must not be shown."""
    if (resource.group, resource.plural) == ("", "secrets") or resource.kind == "Secret":
        return True
    return obj is not None and (obj.get("kind") == "Secret" or holds_secret(obj))


def holds_secret(value: object) -> bool:
    """Tell whether a value of JSON is, or has anywhere in it, a Secret with its data."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            if part.get("kind") in _SECRETS and any(part.get(member) for member in _CONTENT):
                return True
            copy = part.get(_COPY)
            if isinstance(copy, str) and _TOLD.search(copy):
                return True
            pending += part.values()
        elif isinstance(part, list):
            pending += part
    return False


def only_named(kept: Mapping[str, Any]) -> bool:
    """Tell whether of an object nothing was kept but which one it is, because it is or holds a Secret."""
    return kept.keys() <= {"apiVersion", "kind", "metadata"} and "resourceVersion" not in (kept.get("metadata") or {})
