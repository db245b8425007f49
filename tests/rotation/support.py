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
from devcluster.identities import NAMESPACE
from devcluster.services import WebhookProcess
from tests.support.cluster import REPOSITORY
from webhook.certificates.kept import ROTATE, Kept, parse_secret
from webhook.certificates.making import fingerprint
from webhook.certificates.pair import parse_bundle

SECRET = "drplan-webhook-tls"
SECRET_PATH = SECRETS.path(NAMESPACE, SECRET)
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
        "--drain-seconds=2",
        *arguments,
    ]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY)}
    process = WebhookProcess(name, command, plane.layout.logs / f"{name}.log", env, health, metrics)
    process.webhook_port, process.cert_dir = port, Path()
    plane.services.append(process)
    return process


def register(plane: ControlPlane, port: int) -> None:
    """Register the webhooks at a loopback port, with an empty caBundle as a chart leaves it."""
    client = registrations.url_client(f"https://127.0.0.1:{port}", b"")
    controller = plane.identity("controller").username
    for obj in (
        registrations.mutating_configuration(client, controller_user=controller),
        registrations.validating_configuration(client, controller_user=controller),
    ):
        for hook in obj["webhooks"]:
            del hook["clientConfig"]["caBundle"]
        plane.api.apply(obj)


def kept(plane: ControlPlane) -> Kept:
    """The content of the Secret."""
    return parse_secret(plane.api.get(SECRET_PATH))


def secret_exists(plane: ControlPlane) -> bool:
    return plane.api.raw("GET", SECRET_PATH)[0] == 200


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
    plane.api.request("PATCH", SECRET_PATH, patch, "application/merge-patch+json")
