"""Where the API server is and who we are there: kubeconfig files and the in-cluster service account.

Plain kubeconfig users (token, token file, client certificate, basic auth) are read here directly, which costs
milliseconds. Only users that need a program or a provider (`exec`, `auth-provider`) go through
kubernetes_asyncio, imported at that moment, because importing it costs seconds of CPU.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from app.kube.errors import ConnectionConfigError

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet mounts the token, CA and namespace of a pod's service account."""


@dataclass(frozen=True, slots=True)
class PluginUser:
    """A kubeconfig user whose credentials come from a program: which file and context to ask for it."""

    kubeconfig: str
    context: str | None


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """Everything needed to open a connection; secrets are left out of its `repr`.

    `*_data` members hold PEM text, `*_file` members paths that are read again from time to time.
    `origin` says where the configuration was found, for messages.
    """

    server: str
    ca_data: str | None = None
    ca_file: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_cert_data: str | None = field(default=None, repr=False)
    client_key_data: str | None = field(default=None, repr=False)
    client_cert_file: str | None = None
    client_key_file: str | None = None
    insecure: bool = False
    tls_server_name: str | None = None
    namespace: str = "default"
    proxy: str | None = None
    impersonate_user: str | None = None
    impersonate_groups: tuple[str, ...] = ()
    plugin: PluginUser | None = None
    origin: str = "given by the program"

    def __post_init__(self) -> None:
        if not self.server.startswith(("http://", "https://")):
            raise ConnectionConfigError(
                f"server {self.server!r} ({self.origin}): an http:// or https:// address is needed"
            )


def load_connection(kubeconfig: str | None = None, context: str | None = None) -> ConnectionConfig:
    """Find the cluster: the flag, then KUBECONFIG, then the pod's service account, then ~/.kube/config.

    `context` selects a context of the kubeconfig; without it the file's current-context counts.
    Raises ConnectionConfigError with what was tried and what is missing.
    """
    if kubeconfig:
        return _from_files([Path(kubeconfig)], context, origin=f"--kubeconfig {kubeconfig}")
    from_env = [Path(p) for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    if from_env:
        present = [p for p in from_env if p.exists()]
        if not present:
            raise ConnectionConfigError(
                f"KUBECONFIG names no existing file: {os.pathsep.join(map(str, from_env))}; "
                "set it to an existing kubeconfig or unset it"
            )
        return _from_files(present, context, origin=f"KUBECONFIG {os.pathsep.join(map(str, present))}")
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT_DIR / "token").exists():
        return _in_cluster()
    home = Path.home() / ".kube" / "config"
    if home.exists():
        return _from_files([home], context, origin=str(home))
    raise ConnectionConfigError(
        "no cluster is configured: --kubeconfig and KUBECONFIG are not set, this is not a pod with a service "
        f"account, and {home} does not exist; give one of them (`drplan dev up` prints a KUBECONFIG)"
    )


@dataclass(frozen=True, slots=True)
class PluginCredentials:
    """What a credential program gave: a token, or a client certificate as files, or both."""

    authorization: str | None = field(repr=False)
    client_cert_file: str | None
    client_key_file: str | None


async def plugin_credentials(user: PluginUser) -> PluginCredentials:
    """Run the kubeconfig's credential program (or token provider) and return what it gives.

    Raises ConnectionConfigError with the program's complaint.
    """
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException, load_kube_config

    configuration = Configuration()
    try:
        await load_kube_config(config_file=user.kubeconfig, context=user.context, client_configuration=configuration)
    except (ConfigException, OSError, ValueError, KeyError) as e:
        raise ConnectionConfigError(
            f"kubeconfig {user.kubeconfig}: the user's credential plugin failed: {e}; run `kubectl get ns` with "
            "the same kubeconfig to see it alone"
        ) from e
    return PluginCredentials(
        authorization=configuration.api_key.get("BearerToken"),
        client_cert_file=configuration.cert_file,
        client_key_file=configuration.key_file,
    )


def _in_cluster() -> ConnectionConfig:
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    namespace_file = SERVICE_ACCOUNT_DIR / "namespace"
    return ConnectionConfig(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca_file=str(SERVICE_ACCOUNT_DIR / "ca.crt"),
        token_file=str(SERVICE_ACCOUNT_DIR / "token"),
        namespace=namespace_file.read_text().strip() if namespace_file.exists() else "default",
        origin="the pod's service account",
    )


