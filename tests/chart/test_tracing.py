"""`tracing.otlpEndpoint` reaches the controller, and a policy that limits egress lets the traces out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from requests.utils import should_bypass_proxies

from app.runtime.settings import ControllerSettings, parse_settings
from tests.support.cluster import REPOSITORY

from .support import container, render, template

LIMITED = ("networkPolicy.enabled=true", "networkPolicy.egress[0].ports[0].port=443")


def egress(component: str, *values: str) -> list[dict[str, Any]]:
    """The egress rules of a process."""
    policies = {item["metadata"]["name"]: item for item in render(*values) if item["kind"] == "NetworkPolicy"}
    found = policies[f"drplan-{component}"]["spec"].get("egress", [])
    assert isinstance(found, list)
    return found


def test_the_controller_gets_the_collector_and_the_webhook_service_none() -> None:
    documents = render("tracing.otlpEndpoint=http://collector.monitoring:4318")
    _, *flags = container(documents, "controller")["args"]
    assert parse_settings(ControllerSettings, flags).otlp_endpoint == "http://collector.monitoring:4318"
    assert not any("otlp" in flag for flag in container(documents, "webhook")["args"])


def test_without_a_collector_the_flag_is_left_out_so_that_the_environment_may_have_one() -> None:
    assert not any("otlp" in flag for flag in container(render(), "controller")["args"])


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("http://collector:4318", 4318),
        ("http://collector/otlp", 80),
        ("https://collector", 443),
        ("https://[fd00::1]:4318/v1/traces", 4318),
    ],
)
def test_a_limited_egress_has_the_port_of_the_collector_for_the_controller(address: str, port: int) -> None:
    values = (*LIMITED, f"tracing.otlpEndpoint={address}")
    assert egress("controller", *values) == [{"ports": [{"port": 443}]}, {"ports": [{"port": port}]}]
    assert egress("webhook", *values) == [{"ports": [{"port": 443}]}]


def test_the_collector_of_the_documentation_is_called_without_the_proxy() -> None:
    [address] = re.findall(r"tracing\.otlpEndpoint=(\S+)", (REPOSITORY / "docs" / "tracing.md").read_text())
    env = container(render("proxy.httpProxy=http://proxy:3128", f"tracing.otlpEndpoint={address}"), "controller")["env"]
    [no_proxy] = [item["value"] for item in env if item["name"] == "NO_PROXY"]
    assert should_bypass_proxies(address, no_proxy=no_proxy)
    assert not should_bypass_proxies(address.replace(".svc", ""), no_proxy=no_proxy)


def test_an_egress_without_limit_gets_none() -> None:
    assert egress("controller", "networkPolicy.enabled=true", "tracing.otlpEndpoint=http://collector:4318") == []


def test_an_address_without_scheme_is_refused() -> None:
    answer = template("tracing.otlpEndpoint=collector:4318")
    assert answer.returncode != 0
    assert "/tracing/otlpEndpoint" in answer.stderr
