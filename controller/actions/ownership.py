"""Marks on the objects that an action creates, and references to them (decision A5).

An object carries the marks only when the run created it. They are how an attempt after a crash recognises what an
earlier one already made (invariant 3), and how a rollback tells what may be deleted from what was there before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.engine.names import label_value
from app.models.common import CoreReference
from app.models.names import ACTION_LABEL, EXECUTION_LABEL, EXECUTION_UID_LABEL, IDENTITY_ANNOTATION
from controller.actions.base import ActionContext

JsonObject = dict[str, Any]


def mark_labels(context: ActionContext) -> dict[str, str]:
    """Return the labels of what the action creates."""
    return {
        EXECUTION_LABEL: label_value(context.execution_name),
        EXECUTION_UID_LABEL: label_value(context.execution_uid),
        ACTION_LABEL: label_value(context.action),
    }


def marked(obj: Mapping[str, Any], context: ActionContext) -> JsonObject:
    """Return `obj` with the marks of the action added to its metadata."""
    metadata = obj.get("metadata") or {}
    return {
        **obj,
        "metadata": {
            **metadata,
            "labels": {**(metadata.get("labels") or {}), **mark_labels(context)},
            "annotations": {**(metadata.get("annotations") or {}), IDENTITY_ANNOTATION: context.identity},
        },
    }


def keeping_marks(obj: Mapping[str, Any], existing: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return `obj` with the marks that `existing` has from whatever action created it.

    A server-side apply removes what its manager applied before and now leaves out, and all actions are one manager.
    """
    metadata = (existing or {}).get("metadata") or {}
    labels = _only(metadata.get("labels"), (EXECUTION_LABEL, EXECUTION_UID_LABEL, ACTION_LABEL))
    annotations = _only(metadata.get("annotations"), (IDENTITY_ANNOTATION,))
    if not annotations:
        return obj
    own = obj.get("metadata") or {}
    return {
        **obj,
        "metadata": {
            **own,
            "labels": {**(own.get("labels") or {}), **labels},
            "annotations": {**(own.get("annotations") or {}), **annotations},
        },
    }


def _only(values: Mapping[str, str] | None, keys: tuple[str, ...]) -> dict[str, str]:
    return {key: values[key] for key in keys if key in values} if values else {}


def owner(obj: Mapping[str, Any]) -> str:
    """Return the identity of the action that created `obj`, or empty text."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(IDENTITY_ANNOTATION, ""))


def is_own(obj: Mapping[str, Any], context: ActionContext) -> bool:
    """Tell whether this very action created `obj`, in this or an earlier attempt, and it is there to stay."""
    return owner(obj) == context.identity and not is_being_deleted(obj)


def is_being_deleted(obj: Mapping[str, Any]) -> bool:
    """Tell whether only finalizers keep `obj`."""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def created_by_target(obj: Mapping[str, Any], context: ActionContext) -> bool:
    """Tell whether the action that is rolled back created `obj`.

    Without `target_identity` the marks must name the same stage, workflow index and action of whatever run.
    """
    if context.target_identity:
        return owner(obj) == context.target_identity
    return owner(obj).partition("/")[2] == context.identity.partition("/")[2] != ""


def uid_of(obj: Mapping[str, Any]) -> str:
    """Return the UID of `obj`, or empty text."""
    return str((obj.get("metadata") or {}).get("uid", ""))


def version_of(obj: Mapping[str, Any]) -> str:
    """Return the resourceVersion of `obj`, or empty text."""
    return str((obj.get("metadata") or {}).get("resourceVersion", ""))


def reference(obj: Mapping[str, Any]) -> CoreReference:
    """Return the reference to `obj` that goes into outputs."""
    metadata = obj.get("metadata") or {}
    return CoreReference(
        api_version=str(obj.get("apiVersion", "")),
        kind=str(obj.get("kind", "")),
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        uid=uid_of(obj),
    )
