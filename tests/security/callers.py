"""An API server that shows a client certificate to webhooks, and the certificates that others have."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path

from devcluster.certificates import Authority, Pair

NAME = "apiserver-to-webhooks"


@dataclass(frozen=True)
class Callers:
    """An authority of its own for callers of webhooks, and its files."""

    folder: Path
    authority: Authority
    own: Pair
    """What the API server shows."""

    @classmethod
    def make(cls, folder: Path) -> Callers:
        authority = Authority(folder / "callers")
        return cls(folder, authority, authority.issue("apiserver", NAME, ()))

    def flag(self, host: str) -> str:
        """The flag of kube-apiserver by which it shows the certificate to one host."""
        kubeconfig, configuration = self.folder / "webhooks.kubeconfig", self.folder / "admission.json"
        shown = {"client-certificate": str(self.own.certificate), "client-key": str(self.own.key)}
        kubeconfig.write_text(
            json.dumps({"apiVersion": "v1", "kind": "Config", "users": [{"name": host, "user": shown}]})
        )
        version = "apiserver.config.k8s.io/v1"
        named = {"apiVersion": version, "kind": "WebhookAdmissionConfiguration", "kubeConfigFile": str(kubeconfig)}
        plugins = [{"name": f"{which}AdmissionWebhook", "configuration": named} for which in ("Validating", "Mutating")]
        configuration.write_text(
            json.dumps({"apiVersion": version, "kind": "AdmissionConfiguration", "plugins": plugins})
        )
        return f"--admission-control-config-file={configuration}"

    def context(self, server_ca: bytes, pair: Pair | None) -> ssl.SSLContext:
        """What a client uses that trusts the service and shows `pair`."""
        context = ssl.create_default_context(cadata=server_ca.decode())
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context
