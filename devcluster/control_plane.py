"""Starts and stops one control plane."""

import asyncio
import fcntl
import http.client
import json
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TextIO

from devcluster import components, identities, rights
from devcluster.api import Api, load_file, wait_for
from devcluster.audit import POLICY, AuditLog
from devcluster.binaries import Profile, ensure, ensure_files, ensure_profile
from devcluster.certificates import Authority, signing_key
from devcluster.identities import Identity
from devcluster.ports import free_port, release
from devcluster.processes import ManagedProcess
from devcluster.tools import KWOK_STAGES

__all__ = ["ControlPlane", "Profile"]

MANIFESTS = Path(__file__).parent / "manifests"
START_SECONDS = 60.0
"""How long one component may take to become ready. A few seconds are normal; a loaded machine needs more."""


class ControlPlane:
    """One control plane, used as a context manager, synchronous or asynchronous.

    Args:
        profile: ``minimal`` (etcd, kube-apiserver) or ``full`` (also controller-manager, scheduler, KWOK and one node).
        directory: where everything goes; None means a temporary folder that is removed at the end. A folder of an
            earlier control plane is used again with its data and identities.
        users: further users with tokens, as (name, username, groups).
        api_server_flags: further flags of kube-apiserver.
    """

    observers: ClassVar[list[Callable[["ControlPlane"], None]]] = []
    """Called with a control plane whose processes have ended, before its directory goes."""

    def __init__(
        self,
        profile: Profile = "minimal",
        directory: Path | None = None,
        users: Sequence[tuple[str, str, Sequence[str]]] = (),
        api_server_flags: Sequence[str] = (),
    ) -> None:
        self.profile: Profile = profile
        self._temporary = directory is None
        self.directory = _temporary_path() if directory is None else directory.resolve()
        self.layout = components.Layout(self.directory)
        self.audit = AuditLog(self.layout.audit_log)
        self.components: dict[str, ManagedProcess] = {}
        """Running components by name, e.g. ``etcd``, ``kube-apiserver``; a test may pause or restart one."""
        self.services: list[ManagedProcess] = []
        """Further processes that end before the components do."""
        self._api_server_flags = tuple(api_server_flags)
        self._users = (*identities.STANDARD, *users)
        self._ports: list[int] = []
        self._lock: TextIO | None = None
        self._identities: dict[str, Identity] = {}
        self._authority: Authority | None = None
        self._api: Api | None = None
        self.server = ""

    def start(self) -> Self:
        """Start every component and wait until the control plane is ready.

        Raises:
            BinaryError: a binary is not to be had.
            ComponentError: a component did not become ready; what had been started is stopped again.
            RuntimeError: another process uses the directory.
        """
        try:
            binaries = ensure_profile(self.profile)
            stages = ensure_files(KWOK_STAGES) if self.profile == "full" else []
            self._take_directory()
            self._start_api_server(binaries)
            if self.profile == "full":
                self._start_controllers(binaries, stages)
            self._install_base()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop every process, the last started first, and remove a temporary directory. May be called twice."""
        for process in reversed(self.services):
            process.stop()
        for component in reversed(self.components.values()):
            component.stop(timeout=3.0)
        try:
            for observe in self.observers:
                observe(self)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        for port in self._ports:
            release(port)
        self._ports.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def api(self) -> Api:
        """A small client that acts as admin."""
        if self._api is None:
            raise RuntimeError("the control plane is not started")
        return self._api

    @property
    def authority(self) -> Authority:
        """The certificate authority of the API server and of client certificates."""
        if self._authority is None:
            raise RuntimeError("the control plane is not started")
        return self._authority

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.identity("admin").kubeconfig

    def identity(self, name: str) -> Identity:
        """A user by short name: ``admin``, ``controller``, ``webhook``, ``alice`` or one that was added.

        Raises:
            KeyError: there is no such user.
        """
        try:
            return self._identities[name]
        except KeyError:
            raise KeyError(f"no identity {name!r}: there are {', '.join(self._identities)}") from None

    def add_user(
        self,
        name: str,
        cluster_roles: Sequence[str] = (),
        roles: Sequence[tuple[str, str]] = (),
        rules: Sequence[Mapping[str, Any]] = (),
        groups: Sequence[str] = (),
    ) -> Identity:
        """Add a user while the control plane runs: with a client certificate and rights that hold at once.

        Args:
            name: the username.
            cluster_roles: ClusterRoles the user gets in all namespaces, e.g. ``view``.
            roles: (namespace, ClusterRole) pairs the user gets in one namespace.
            rules: rules of a ClusterRole of the user's own, in all namespaces.
            groups: the user's groups.
        """
        pair = self.authority.issue(f"user-{name}", name, tuple(groups))
        kubeconfig = self.layout.kubeconfigs / f"{name}.kubeconfig"
        identity = Identity(name, name, tuple(groups), certificate=pair, kubeconfig=kubeconfig)
        identities.write_kubeconfig(identity, self.server, self.authority.pem)
        self._identities[name] = identity
        if rules:
            role = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": f"of-{name}"},
            }
            self.api.apply({**role, "rules": [dict(rule) for rule in rules]})
            rights.bind(self.api, name, f"of-{name}")
        for cluster_role in cluster_roles:
            rights.bind(self.api, name, cluster_role)
        for namespace, cluster_role in roles:
            rights.bind(self.api, name, cluster_role, namespace)
        return identity

    def service_account(self, namespace: str, name: str, identity_name: str = "") -> Identity:
        """Create a ServiceAccount unless it exists, and a kubeconfig with a token of it.

        Args:
            namespace: where it is.
            name: its name.
            identity_name: what ``identity()`` knows it by; empty means ``<namespace>-<name>``.
        """
        self.api.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        )
        request: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        request["spec"] = {"expirationSeconds": identities.TOKEN_SECONDS}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token = self.api.request("POST", path, request)["status"]["token"]
        known_as = identity_name or f"{namespace}-{name}"
        identity = Identity(
            known_as,
            f"system:serviceaccount:{namespace}:{name}",
            token=token,
            kubeconfig=self.layout.kubeconfigs / f"{known_as}.kubeconfig",
        )
        identities.write_kubeconfig(identity, self.server, self.authority.pem)
        self._identities[identity.name] = identity
        return identity

    def install_clusternet(self) -> None:
        """Install the small Clusternet CRDs that tests and demos use."""
        self.api.install_crds(MANIFESTS / "clusternet")

    def port(self) -> int:
        """A free loopback port that stays reserved until the control plane stops."""
        port = free_port()
        self._ports.append(port)
        return port

    def _take_directory(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self.directory / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"{self.directory} is in use by another control plane: stop that one or choose another directory"
            ) from None
        self.layout.config.mkdir(exist_ok=True)
        self.layout.logs.mkdir(exist_ok=True)
        self.layout.audit_policy.write_text(json.dumps(POLICY))

    def _component(self, name: str, command: list[str]) -> ManagedProcess:
        process = ManagedProcess(name, command, self.layout.logs / f"{name}.log")
        self.components[name] = process
        return process.start()

    def _start_api_server(self, binaries: dict[str, Path]) -> None:
        client_port, peer_port, api_port = self.port(), self.port(), self.port()
        etcd = self._component("etcd", components.etcd(binaries["etcd"], self.layout, client_port, peer_port))
        self._authority = authority = Authority(self.layout.pki)
        serving = authority.issue("kube-apiserver", "kube-apiserver", server=True)
        ca = authority.pair.certificate
        self.server = f"https://127.0.0.1:{api_port}"
        self._identities = identities.with_tokens(self._users, self.layout.token_file, self.layout.kubeconfigs)
        for identity in self._identities.values():
            identities.write_kubeconfig(identity, self.server, authority.pem)
        self._api = Api(self.server, authority.pem, self.identity("admin").token or "")
        etcd.wait_until(lambda: _healthy(client_port, "/readyz", None), START_SECONDS)
        command = components.kube_apiserver(
            binaries["kube-apiserver"],
            self.layout,
            api_port,
            client_port,
            serving,
            ca,
            signing_key(self.layout.pki / "service-accounts.key"),
        )
        server = self._component("kube-apiserver", [*command, *self._api_server_flags])
        server.wait_until(self._api.ready, START_SECONDS)

    def _start_controllers(self, binaries: dict[str, Path], stages: list[Path]) -> None:
        serving = self.authority.issue("controllers", "controllers", server=True)
        ca = self.authority.pair.certificate
        ports = [self.port(), self.port(), self.port()]
        manager = components.kube_controller_manager(
            binaries["kube-controller-manager"],
            self.identity("kube-controller-manager").kubeconfig,
            ports[0],
            serving,
            ca,
            signing_key(self.layout.pki / "service-accounts.key"),
        )
        scheduler = components.kube_scheduler(
            binaries["kube-scheduler"], self.identity("kube-scheduler").kubeconfig, ports[1], serving
        )
        configs = [*stages, *self._kwok_configs()]
        kwok = components.kwok(binaries["kwok"], self.identity("kwok").kubeconfig, ports[2], serving, configs)
        for name, command in (("kube-controller-manager", manager), ("kube-scheduler", scheduler), ("kwok", kwok)):
            self._component(name, command)
        trust = ssl.create_default_context(cadata=self.authority.pem.decode())
        self.api.apply_all(load_file(MANIFESTS / "node.yaml"))
        for name, port in (("kube-controller-manager", ports[0]), ("kube-scheduler", ports[1])):
            self.components[name].wait_until(_probe(port, trust), START_SECONDS)
        self.components["kwok"].wait_until(self._node_ready, START_SECONDS, "make the node ready")
        self.components["kube-controller-manager"].wait_until(
            self._default_account, START_SECONDS, "create the default ServiceAccount"
        )

    def _kwok_configs(self) -> list[Path]:
        pod_log = self.layout.config / "pod.log"
        pod_log.write_text((MANIFESTS / "kwok" / "pod.log").read_text())
        logs = self.layout.config / "kwok-logs.yaml"
        logs.write_text((MANIFESTS / "kwok" / "logs.yaml.in").read_text().replace("@POD_LOG@", str(pod_log)))
        return [*sorted((MANIFESTS / "kwok").glob("*.yaml")), logs]

    def _node_ready(self) -> bool:
        conditions = self.api.get("/api/v1/nodes/node-0").get("status", {}).get("conditions") or []
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def _default_account(self) -> bool:
        return self.api.raw("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200

    def _install_base(self) -> None:
        wait_for(
            lambda: self.api.raw("GET", "/api/v1/namespaces/default")[0] == 200, START_SECONDS, "namespace default"
        )
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": identities.NAMESPACE}})
        granted = load_file(MANIFESTS / "rbac.yaml")
        self.api.apply_all(granted)
        for name in identities.PROCESSES:
            self.service_account(identities.NAMESPACE, f"drplan-{name}", name)
        rights.wait_until_effective(self.api, granted)
        if self.profile == "minimal":
            rights.aggregate(self.api)

    def kubectl(self) -> Path:
        """The kubectl command."""
        return ensure("kubectl")


def _temporary_path() -> Path:
    return Path(tempfile.gettempdir()) / f"drplan-{secrets.token_hex(6)}"


def _probe(port: int, trust: ssl.SSLContext) -> Callable[[], bool]:
    return lambda: _healthy(port, "/healthz", trust)


def _healthy(port: int, path: str, trust: ssl.SSLContext | None) -> bool:
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
        if trust is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=5.0, context=trust)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
