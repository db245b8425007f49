"""The command line of each component of the control plane."""

from dataclasses import dataclass
from pathlib import Path

from devcluster.certificates import Pair

ETCD_QUOTA_BYTES = 8 * 1024**3
"""The journal of runs writes much, and tests never compact by hand."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one control plane is: one directory."""

    root: Path

    @property
    def etcd_data(self) -> Path:
        """The database."""
        return self.root / "etcd"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Files the components read."""
        return self.root / "config"

    @property
    def logs(self) -> Path:
        """One log per component, and the audit log."""
        return self.root / "logs"

    @property
    def kubeconfigs(self) -> Path:
        """One kubeconfig per identity."""
        return self.root / "kubeconfigs"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, JSON lines."""
        return self.logs / "audit.log"

    @property
    def token_file(self) -> Path:
        """The API server's static tokens."""
        return self.config / "tokens.csv"

    @property
    def audit_policy(self) -> Path:
        """What the audit log records."""
        return self.config / "audit-policy.yaml"


def etcd(binary: Path, layout: Layout, client_port: int, peer_port: int) -> list[str]:
    """One member that does not sync to disk: fast, and its data need not survive a power cut."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        str(binary),
        "--name=drplan",
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=drplan={peer}",
        "--unsafe-no-fsync",
        f"--quota-backend-bytes={ETCD_QUOTA_BYTES}",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    ]


def kube_apiserver(
    binary: Path, layout: Layout, port: int, etcd_port: int, serving: Pair, client_ca: Path, signing_key: Path
) -> list[str]:
    """Default admission plugins, RBAC, static tokens and client certificates; nobody is anonymous."""
    return [
        str(binary),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={layout.pki}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={client_ca}",
        f"--token-auth-file={layout.token_file}",
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        "--allow-privileged=true",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={signing_key}",
        f"--service-account-signing-key-file={signing_key}",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=2000",
        "--profiling=false",
        f"--kubelet-certificate-authority={client_ca}",
        "--v=1",
    ]


def kube_controller_manager(
    binary: Path, kubeconfig: Path, port: int, serving: Pair, ca: Path, signing_key: Path
) -> list[str]:
    """All default controllers, without leader election, with limits high enough for tests."""
    return [
        *_client(binary, kubeconfig, port, serving),
        f"--root-ca-file={ca}",
        f"--service-account-private-key-file={signing_key}",
        "--use-service-account-credentials=true",
        "--controllers=*,-nodeipam,-route,-service-lb-controller,-cloud-node-lifecycle-controller",
    ]


def kube_scheduler(binary: Path, kubeconfig: Path, port: int, serving: Pair) -> list[str]:
    """The default scheduler, without leader election."""
    return _client(binary, kubeconfig, port, serving)


def _client(binary: Path, kubeconfig: Path, port: int, serving: Pair) -> list[str]:
    """What both clients of the API server have in common."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def kwok(binary: Path, kubeconfig: Path, port: int, serving: Pair, configs: list[Path]) -> list[str]:
    """KWOK for every node, serving pod logs to the API server as a kubelet would."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        "--manage-all-nodes=true",
        "--cidr=10.244.0.0/16",
        "--node-ip=127.0.0.1",
        f"--node-port={port}",
        f"--server-address=127.0.0.1:{port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        *(f"--config={config}" for config in configs),
    ]
