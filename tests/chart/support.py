"""Renders the chart as an admin would."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any

import yaml

from devcluster import ensure
from tests.support.cluster import REPOSITORY

CHART = REPOSITORY / "charts" / "drplan"
NAMESPACE = "drplan-system"
HOOK = "helm.sh/hook"
SELF_MANAGED: tuple[str, ...] = ()
CERT_MANAGER = ("webhook.certificate.mode=cert-manager",)
GIVEN_SECRET = (
    "webhook.certificate.mode=secret",
    "webhook.certificate.secretName=mine",
    "webhook.certificate.caBundle=Q0E=",
)
GIVEN_PEM = (
    "webhook.certificate.autoGenerate=false",
    "webhook.certificate.caBundle=Q0E=",
    "webhook.certificate.certPem=Q0E=",
    "webhook.certificate.keyPem=Q0E=",
)
MODES = {"self-managed": SELF_MANAGED, "cert-manager": CERT_MANAGER, "secret": GIVEN_SECRET, "pem": GIVEN_PEM}
"""Values of each way to a serving certificate."""


def helm(*arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run helm, whatever it answers."""
    command = [str(ensure("helm")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@cache
def template(*values: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with these `--set` values."""
    sets = [f"--set={value}" for value in values]
    return helm("template", "drplan", str(CHART), f"--namespace={NAMESPACE}", "--kube-version=1.36.0", *sets)


def render(*values: str) -> list[dict[str, Any]]:
    """The objects that the chart makes of these values, without those of `helm test`."""
    answer = template(*values)
    assert answer.returncode == 0, answer.stderr
    return [document for document in _documents(answer.stdout) if HOOK not in _annotations(document)]


def render_hooks(*values: str) -> list[dict[str, Any]]:
    """The objects of `helm test`."""
    answer = template(*values)
    assert answer.returncode == 0, answer.stderr
    return [document for document in _documents(answer.stdout) if HOOK in _annotations(document)]


def _documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    return document["metadata"].get("annotations") or {}


def one(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The object of this kind and name."""
    [found] = [item for item in documents if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def container(documents: list[dict[str, Any]], component: str) -> dict[str, Any]:
    """The main container of the controller or the webhook."""
    deployment = one(documents, "Deployment", f"drplan-{component}")
    found = deployment["spec"]["template"]["spec"]["containers"][0]
    assert isinstance(found, dict)
    return found
