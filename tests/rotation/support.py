"""Replicas with certificates of their own on a control plane of their own."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from app.kube import registrations
from app.kube.resources import MUTATING_WEBHOOKS, SECRETS, VALIDATING_WEBHOOKS
from devcluster import ControlPlane
from devcluster.api import RequestError
from devcluster.identities import NAMESPACE
from devcluster.services import WebhookProcess
from tests.support.cluster import REPOSITORY
from webhook.certificates.kept import OURS_LABEL, OURS_VALUE, ROTATE, Kept, parse_pair, parse_trust, with_pair
from webhook.certificates.making import fingerprint
from webhook.certificates.pair import CertificateError, parse_bundle

SECRET = "drplan-webhook-tls"
AUTHORITY = "drplan-webhook-authority"
SECRET_PATH, AUTHORITY_PATH = (SECRETS.path(NAMESPACE, name) for name in (SECRET, AUTHORITY))
SERVICE = "drplan-webhook"
CONFIGURATIONS = (
    MUTATING_WEBHOOKS.path(name=registrations.MUTATING_NAME),
    VALIDATING_WEBHOOKS.path(name=registrations.VALIDATING_NAME),
)


def replica(plane: ControlPlane, name: str, arguments: Sequence[str] = ()) -> WebhookProcess:
    """A process of the admission service that keeps its certificates in the Secret; not started yet."""
    port, health, metrics = plane.port(), plane.port(), plane.port()
    command = [
        sys.executable,
        "-m",
        "tests.rotation.replica",
        f"--kubeconfig={plane.identity('webhook').kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--webhook-port={port}",
        "--api-port=0",
        f"--health-port={health}",
        f"--metrics-port={metrics}",
        f"--cert-secret={SECRET}",
        f"--cert-ca-secret={AUTHORITY}",
        "--drain-seconds=2",
        *arguments,
    ]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY)}
    process = WebhookProcess(name, command, plane.layout.logs / f"{name}.log", env, health, metrics)
    process.webhook_port, process.cert_dir = port, Path()
    plane.services.append(process)
    return process


def register(plane: ControlPlane, port: int) -> None:
    """Register the webhooks with a Service that leads to a port here, with an empty caBundle as a chart leaves it."""
    metadata = {"name": SERVICE, "namespace": NAMESPACE}
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    plane.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    client = registrations.service_client(NAMESPACE, SERVICE, b"", port)
    controller = plane.identity("controller").username
    for obj in (
        registrations.mutating_configuration(client, controller_user=controller),
        registrations.validating_configuration(client, controller_user=controller),
    ):
        for hook in obj["webhooks"]:
            del hook["clientConfig"]["caBundle"]
        plane.api.apply(obj)


def empty_secrets(plane: ControlPlane) -> None:
    """The Secrets as the chart makes them."""
    for name, path in ((SECRET, SECRET_PATH), (AUTHORITY, AUTHORITY_PATH)):
        plane.api.raw("DELETE", path)
        make_secret(plane, name)


def make_secret(plane: ControlPlane, name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {OURS_LABEL: OURS_VALUE}}
    return plane.api.request(
        "POST", SECRETS.path(NAMESPACE), {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **more}
    )


def kept(plane: ControlPlane) -> Kept:
    """The content of the Secrets."""
    trust = parse_trust(plane.api.get(AUTHORITY_PATH))
    return with_pair(trust, parse_pair(plane.api.get(SECRET_PATH), trust.authorities))


def is_kept(plane: ControlPlane) -> bool:
    try:
        return bool(kept(plane))
    except (CertificateError, RequestError):
        return False


def bundles(plane: ControlPlane) -> list[list[str]]:
    """Fingerprints in the caBundle of every webhook."""
    found = []
    for path in CONFIGURATIONS:
        for hook in plane.api.get(path)["webhooks"]:
            pem = base64.b64decode(hook["clientConfig"].get("caBundle", ""))
            found.append([fingerprint(certificate) for certificate in parse_bundle(pem)[0]])
    return found


def trusted_everywhere(plane: ControlPlane, authority: x509.Certificate) -> bool:
    return all(fingerprint(authority) in bundle for bundle in bundles(plane))


def set_bundles(plane: ControlPlane, pem: bytes) -> None:
    """Overwrite every caBundle, as an upgrade that renders it anew would."""
    for path in CONFIGURATIONS:
        hooks = plane.api.get(path)["webhooks"]
        patch: list[Any] = [
            {"op": "add", "path": f"/webhooks/{i}/clientConfig/caBundle", "value": base64.b64encode(pem).decode()}
            for i in range(len(hooks))
        ]
        status, answer = plane.api.raw("PATCH", path, patch, "application/json-patch+json")  # type: ignore[arg-type]
        assert status == 200, answer


def ask_for_rotation(plane: ControlPlane) -> None:
    """What an administrator does to get a new authority."""
    patch = {"metadata": {"annotations": {ROTATE: "true"}}}
    plane.api.request("PATCH", AUTHORITY_PATH, patch, "application/merge-patch+json")
