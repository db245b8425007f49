"""docs/configuration.md names the right value of the chart for each flag: changing the value changes the flag."""

from __future__ import annotations

from typing import Any

import pytest

from generate.settings import CHART_VALUES
from tests.chart.support import GIVEN_SECRET, container, render

CHANGED = (
    "controller.logLevel=debug",
    "controller.logFormat=console",
    "controller.healthProbeAddr=:9001",
    "controller.metricsAddr=:9002",
    "webhook.port=9444",
    "webhook.certificate.secretName=mine",
    "webhook.certificate.lifetimeSeconds=86400",
    "webhook.certificate.caLifetimeSeconds=864000",
    "webhook.reviewTimeout=6",
    "webhook.checkReferences=false",
    "webhook.maxConnections=100",
    "webhook.maxConnectionsPerPeer=50",
    "webhook.clientCertificate.configMap=callers",
    "webhook.clientCertificate.names={apiserver}",
    "api.enabled=false",
    "api.port=9445",
    "serviceAccount.controllerName=mine",
    "webhook.drainSeconds=6",
    "controller.leaderElection=false",
    "controller.replicas=1",
    "controller.shutdownGrace=5",
    "egress.allow={*.example.com:443,10.0.0.0/8}",
    "egress.deny={*:22}",
    "egress.loopback=true",
    "tracing.otlpEndpoint=http://collector:4318",
)
"""Another value for each value of the page; all but the way to certificates can be changed together."""


def _arguments(documents: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(part, item) for part in ("controller", "webhook") for item in container(documents, part)["args"]}


@pytest.mark.parametrize(("flag", "value"), CHART_VALUES.items())
def test_value_sets_the_flag(flag: str, value: str) -> None:
    other = GIVEN_SECRET if flag == "--cert-dir" else CHANGED
    assert value in {item.partition("=")[0] for item in other}
    differing = _arguments(render(*other)) - _arguments(render())
    assert flag in {item.partition("=")[0] for _, item in differing}


def test_no_other_flag_is_set_by_a_value() -> None:
    set_by_the_release = {
        "--namespace",
        "--service-name",
        "--mutating-webhook",
        "--validating-webhook",
        "--cert-ca-secret",
        "--last-work-file",
    }
    flags = {item.partition("=")[0] for _, item in _arguments(render()) if item.startswith("--")}
    assert flags - set(CHART_VALUES) == set_by_the_release
