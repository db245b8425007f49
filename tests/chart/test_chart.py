"""The Helm chart: it renders what the code registers, the API server takes it, and wrong values are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from app.kube import registrations
from tests.support.cluster import Cluster

from .support import CHART, NAMESPACE, helm, render, render_hooks, template

CONTROLLER = f"system:serviceaccount:{NAMESPACE}:drplan-controller"


def test_lint() -> None:
    answer = helm("lint", "--strict", str(CHART), "--kube-version=1.36.0")
    assert answer.returncode == 0, answer.stdout


def test_registrations_are_those_of_the_code() -> None:
    rendered = {item["kind"]: item["webhooks"] for item in render() if "webhooks" in item}
    client = registrations.service_client(NAMESPACE, "drplan-webhook", b"")
    expected = {
        item["kind"]: item["webhooks"]
        for item in (
            registrations.mutating_configuration(client, controller_user=CONTROLLER),
            registrations.validating_configuration(client, controller_user=CONTROLLER),
        )
    }
    for webhooks in expected.values():
        for webhook in webhooks:
            del webhook["clientConfig"]["caBundle"]
    assert rendered == expected


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("crds.install=true", "crds.install is called crds.enabled here"),
        ("serviceAccount.name=x", "serviceAccount.controllerName"),
        ("controller.leaderElection=false", "set controller.replicas to 1"),
        ("webhook.certificate.autoGenerate=false", "webhook.certificate.caBundle is needed"),
        ("webhook.replicas=0", "would refuse every change"),
        ("webhook.reviewTimeout=10", "must be less than webhook.timeoutSeconds"),
    ],
)
def test_values_that_cannot_be_used(value: str, hint: str) -> None:
    answer = template(value)
    assert answer.returncode != 0
    assert hint in answer.stderr


def test_api_server_takes_every_object(cluster: Cluster, tmp_path: Path) -> None:
    documents = render("networkPolicy.enabled=true", "webhook.autoscaling.enabled=true", "trust.caBundle=x")
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    answer = cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(file))
    assert answer.stdout.count("(server dry run)") == len(documents)


def test_objects_of_helm_test_can_be_left_out() -> None:
    assert {item["kind"] for item in render_hooks()} == {"ServiceAccount", "Role", "RoleBinding", "Pod"}
    assert render_hooks("tests.enabled=false") == []


def test_helm_test_leaves_out_admission_where_there_is_none() -> None:
    [pod] = [item for item in render_hooks("webhook.enabled=false") if item["kind"] == "Pod"]
    assert "--no-admission" in pod["spec"]["containers"][0]["args"]
