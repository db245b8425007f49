"""Objects for choices that the defaults do not make: what is there, what it says, and that the API server takes it.

Objects of the Prometheus operator and of cert-manager are not sent to the API server, which does not know them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.cluster import Cluster

from .support import CERT_MANAGER, GIVEN_PEM, GIVEN_SECRET, container, one, render

FOREIGN = ("monitoring.coreos.com/", "cert-manager.io/")
MONITORING = (
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
)
PROXY = ("proxy.httpsProxy=http://proxy:3128", "proxy.noProxy=.example.com", "trust.caBundle=PEM")
ALONE = ("webhook.enabled=false", "controller.replicas=1")
CHOICES = {
    "cert-manager": CERT_MANAGER,
    "secret": GIVEN_SECRET,
    "pem": GIVEN_PEM,
    "monitoring": MONITORING,
    "proxy": PROXY,
    "alone": ALONE,
}


def test_cert_manager() -> None:
    documents = render(*CERT_MANAGER)
    certificate = one(documents, "Certificate", "drplan-webhook")["spec"]
    assert certificate["secretName"] == "drplan-webhook-tls"
    assert "drplan-webhook.drplan-system.svc" in certificate["dnsNames"]
    for kind in ("Mutating", "Validating"):
        name = f"drplan-{kind.lower()}-webhook-configuration"
        found = one(documents, f"{kind}WebhookConfiguration", name)["metadata"]["annotations"]
        assert found == {"cert-manager.io/inject-ca-from": "drplan-system/drplan-webhook"}


def test_given_certificate_is_what_the_api_server_trusts() -> None:
    for hook in one(render(*GIVEN_SECRET), "ValidatingWebhookConfiguration", "drplan-validating-webhook-configuration")[
        "webhooks"
    ]:
        assert hook["clientConfig"]["caBundle"] == "Q0E="


def test_monitoring() -> None:
    documents = render(*MONITORING)
    monitor = one(documents, "ServiceMonitor", "drplan")["spec"]
    service = one(documents, "Service", "drplan-metrics")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert one(documents, "PrometheusRule", "drplan")["spec"]["groups"]
    assert one(documents, "ConfigMap", "drplan-dashboard")["data"]["drplan.json"].startswith("{")


def test_proxy_and_trust() -> None:
    documents = render(*PROXY)
    env = {item["name"]: item["value"] for item in container(documents, "controller")["env"]}
    assert env["HTTPS_PROXY"] == "http://proxy:3128"
    assert env["NO_PROXY"].endswith(",.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST),.example.com")
    assert env["SSL_CERT_FILE"] == "/etc/drplan/trust/ca.crt"
    assert one(documents, "ConfigMap", "drplan-trust")["data"]["ca.crt"] == "PEM\n"


def test_without_admission_nothing_is_registered() -> None:
    documents = render(*ALONE)
    assert not any("Webhook" in item["kind"] for item in documents)
    assert [item["metadata"]["name"] for item in documents if item["kind"] == "Deployment"] == ["drplan-controller"]
    assert one(documents, "Deployment", "drplan-controller")["spec"]["replicas"] == 1


@pytest.mark.apiserver
@pytest.mark.parametrize("choice", CHOICES)
def test_api_server_takes_every_object(cluster: Cluster, tmp_path: Path, choice: str) -> None:
    documents = [
        item
        for item in render(*CHOICES[choice])
        if not item["apiVersion"].startswith(FOREIGN) and item["kind"] != "CustomResourceDefinition"
    ]
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    answer = cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(file))
    assert answer.stdout.count("(server dry run)") == len(documents)
