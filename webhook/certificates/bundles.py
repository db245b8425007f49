"""The caBundle of the webhook configurations: what is in them, what belongs in, how it is written."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from app.kube.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Resource
from webhook.certificates.making import certificate_pem, fingerprint
from webhook.certificates.pair import parse_bundle

INJECTOR_ANNOTATIONS = (
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-ca-from-secret",
    "cert-manager.io/inject-apiserver-ca",
)
"""By these cert-manager's cainjector writes a caBundle; two writers would take it from each other for ever."""


@dataclass(frozen=True, slots=True)
class WebhookConfiguration:
    """A webhook configuration whose caBundle is kept."""

    resource: Resource
    name: str

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One webhook configuration as read: its version, and the caBundle (PEM) of each webhook by name."""

    target: WebhookConfiguration
    version: str
    bundles: tuple[tuple[str, bytes], ...]
    injector: str = ""
    """The annotation by which another writer is asked to keep the caBundle; empty without."""


def targets(mutating: str, validating: str) -> tuple[WebhookConfiguration, ...]:
    """The configurations of these names; an empty name stands for none."""
    named = ((MUTATING_WEBHOOKS, mutating), (VALIDATING_WEBHOOKS, validating))
    return tuple(WebhookConfiguration(resource, name) for resource, name in named if name)


def read_configuration(target: WebhookConfiguration, found: dict[str, Any]) -> Configuration:
    """The parts of a configuration that matter here."""
    annotations = found["metadata"].get("annotations") or {}
    return Configuration(
        target,
        str(found["metadata"]["resourceVersion"]),
        tuple((str(hook["name"]), _decoded(hook)) for hook in found.get("webhooks") or ()),
        next((key for key in INJECTOR_ANNOTATIONS if key in annotations), ""),
    )


def authorities_in(configurations: Iterable[Configuration]) -> tuple[x509.Certificate, ...]:
    """Every certificate in any of the caBundles, once."""
    return tuple(
        dict.fromkeys(
            certificate
            for configuration in configurations
            for _, pem in configuration.bundles
            for certificate in parse_bundle(pem)[0]
        )
    )


def everywhere(configurations: Sequence[Configuration], candidates: Iterable[x509.Certificate]) -> frozenset[str]:
    """Fingerprints of the candidates that every webhook of every configuration has."""
    bundles = [set(parse_bundle(pem)[0]) for configuration in configurations for _, pem in configuration.bundles]
    return frozenset(fingerprint(c) for c in candidates if all(c in bundle for bundle in bundles))


def merged(pem: bytes, wanted: Sequence[x509.Certificate], known: Collection[x509.Certificate]) -> bytes:
    """The caBundle with `wanted` in it and the other `known` ones out of it.

    Certificates that are not known keep their place, and so do wanted ones that are there. What is no certificate is
    left out, because the API server may refuse the whole bundle for it. Returns `pem` itself when nothing changes.
    """
    there, broken = parse_bundle(pem)
    kept = [certificate for certificate in there if certificate in wanted or certificate not in known]
    added = [certificate for certificate in wanted if certificate not in there]
    if not broken and not added and len(kept) == len(there):
        return pem
    return certificate_pem(*kept, *added)


def changes(
    configuration: Configuration, wanted: Sequence[x509.Certificate], known: Collection[x509.Certificate]
) -> dict[str, bytes]:
    """The caBundle of each webhook that has to change, by its name."""
    new = {name: merged(pem, wanted, known) for name, pem in configuration.bundles}
    return {name: new[name] for name, pem in configuration.bundles if new[name] != pem}


def patch_body(configuration: Configuration, bundles: dict[str, bytes]) -> dict[str, Any]:
    """A strategic merge patch of caBundles; the version that was read is its precondition."""
    return {
        "metadata": {"resourceVersion": configuration.version},
        "webhooks": [
            {"name": name, "clientConfig": {"caBundle": base64.b64encode(pem).decode()}}
            for name, pem in bundles.items()
        ],
    }


def _decoded(hook: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode((hook.get("clientConfig") or {}).get("caBundle") or "")
    except binascii.Error:
        return b"not base64"
