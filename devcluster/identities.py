"""Who may talk to the control plane: users with tokens or client certificates, and a kubeconfig for each."""

import base64
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devcluster.certificates import Pair

NAMESPACE = "drplan-system"
"""Namespace of the controller and the webhook."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of the API server."""

    name: str
    """Short name, used for files and by helpers."""
    username: str
    """The name the API server knows the user by."""
    groups: tuple[str, ...] = ()
    token: str | None = None
    certificate: Pair | None = None
    kubeconfig: Path = Path()
    """Kubeconfig file that logs in as this user."""


PROCESSES = ("controller", "webhook")
"""Our own processes, which run with tokens of the ServiceAccounts ``drplan-<name>`` in ``NAMESPACE``."""
TOKEN_SECONDS = 30 * 24 * 3600
"""How long tokens of ServiceAccounts hold."""

STANDARD: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("admin", "admin", ("system:masters",)),
    ("alice", "alice", ()),
    ("kube-controller-manager", "system:kube-controller-manager", ()),
    ("kube-scheduler", "system:kube-scheduler", ()),
    ("kwok", "kwok", ("system:masters",)),
)
"""Users every control plane has besides ``PROCESSES``. ``alice`` has no rights at all."""


def write_kubeconfig(identity: Identity, server: str, ca_pem: bytes) -> None:
    """Write the identity's kubeconfig (mode 0600), complete in itself, replaced in one step."""
    user: dict[str, Any] = {}
    if identity.token is not None:
        user["token"] = identity.token
    if identity.certificate is not None:
        user["client-certificate-data"] = base64.b64encode(identity.certificate.certificate.read_bytes()).decode()
        user["client-key-data"] = base64.b64encode(identity.certificate.key.read_bytes()).decode()
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "drplan-dev", "cluster": cluster}],
        "users": [{"name": identity.name, "user": user}],
        "contexts": [{"name": "drplan-dev", "context": {"cluster": "drplan-dev", "user": identity.name}}],
        "current-context": "drplan-dev",
    }
    identity.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    temporary = identity.kubeconfig.with_name(f"{identity.kubeconfig.name}.tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(yaml.safe_dump(document, sort_keys=False))
    temporary.replace(identity.kubeconfig)


def with_tokens(
    users: Iterable[tuple[str, str, Sequence[str]]], token_file: Path, kubeconfigs: Path
) -> dict[str, Identity]:
    """Give each user a token and write the API server's static token file; tokens of an earlier start are kept."""
    kept: dict[str, str] = {}
    if token_file.exists():
        for line in token_file.read_text().splitlines():
            token, username, *_ = json.loads(f"[{line}]")
            kept[username] = token
    identities = {
        name: Identity(
            name,
            username,
            tuple(groups),
            token=kept.get(username) or secrets.token_urlsafe(24),
            kubeconfig=kubeconfigs / f"{name}.kubeconfig",
        )
        for name, username, groups in users
    }
    lines = [
        ",".join(json.dumps(field) for field in (user.token, user.username, user.name, ",".join(user.groups)))
        for user in identities.values()
    ]
    token_file.touch(mode=0o600)
    token_file.write_text("\n".join(lines) + "\n")
    return identities
