"""A values file written for the Go operator's chart: honoured, or refused with what to change, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from .support import CHART, NAMESPACE, helm, one

VALUES: dict[str, Any] = {
    "replicaCount": 1,
    "image": {"repository": "registry.example.com/dr", "pullPolicy": "Always", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "pull"}],
    "nameOverride": "",
    "fullnameOverride": "bcs-drplan",
    "serviceAccount": {"create": True, "automount": True, "annotations": {"owner": "dr"}},
    "controller": {
        "logLevel": 4,
        "leaderElection": True,
        "metricsAddr": ":9080",
        "healthProbeAddr": ":9081",
        "extraArgs": ["--shutdown-grace=5"],
    },
    "webhook": {
        "enabled": True,
        "port": 10443,
        "certificate": {"autoGenerate": False, "certPem": "Q0VSVA==", "keyPem": "S0VZ", "caBundle": "Q0E="},
    },
    "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "podSecurityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532},
    "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
    "livenessProbe": {"httpGet": {"path": "/healthz", "port": 9081}, "initialDelaySeconds": 15},
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9081}, "initialDelaySeconds": 5},
    "nodeSelector": {"role": "infra"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {},
    "priorityClassName": "high",
    "crds": {"keep": True},
    "rbac": {
        "create": True,
        "additionalRules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}],
    },
    "metrics": {
        "enabled": True,
        "type": "ClusterIP",
        "port": 9090,
        "serviceMonitor": {
            "enabled": True,
            "interval": "15s",
            "scrapeTimeout": "5s",
            "additionalLabels": {"release": "prometheus"},
        },
    },
    "env": [{"name": "TZ", "value": "UTC"}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "initContainers": [{"name": "first", "image": "busybox"}],
    "sidecars": [{"name": "beside", "image": "busybox"}],
}
"""Every value of that chart (contract: lifecycle 3), those left out that are refused."""

REFUSED: tuple[tuple[tuple[str, str], Any, str], ...] = (
    (("controller", "reconcileFrequency"), "30s", "had no effect in the Go operator"),
    (("controller", "enableHTTP2"), True, "speak HTTP/1.1 only"),
    (("crds", "install"), True, "is called crds.enabled here"),
    (("serviceAccount", "name"), "dr", "set serviceAccount.controllerName and serviceAccount.webhookName"),
)


def _template(file: Path, values: dict[str, Any]) -> tuple[int, str, str]:
    file.write_text(yaml.safe_dump(values))
    where = (f"--namespace={NAMESPACE}", "--kube-version=1.36.0")
    answer = helm("template", "drplan", str(CHART), *where, f"--values={file}")
    return answer.returncode, answer.stdout, answer.stderr


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    code, text, error = _template(tmp_path_factory.mktemp("go") / "values.yaml", VALUES)
    assert code == 0, error
    return [document for document in yaml.safe_load_all(text) if document]


def _pod(documents: list[dict[str, Any]]) -> dict[str, Any]:
    found = one(documents, "Deployment", "bcs-drplan-controller")["spec"]["template"]
    assert isinstance(found, dict)
    return found


def test_pods(rendered: list[dict[str, Any]]) -> None:
    pod = _pod(rendered)
    assert pod["metadata"]["annotations"]["a"] == "b"
    assert pod["metadata"]["labels"]["c"] == "d"
    spec = pod["spec"]
    assert [item["name"] for item in spec["initContainers"]] == ["first"]
    assert [item["name"] for item in spec["containers"]] == ["controller", "beside"]
    for name in ("imagePullSecrets", "nodeSelector", "tolerations", "priorityClassName"):
        assert spec[name] == VALUES[name]
    assert spec["securityContext"].items() >= VALUES["podSecurityContext"].items()
    assert VALUES["extraVolumes"][0] in spec["volumes"]


def test_containers(rendered: list[dict[str, Any]]) -> None:
    main = _pod(rendered)["spec"]["containers"][0]
    assert (main["image"], main["imagePullPolicy"]) == ("registry.example.com/dr:1.2.3", "Always")
    assert {"--log-level=debug", "--leader-elect=true", "--metrics-port=9080", "--health-port=9081"} <= {*main["args"]}
    assert main["args"][-1] == "--shutdown-grace=5"
    assert main["resources"] == VALUES["resources"]
    assert main["livenessProbe"].items() >= VALUES["livenessProbe"].items()
    assert VALUES["env"][0] in main["env"]
    assert VALUES["extraVolumeMounts"][0] in main["volumeMounts"]


def test_certificate_rights_and_metrics(rendered: list[dict[str, Any]]) -> None:
    assert one(rendered, "Secret", "bcs-drplan-webhook-tls")["data"]["tls.crt"] == "Q0VSVA=="
    assert one(rendered, "ClusterRole", "bcs-drplan-controller-targets")["rules"] == VALUES["rbac"]["additionalRules"]
    [port] = one(rendered, "Service", "bcs-drplan-metrics")["spec"]["ports"]
    assert port["port"] == 9090
    monitor = one(rendered, "ServiceMonitor", "bcs-drplan")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["interval"] == "15s"
    for item in rendered:
        if item["kind"] == "ServiceAccount" and "helm.sh/hook" not in item["metadata"].get("annotations", {}):
            assert item["metadata"]["annotations"] == {"owner": "dr"}


def test_what_cannot_be_honoured_is_told_at_once(tmp_path: Path) -> None:
    values = yaml.safe_load(yaml.safe_dump(VALUES))
    for (part, name), value, _ in REFUSED:
        values[part][name] = value
    code, _, error = _template(tmp_path / "values.yaml", values)
    assert code != 0
    for (part, name), _, hint in REFUSED:
        [line] = [line for line in error.splitlines() if f"{part}.{name}" in line]
        assert hint in line
