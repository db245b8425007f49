"""Runs the product's two processes against a control plane, as often as wanted, and registers the webhooks."""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.kube import registrations
from app.kube.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, WORKFLOWS
from devcluster.api import RequestError, wait_for
from devcluster.control_plane import ControlPlane
from devcluster.identities import NAMESPACE
from devcluster.processes import ManagedProcess

READY_SECONDS = 60.0
"""How long a process may take to become ready; it starts in a few seconds on an idle machine."""

DENIED_WORKFLOW = {
    "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
    "kind": "DRWorkflow",
    "metadata": {"name": "webhook-probe", "namespace": "default"},
    "spec": {"actions": [{"name": "probe", "type": "HTTP", "http": {"url": ""}}]},
}
"""Accepted by the schema, refused by the webhook."""


class ServiceProcess(ManagedProcess):
    """A webhook service or controller. ``start()`` after ``stop()`` or ``kill9()`` runs it again on the same ports."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str], health_port: int, metrics_port: int
    ) -> None:
        super().__init__(name, command, log, env)
        self.health_port = health_port
        self.metrics_port = metrics_port

    def ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        return self.fetch(self.health_port, "/readyz")[0] == 200

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Wait until it is ready.

        Raises:
            ComponentError: it ended, or took too long; carries the end of its log.
        """
        self.wait_until(self.ready, timeout)

    def metrics(self) -> str:
        """The text of ``/metrics``, empty when it does not answer."""
        return self.fetch(self.metrics_port, "/metrics")[1]

    @staticmethod
    def fetch(port: int, path: str) -> tuple[int, str]:
        """Status and body of a GET on a loopback port; status 0 when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


class WebhookProcess(ServiceProcess):
    """A running webhook service."""

    webhook_port: int
    api_port: int
    """Port of the HTTP API."""
    cert_dir: Path

    @property
    def ca_pem(self) -> bytes:
        """The certificate to verify it with: its own authority's, or the serving one where that signs itself."""
        authority = self.cert_dir / "ca.crt"
        return (authority if authority.exists() else self.cert_dir / "tls.crt").read_bytes()


def start_webhook(
    plane: ControlPlane,
    *,
    name: str = "webhook",
    identity: str = "webhook",
    webhook_port: int | None = None,
    api_port: int | None = None,
    cert_dir: Path | None = None,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    wait: bool = True,
) -> WebhookProcess:
    """Start ``drplan webhook`` as a process of its own. It ends without draining, as nothing balances load to it.

    Args:
        plane: the control plane; stopping it stops the process.
        name: name of the process and of its log (``logs/<name>.log``).
        identity: who it logs in as.
        webhook_port: HTTPS port of admission; None means a free one.
        api_port: HTTPS port of the HTTP API; None means a free one.
        cert_dir: folder of its certificates; None means ``<directory>/webhook-certificates``.
        arguments: further flags.
        env: further environment variables.
        wait: return only when it is ready.
    """
    port = webhook_port if webhook_port is not None else plane.port()
    for_api = api_port if api_port is not None else plane.port()
    certificates = cert_dir if cert_dir is not None else plane.directory / "webhook-certificates"
    ports = [f"--webhook-port={port}", f"--api-port={for_api}"]
    flags = [*ports, f"--cert-dir={certificates}", "--drain-seconds=0", *arguments]
    health, metrics = plane.port(), plane.port()
    command = _command("webhook", plane, identity, health, metrics, flags)
    process = WebhookProcess(name, command, plane.layout.logs / f"{name}.log", _environment(env), health, metrics)
    process.webhook_port, process.api_port, process.cert_dir = port, for_api, certificates
    _run(plane, process, wait)
    return process


def start_controller(
    plane: ControlPlane,
    *,
    name: str = "controller",
    identity: str = "controller",
    namespace: str = NAMESPACE,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    wait: bool = True,
) -> ServiceProcess:
    """Start ``drplan controller`` as a process of its own; arguments as for ``start_webhook``.

    A second one for the same plane needs a ``name`` of its own, else both write one log.
    """
    health, metrics = plane.port(), plane.port()
    command = _controller_command(plane, identity, namespace, health, metrics, arguments)
    process = ServiceProcess(name, command, plane.layout.logs / f"{name}.log", _environment(env), health, metrics)
    _run(plane, process, wait)
    return process


def controller_command(plane: ControlPlane) -> list[str]:
    """Return the command that runs the controller of a plane by hand, under a debugger for instance.

    It takes no lease, which would expire at the first breakpoint: run one at a time.
    """
    return _controller_command(
        plane, "controller", NAMESPACE, plane.port(), plane.port(), ["--leader-elect=false", "--log-format=console"]
    )


def _controller_command(
    plane: ControlPlane, identity: str, namespace: str, health: int, metrics: int, arguments: Sequence[str] = ()
) -> list[str]:
    """HTTP actions may call this host, where everything of a local cluster is."""
    flags = [f"--namespace={namespace}", "--egress-loopback", *arguments]
    return _command("controller", plane, identity, health, metrics, flags)


def register_webhooks(plane: ControlPlane, webhook: WebhookProcess, timeout: float = 30.0) -> None:
    """Register a webhook service with the API server, and return when the API server calls it.

    Raises:
        TimeoutError: the API server did not call it in time.
    """
    client = registrations.url_client(f"https://127.0.0.1:{webhook.webhook_port}", webhook.ca_pem)
    controller = plane.identity("controller").username
    plane.api.apply(registrations.mutating_configuration(client, controller_user=controller))
    plane.api.apply(registrations.validating_configuration(client, controller_user=controller))
    wait_for(lambda: _denies(plane), timeout, "the API server to call the webhooks")


def unregister_webhooks(plane: ControlPlane) -> None:
    """Remove the registrations; absent ones are fine."""
    for path in (
        MUTATING_WEBHOOKS.path(name=registrations.MUTATING_NAME),
        VALIDATING_WEBHOOKS.path(name=registrations.VALIDATING_NAME),
    ):
        plane.api.raw("DELETE", path)


def _denies(plane: ControlPlane) -> bool:
    path = WORKFLOWS.path("default")
    try:
        plane.api.request("POST", f"{path}?dryRun=All", DENIED_WORKFLOW)
    except RequestError as error:
        if error.status == 403 and "vdrworkflow.kb.io" in error.message:
            return True
        if error.status in (400, 404, 422):
            raise
    return False


def _command(
    service: str, plane: ControlPlane, identity: str, health: int, metrics: int, flags: Sequence[str]
) -> list[str]:
    return [
        sys.executable,
        "-m",
        "drplan",
        service,
        f"--kubeconfig={plane.identity(identity).kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--health-port={health}",
        f"--metrics-port={metrics}",
        *flags,
    ]


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", **(extra or {})}


def _run(plane: ControlPlane, process: ServiceProcess, wait: bool) -> None:
    plane.services.append(process)
    process.start()
    if wait:
        process.wait_ready()
