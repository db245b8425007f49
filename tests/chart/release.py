"""A release that helm installed on a real control plane, with the commands of its pods running here.

KWOK plays the pods, so they are scheduled and become ready but run nothing. What their containers would run is
started as processes: with the arguments of the Deployments, and with tokens of the ServiceAccounts that the chart made.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from devcluster.audit import AuditedRequest
from devcluster.identities import Identity, write_kubeconfig
from devcluster.services import ServiceProcess
from tests.support.cluster import Cluster

from .support import helm

_DENIED = {
    "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
    "kind": "DRWorkflow",
    "metadata": {"name": "probe"},
    "spec": {"actions": [{"name": "probe", "type": "HTTP", "http": {"url": ""}}]},
}
"""What the schema lets pass and admission refuses."""


class Release:
    """One release. Its Service leads to this machine, since nothing here routes to the addresses of pods."""

    def __init__(self, cluster: Cluster, name: str, namespace: str) -> None:
        self.cluster = cluster
        self.name = name
        self.namespace = namespace
        self.prefix = name if "drplan" in name else f"{name}-drplan"
        self.port = cluster.plane.port()
        self._processes: list[ServiceProcess] = []
        self._number = 0

    def helm(self, command: str, *arguments: str) -> str:
        """Run a helm command on the release; return what it printed."""
        where = (f"--namespace={self.namespace}", f"--kubeconfig={self.cluster.kubeconfig}")
        answer = helm(command, self.name, *arguments, *where, timeout=150)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def deploy(self, command: str, chart: str | Path, *values: str, flags: Sequence[str] = ()) -> str:
        """`helm install`, or `helm upgrade` that keeps the values given before, until the pods are ready."""
        own = {
            "install": ("--create-namespace", f"--set=webhook.service.port={self.port}"),
            "upgrade": ("--reset-then-reuse-values",),
        }
        sets = (f"--set={value}" for value in values)
        printed = self.helm(command, str(chart), "--wait", "--timeout=2m", *own[command], *flags, *sets)
        self.route()
        return printed

    def route(self) -> None:
        """Let the admission Service lead to this machine; helm sets it back at each upgrade."""
        spec = {"type": "ExternalName", "externalName": "localhost", "clusterIP": None, "clusterIPs": None}
        path = f"/api/v1/namespaces/{self.namespace}/services/{self.prefix}-webhook"
        self.cluster.api.request("PATCH", path, {"spec": spec}, "application/merge-patch+json")

    def start(self) -> None:
        """Run what the pods of both Deployments would."""
        self._number += 1
        for component in ("webhook", "controller"):
            self._processes.append(self._process(component))
        for process in self._processes:
            process.start()
        for process in self._processes:
            process.wait_ready()

    def terminate(self) -> None:
        """Tell the processes to end, as the kubelet does."""
        for process in self._processes:
            process.send(signal.SIGTERM)

    def stop(self, *, orderly: bool = True) -> None:
        """End the processes and wait for it. Without rights a controller may lose its lease first: not `orderly`."""
        self.terminate()
        for process in self._processes:
            code = process.wait(30)
            assert code == 0 or (code is not None and not orderly), process.last_lines()
        self._processes.clear()

    def denies(self) -> bool:
        """Whether the API server calls the admission service and trusts its answer; an error is not a denial."""
        answer = self.cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=_DENIED, check=False)
        return 'admission webhook "vdrworkflow.kb.io" denied the request' in answer.stderr

    def authority(self) -> list[str]:
        """The caBundle of every registration."""
        found = self.cluster.kubectl(
            "get", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "-o", "json"
        ).json()
        return [hook["clientConfig"].get("caBundle", "") for item in found["items"] for hook in item["webhooks"]]

    def selftest(self) -> subprocess.CompletedProcess[str]:
        """Run what the pod of `helm test` would, with its ServiceAccount."""
        hooks = [item for item in yaml.safe_load_all(self.hooks()) if item]
        self.cluster.apply([item for item in hooks if item["kind"] != "Pod"], namespace=self.namespace)
        [pod] = [item for item in hooks if item["kind"] == "Pod"]
        kubeconfig = self._log_in(pod["spec"]["serviceAccountName"])
        command = [sys.executable, "-m", "drplan", *pod["spec"]["containers"][0]["args"], f"--kubeconfig={kubeconfig}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def hooks(self) -> str:
        """The objects of `helm test`."""
        where = (f"--namespace={self.namespace}", f"--kubeconfig={self.cluster.kubeconfig}")
        return helm("get", "hooks", self.name, *where).stdout

    def refused(self, mark: int) -> list[AuditedRequest]:
        """Requests of the release's ServiceAccounts since `mark` for which they lack the right."""
        ours = f"system:serviceaccount:{self.namespace}:{self.prefix}-"
        return [request for request in self.cluster.audit.since(mark, containing=ours) if not request.allowed]

    def _log_in(self, account: str) -> Path:
        token = self.cluster.kubectl("create", "token", account, namespace=self.namespace).stdout.strip()
        kubeconfig = self.cluster.plane.layout.kubeconfigs / f"{account}-{self._number}.kubeconfig"
        identity = Identity(account, account, token=token, kubeconfig=kubeconfig)
        write_kubeconfig(identity, self.cluster.plane.server, self.cluster.plane.authority.pem)
        return kubeconfig

    def _process(self, component: str) -> ServiceProcess:
        plane = self.cluster.plane
        pod = self.cluster.get("deployment", f"{self.prefix}-{component}", self.namespace)["spec"]["template"]["spec"]
        [container] = pod["containers"]
        health, metrics = plane.port(), plane.port()
        flags = [f"--kubeconfig={self._log_in(pod['serviceAccountName'])}", "--bind-address=127.0.0.1"]
        flags += [f"--health-port={health}", f"--metrics-port={metrics}"]
        if component == "webhook":
            flags += [f"--webhook-port={self.port}", "--api-port=0", "--drain-seconds=0"]
        else:
            flags += ["--egress-loopback"]
        command = [sys.executable, "-m", "drplan", *container["args"], *flags]
        environment = {
            **os.environ,
            **{item["name"]: item["value"] for item in container.get("env", ()) if "value" in item},
        }
        log = plane.layout.logs / f"{self.name}-{component}-{self._number}.log"
        process = ServiceProcess(f"{self.name}-{component}", command, log, environment, health, metrics)
        plane.services.append(process)
        return process