@dataclass(slots=True)
class _Merged:
    """Kubeconfig files merged as kubectl does it: for every name the first file that defines it wins."""

    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    contexts: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[int, Path] = field(default_factory=dict)
    current: str | None = None

    @classmethod
    def read(cls, paths: list[Path]) -> Self:
        merged = cls()
        for path in paths:
            merged._add(path)
        return merged

    def _add(self, path: Path) -> None:
        document = _read_yaml(path)
        self.current = self.current or document.get("current-context") or None
        for section, key, into in (
            ("clusters", "cluster", self.clusters),
            ("users", "user", self.users),
            ("contexts", "context", self.contexts),
        ):
            for entry in document.get(section) or []:
                if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                    raise ConnectionConfigError(f"kubeconfig {path}: {section}: every entry needs a name")
                body = entry.get(key) or {}
                if entry["name"] not in into:
                    into[entry["name"]] = body
                    self.files[id(body)] = path


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as e:
        raise ConnectionConfigError(f"kubeconfig {path}: cannot be read: {e.strerror}") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise ConnectionConfigError(f"kubeconfig {path}: is not valid YAML: {' '.join(str(e).split())}") from e
    if not isinstance(document, dict):
        raise ConnectionConfigError(f"kubeconfig {path}: is empty or not a kubeconfig")
    return document


def _from_files(paths: list[Path], context: str | None, *, origin: str) -> ConnectionConfig:
    merged = _Merged.read(paths)
    name = context or merged.current
    if name is None:
        raise ConnectionConfigError(f"{origin}: has no current-context; set one or name a context")
    if name not in merged.contexts:
        raise ConnectionConfigError(f"{origin}: has no context {name!r}; it has {_names(merged.contexts)}")
    chosen = merged.contexts[name]
    cluster = _entry(merged.clusters, chosen.get("cluster"), "cluster", name, origin)
    user = _entry(merged.users, chosen.get("user"), "user", name, origin) if chosen.get("user") else {}
    if not cluster.get("server"):
        raise ConnectionConfigError(f"{origin}: cluster {chosen.get('cluster')!r} has no server")
    cluster_dir = merged.files.get(id(cluster), paths[0]).parent
    user_file = merged.files.get(id(user), paths[0])
    plugin = "exec" in user or "auth-provider" in user
    return ConnectionConfig(
        server=str(cluster["server"]).rstrip("/"),
        ca_data=_pem(cluster, "certificate-authority-data", origin),
        ca_file=_resolve(cluster, "certificate-authority", cluster_dir),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        token=user.get("token"),
        token_file=_resolve(user, "tokenFile", user_file.parent),
        username=user.get("username"),
        password=user.get("password"),
        client_cert_data=_pem(user, "client-certificate-data", origin),
        client_key_data=_pem(user, "client-key-data", origin),
        client_cert_file=_resolve(user, "client-certificate", user_file.parent),
        client_key_file=_resolve(user, "client-key", user_file.parent),
        impersonate_user=user.get("as"),
        impersonate_groups=tuple(user.get("as-groups") or ()),
        namespace=chosen.get("namespace") or "default",
        plugin=PluginUser(kubeconfig=str(user_file), context=name) if plugin else None,
        origin=origin,
    )


def _entry(entries: dict[str, dict[str, Any]], name: object, what: str, context: str, origin: str) -> dict[str, Any]:
    if isinstance(name, str) and name in entries:
        return entries[name]
    raise ConnectionConfigError(
        f"{origin}: context {context!r} uses {what} {name!r}, which is not defined; defined are {_names(entries)}"
    )


def _names(entries: dict[str, dict[str, Any]]) -> str:
    return ", ".join(sorted(entries)) or "none"


def _pem(entry: dict[str, Any], key: str, origin: str) -> str | None:
    value = entry.get(key)
    if not value:
        return None
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError, TypeError) as e:
        raise ConnectionConfigError(f"{origin}: {key} is not base64 of a PEM text") from e


def _resolve(entry: dict[str, Any], key: str, base: Path) -> str | None:
    value = entry.get(key)
    return str(base / str(value)) if value else None
