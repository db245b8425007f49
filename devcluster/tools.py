"""The pinned tools of the local control plane: which Go package each is, and which version.

The version of a tool is the one its ``gomods/<module>/go.mod`` requires, so there is one place to change it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

GOMODS = Path(__file__).parent / "gomods"
"""Folder of the wrapper modules that pin every tool."""


@dataclass(frozen=True, slots=True)
class Module:
    """Something that a pinned Go module has."""

    name: str
    module_dir: str
    """Folder under ``gomods`` whose go.mod and go.sum pin it."""
    module: str
    """Go module that holds it."""

    @property
    def directory(self) -> Path:
        """The wrapper module's folder."""
        return GOMODS / self.module_dir

    @property
    def version(self) -> str:
        """The required version, e.g. ``v1.36.3``."""
        text = (self.directory / "go.mod").read_text()
        found = re.search(rf"^(?:require)?\s*{re.escape(self.module)}\s+(v\S+)", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.directory / 'go.mod'}: no requirement of {self.module}")
        return found[1]


@dataclass(frozen=True, slots=True)
class Tool(Module):
    """One binary and how it is built."""

    package: str
    """Main package to build."""
    version_variables: tuple[str, ...] = ()
    """Go packages whose gitVersion, gitMajor and gitMinor are set at link time."""
    minutes: float = 1.0
    """About how long a first build takes on two cores; for the progress line only."""
    tags: str = ""
    """Build tags, separated by commas."""

    @property
    def link_flags(self) -> str:
        """The value of ``-ldflags``: no debug symbols, and the version where the tool reports one."""
        flags = ["-s", "-w"]
        major, minor, *_ = self.version.lstrip("v").split(".")
        for package in self.version_variables:
            for key, value in (("gitVersion", self.version), ("gitMajor", major), ("gitMinor", minor)):
                flags += ["-X", f"{package}.{key}={value}"]
        return " ".join(flags)


@dataclass(frozen=True, slots=True)
class Published(Module):
    """Files that a module carries besides its code."""

    folder: str
    """Where they are in the module."""
    files: tuple[str, ...]
    """Their paths in that folder; their last names differ."""


def _kubernetes(name: str, minutes: float) -> Tool:
    return Tool(
        name,
        "kubernetes",
        "k8s.io/kubernetes",
        f"k8s.io/kubernetes/cmd/{name}",
        ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
        minutes,
    )


ETCD = Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3")
KUBE_APISERVER = _kubernetes("kube-apiserver", 6)
KUBE_CONTROLLER_MANAGER = _kubernetes("kube-controller-manager", 2)
KUBE_SCHEDULER = _kubernetes("kube-scheduler", 1)
KUBECTL = _kubernetes("kubectl", 1)
KWOK = Tool("kwok", "kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok", minutes=2)
HELM = Tool("helm", "helm", "helm.sh/helm/v3", "helm.sh/helm/v3/cmd/helm", minutes=4)
PROMTOOL = Tool(
    "promtool",
    "promtool",
    "github.com/prometheus/prometheus",
    "github.com/prometheus/prometheus/cmd/promtool",
    tags="remove_all_sd",  # the clients of two dozen clouds, which rules and queries do not need
    minutes=3,
)

TOOLS = {
    tool.name: tool
    for tool in (ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBECTL, KWOK, HELM, PROMTOOL)
}
"""Every tool by name."""

KWOK_STAGES = Published(
    "kwok-stages",
    KWOK.module_dir,
    KWOK.module,
    "kustomize/stage",
    (
        "node/fast/node-initialize.yaml",
        "node/heartbeat/node-heartbeat.yaml",
        "pod/fast/pod-ready.yaml",
        "pod/fast/pod-complete.yaml",
        "pod/fast/pod-delete.yaml",
    ),
)
"""How KWOK plays nodes and pods."""
CERT_MANAGER_CRDS = Published(
    "cert-manager-crds",
    "crds",
    "github.com/cert-manager/cert-manager",
    "deploy/crds",
    ("cert-manager.io_certificates.yaml", "cert-manager.io_issuers.yaml"),
)
"""The kinds of cert-manager that the chart uses."""
PROMETHEUS_CRDS = Published(
    "prometheus-operator-crds",
    "crds",
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd",
    ("monitoring.coreos.com_prometheusrules.yaml", "monitoring.coreos.com_servicemonitors.yaml"),
)
"""The kinds of the Prometheus operator that the chart uses."""
