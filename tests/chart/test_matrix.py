"""Objects for choices that the defaults do not make: what is there, what it says, and that the API server takes it.

The API server knows the kinds of cert-manager and of the Prometheus operator by their own CRDs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from devcluster.binaries import ensure_files
from devcluster.tools import CERT_MANAGER_CRDS, PROMETHEUS_CRDS
from tests.support.cluster import Cluster

from .support import CERT_MANAGER, GIVEN_PEM, GIVEN_SECRET, container, one, render, render_hooks

MONITORING = (
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
)
PROXY = ("proxy.httpsProxy=http://proxy:3128", "proxy.noProxy=.example.com", "trust.caBundle=PEM")
ALONE = ("webhook.enabled=false", "controller.replicas=1")
AUTOSCALED = (
    "webhook.autoscaling.enabled=true",
    "networkPolicy.enabled=true",
    "networkPolicy.egress[0].ports[0].port=443",
)
PLACED = (
    "tolerations[0].key=dr",
    "tolerations[0].operator=Exists",
    "nodeSelector.role=infra",
    "priorityClassName=system-cluster-critical",
    "webhook.hostNetwork=true",
    "webhook.service.type=NodePort",
    "serviceAccount.annotations.owner=ops",
    "commonLabels.team=dr",
)
CALLERS = (
    "networkPolicy.enabled=true",
    "networkPolicy.apiFrom[0].podSelector.matchLabels.app=dashboard",
    "webhook.clientCertificate.configMap=callers",
    "webhook.clientCertificate.names={apiserver}",
)
CHOICES = {
    "callers": CALLERS,
    "autoscaled": AUTOSCALED,
    "placed": PLACED,
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


def test_the_http_api_has_a_port_of_its_own() -> None:
    documents = render(*CALLERS)
    ports = one(documents, "Service", "drplan-webhook")["spec"]["ports"]
    assert [(each["name"], each["port"], each["targetPort"]) for each in ports] == [
        ("https", 443, "https"),
        ("api", 9444, "api"),
    ]
    named = {each["name"]: each["containerPort"] for each in container(documents, "webhook")["ports"]}
    assert (named["https"], named["api"]) == (9443, 9444)
    rules = one(documents, "NetworkPolicy", "drplan-webhook")["spec"]["ingress"]
    by_port = {rule["ports"][0]["port"]: rule.get("from") for rule in rules}
    assert by_port["api"] == [{"podSelector": {"matchLabels": {"app": "dashboard"}}}]
    assert by_port["https"] is None


@pytest.mark.parametrize("value", ["api.port=9443", "api.enabled=false"])
def test_without_one_nothing_names_it(value: str) -> None:
    documents = render("networkPolicy.enabled=true", value)
    assert len(one(documents, "Service", "drplan-webhook")["spec"]["ports"]) == 1
    assert "api" not in {each["name"] for each in container(documents, "webhook")["ports"]}
    rules = one(documents, "NetworkPolicy", "drplan-webhook")["spec"]["ingress"]
    assert "api" not in {rule["ports"][0]["port"] for rule in rules}


def test_client_certificates_are_demanded_by_a_mounted_authority() -> None:
    main = container(render(*CALLERS), "webhook")
    assert {"--client-ca-file=/etc/drplan/callers/ca.crt", "--client-names=apiserver"} <= set(main["args"])
    mounts = {each["name"]: each["mountPath"] for each in main["volumeMounts"]}
    assert mounts["callers"] == "/etc/drplan/callers"


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
    env = {item["name"]: item.get("value") for item in container(documents, "controller")["env"]}
    assert env["HTTPS_PROXY"] == "http://proxy:3128"
    assert env["NO_PROXY"].endswith(",.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST),.example.com")
    assert env["SSL_CERT_FILE"] == "/etc/drplan/trust/ca.crt"
    assert one(documents, "ConfigMap", "drplan-trust")["data"]["ca.crt"] == "PEM\n"


def test_without_admission_nothing_is_registered() -> None:
    documents = render(*ALONE)
    assert not any("Webhook" in item["kind"] for item in documents)
    assert [item["metadata"]["name"] for item in documents if item["kind"] == "Deployment"] == ["drplan-controller"]
    assert one(documents, "Deployment", "drplan-controller")["spec"]["replicas"] == 1


@pytest.mark.parametrize(("in_network", "strategy"), [("false", (0, 1)), ("true", (1, 0))])
def test_in_the_network_of_the_node_a_pod_ends_before_the_next_one_wants_its_ports(
    in_network: str, strategy: tuple[int, int]
) -> None:
    documents = render(f"webhook.hostNetwork={in_network}")
    found = one(documents, "Deployment", "drplan-webhook")["spec"]["strategy"]["rollingUpdate"]
    assert (found["maxUnavailable"], found["maxSurge"]) == strategy
    other = one(documents, "Deployment", "drplan-controller")["spec"]["strategy"]["rollingUpdate"]
    assert (other["maxUnavailable"], other["maxSurge"]) == (0, 1)


@pytest.fixture(scope="module")
def knowing(cluster: Cluster) -> Cluster:
    """A cluster with the kinds of cert-manager and the Prometheus operator, and the ServiceAccount of `helm test`."""
    for published in (CERT_MANAGER_CRDS, PROMETHEUS_CRDS):
        cluster.plane.api.install_crds(ensure_files(published)[0].parent)
    cluster.apply([item for item in render_hooks() if item["kind"] == "ServiceAccount"])
    return cluster


@pytest.mark.parametrize("choice", CHOICES)
def test_api_server_takes_every_object(knowing: Cluster, tmp_path: Path, choice: str) -> None:
    objects = [item for item in render(*CHOICES[choice]) if item["kind"] != "CustomResourceDefinition"]
    documents = [*objects, *render_hooks(*CHOICES[choice])]
    assert any(item["kind"] == "Pod" for item in documents)
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    command = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    answer = knowing.kubectl(*command, "-f", str(file))
    assert answer.stdout.count("(server dry run)") == len(documents)


@pytest.mark.parametrize(
    ("kind", "path", "value", "complaint"),
    [
        ("ServiceMonitor", ("endpoints", 0, "interval"), "often", "spec.endpoints[0].interval"),
        (
            "PrometheusRule",
            ("groups", 0, "rules", 0, "alarm"),
            "x",
            ".rules[0].alarm: field not declared",
        ),
        ("Certificate", ("privateKey", "algorithm"), "ROT13", "spec.privateKey.algorithm"),
        ("Issuer", ("selfsigned",), {}, ".spec.selfsigned: field not declared"),
    ],
)
def test_the_other_projects_schemas_would_complain(
    knowing: Cluster, kind: str, path: tuple[str | int, ...], value: object, complaint: str
) -> None:
    document = next(item for item in render(*CERT_MANAGER, *MONITORING) if item["kind"] == kind)
    node = document["spec"]
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    command = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    answer = knowing.kubectl(*command, stdin=document, check=False)
    assert answer.rc != 0
    assert complaint in answer.stderr
