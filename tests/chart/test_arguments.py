"""The processes accept the flags that the chart gives them, and take the values from them."""

from __future__ import annotations

from typing import TypeVar

import pytest

from app.runtime.settings import CommonSettings, ControllerSettings, WebhookSettings, parse_settings

from .support import CERT_MANAGER, GIVEN_SECRET, MODES, NAMESPACE, container, render

S = TypeVar("S", bound=CommonSettings)
CLASSES: dict[str, type[CommonSettings]] = {"controller": ControllerSettings, "webhook": WebhookSettings}


def settings(cls: type[S], *values: str) -> S:
    """The settings with which the process of a rendered chart starts."""
    [component] = [name for name, known in CLASSES.items() if known is cls]
    command, *flags = container(render(*values), component)["args"]
    assert command == component
    return parse_settings(cls, flags)


@pytest.mark.parametrize("component", CLASSES)
@pytest.mark.parametrize("mode", MODES)
def test_every_certificate_mode_gives_flags_that_are_known(component: str, mode: str) -> None:
    assert settings(CLASSES[component], *MODES[mode]).log_format == "json"


def test_self_managed() -> None:
    found = settings(WebhookSettings)
    assert (found.cert_dir, found.cert_secret) == (None, "drplan-webhook-tls")
    assert found.mutating_webhook == "drplan-mutating-webhook-configuration"
    assert found.validating_webhook == "drplan-validating-webhook-configuration"
    assert (found.namespace, found.service_name) == (NAMESPACE, "drplan-webhook")


def test_self_managed_lifetimes() -> None:
    found = settings(
        WebhookSettings,
        "webhook.certificate.lifetimeSeconds=864000",
        "webhook.certificate.caLifetimeSeconds=8640000",
        "webhook.certificate.secretName=own",
    )
    assert (found.cert_lifetime, found.ca_lifetime, found.cert_secret) == (864000, 8640000, "own")


@pytest.mark.parametrize("values", [CERT_MANAGER, GIVEN_SECRET])
def test_certificates_from_a_folder(values: tuple[str, ...]) -> None:
    found = settings(WebhookSettings, *values)
    assert (found.cert_dir, found.cert_secret) == ("/etc/drplan/certificates", None)


def test_controller() -> None:
    found = settings(
        ControllerSettings,
        "controller.replicas=1",
        "controller.leaderElection=false",
        "controller.shutdownGrace=3",
        "controller.logLevel=5",
        "controller.metricsAddr=:9090",
    )
    assert (found.leader_elect, found.shutdown_grace, found.log_level, found.metrics_port) == (False, 3, "debug", 9090)


@pytest.mark.parametrize("more", [(), ("env[0].name=EXTRA", "env[0].value=1")])
def test_the_controller_knows_its_pod(more: tuple[str, ...]) -> None:
    """A restarted container takes its own pod's lease at once by this."""
    objects = render(*more)
    found = {item["name"]: item for item in container(objects, "controller")["env"]}
    assert found["DRPLAN_POD_UID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
    assert ("EXTRA" in found) == bool(more)
    assert "DRPLAN_POD_UID" not in [item["name"] for item in container(objects, "webhook").get("env", ())]


def test_the_webhook_knows_the_controller() -> None:
    found = settings(WebhookSettings, "serviceAccount.controllerName=runner", "webhook.logLevel=warning")
    assert found.controller_username == f"system:serviceaccount:{NAMESPACE}:runner"
    assert found.log_level == "warning"


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("api.enabled=false", "api_enabled", False),
        ("webhook.checkReferences=false", "check_references", False),
        ("webhook.reviewTimeout=3", "review_timeout", 3),
        ("webhook.drainSeconds=12", "drain_seconds", 12),
        ("webhook.port=10250", "webhook_port", 10250),
        ("api.port=10251", "api_port", 10251),
        ("webhook.maxConnections=300", "max_connections", 300),
        ("webhook.maxConnectionsPerPeer=33", "max_connections_per_peer", 33),
    ],
)
def test_values_reach_the_webhook(value: str, name: str, expected: object) -> None:
    assert settings(WebhookSettings, value).model_dump()[name] == expected
