"""The objects that an action names, by its type: see `app.rules.actions.targets`."""

from __future__ import annotations

from typing import Any, Final

from app.models.actions import (
    BLOCK_MEMBER,
    ActionBody,
    ActionType,
    HttpAction,
    JobAction,
    ResourceAction,
    block_of,
)
from app.models.names import DEFAULT_NAMESPACE
from app.rules.actions.manifest_reading import read_manifest
from app.rules.actions.targets import TargetObject, takes_values
from app.rules.actions.templated import may_hold

_CLUSTERNET: Final = "apps.clusternet.io/v1alpha1"


def named_targets(body: ActionBody, type_: ActionType) -> tuple[TargetObject, ...]:
    """The objects that the block of `type_` names by members of its own; a manifest's are found by reading it."""
    block: Any = block_of(body, type_)
    match block:
        case None | ResourceAction():
            return ()
        case HttpAction():
            return _secrets(block)
        case JobAction():
            namespace = block.namespace or DEFAULT_NAMESPACE
            return (TargetObject("job", "Job: ", "batch/v1", "Job", namespace, None, in_manifest=False),)
    name = block.name or None  # one without a name is refused for that
    namespace = getattr(block, "namespace", "")
    return (
        TargetObject(BLOCK_MEMBER[type_], f"{type_}: ", _CLUSTERNET, str(type_), namespace, name, in_manifest=False),
    )


def open_targets(body: ActionBody, type_: ActionType, most: int) -> tuple[tuple[TargetObject, ...], int]:
    """The objects whose names have placeholders of parameters, and how many values were read for it; `most` at most."""
    block = block_of(body, type_)
    if not isinstance(block, ResourceAction):
        return tuple(filter(takes_values, named_targets(body, type_))), 0
    if most <= 0 or not may_hold(block.manifest):
        return (), 0
    manifest = read_manifest(block.manifest, most)
    return manifest.open_targets, manifest.values


def _secrets(block: HttpAction) -> tuple[TargetObject, ...]:
    names = [
        (f"http.headersFrom[{index}].secretKeyRef", header.secret_key_ref.name)
        for index, header in enumerate(block.headers_from)
    ]
    if block.client_certificate_secret_ref is not None:
        names.append(("http.clientCertificateSecretRef", block.client_certificate_secret_ref.name))
    return tuple(
        TargetObject(member, f"{member}: ", "v1", "Secret", "", name, in_manifest=False) for member, name in names
    )
