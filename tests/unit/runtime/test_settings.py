"""Settings from flags and environment, and the one line that says what is wrong."""

from __future__ import annotations

import argparse

import pytest
from pydantic import ValidationError

from app.kube.registrations import MUTATING_NAME, VALIDATING_NAME
from app.runtime.settings import (
    CommonSettings,
    ControllerSettings,
    WebhookSettings,
    add_settings_flags,
    parse_settings,
    settings_from,
    settings_parser,
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (ControllerSettings, WebhookSettings):
        for name in cls.model_fields:
            monkeypatch.delenv(f"DRPLAN_{name.upper()}", raising=False)


def test_defaults_are_those_of_the_documentation() -> None:
    settings = parse_settings(ControllerSettings, [])
    assert (settings.bind_address, settings.health_port, settings.metrics_port) == ("0.0.0.0", 8081, 8080)
    assert (settings.namespace, settings.lease_name) == ("drplan-system", "65498215.bkbcs.tencent.com")
    assert (settings.lease_duration, settings.renew_deadline, settings.retry_period) == (15.0, 10.0, 2.0)
    assert (settings.status_interval, settings.shutdown_grace, settings.unknown_after) == (0.5, 7.0, 120.0)
    assert parse_settings(WebhookSettings, []).webhook_port == 9443


def test_flag_before_environment_before_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPLAN_HEALTH_PORT", "1111")
    monkeypatch.setenv("DRPLAN_METRICS_PORT", "2222")
    settings = parse_settings(ControllerSettings, ["--health-port", "3333"])
    assert (settings.health_port, settings.metrics_port) == (3333, 2222)


@pytest.mark.parametrize(
    ("argv", "value"),
    [([], True), (["--leader-elect"], True), (["--leader-elect=false"], False), (["--no-leader-elect"], False)],
)
def test_booleans(argv: list[str], value: bool) -> None:
    assert parse_settings(ControllerSettings, argv).leader_elect is value


def test_opentelemetry_s_own_variable_for_the_collector_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")
    assert parse_settings(ControllerSettings, []).otlp_endpoint is None


def test_an_empty_flag_differs_from_no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_settings(ControllerSettings, ["--otlp-endpoint="]).otlp_endpoint == ""
    monkeypatch.setenv("DRPLAN_OTLP_ENDPOINT", "")
    assert parse_settings(ControllerSettings, []).otlp_endpoint is None


@pytest.mark.parametrize("address", ["collector:4318", "ftp://collector", "http://", "http://[::1", "http://c:99999"])
def test_a_collector_is_a_web_address(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_settings(ControllerSettings, ["--otlp-endpoint", address], prog="drplan")
    wanted = "an http:// or https:// address is needed, such as http://collector.monitoring.svc:4318"
    assert capsys.readouterr().err == f"drplan: --otlp-endpoint: found '{address}': {wanted}\n"
    assert stopped.value.code == 2


def test_a_wrong_collector_is_blamed_on_the_variable_that_has_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRPLAN_OTLP_ENDPOINT", "collector")
    with pytest.raises(SystemExit):
        parse_settings(ControllerSettings, [], prog="drplan")
    assert capsys.readouterr().err.startswith("drplan: DRPLAN_OTLP_ENDPOINT: found 'collector': ")


def test_a_collector_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.runtime.collector.find_spec", lambda module: None)
    with pytest.raises(SystemExit):
        parse_settings(ControllerSettings, ["--otlp-endpoint=http://collector:4318"], prog="drplan")
    assert "install drplan[otel], or leave the setting out" in capsys.readouterr().err


def test_settings_do_not_change() -> None:
    settings = parse_settings(CommonSettings, [])
    with pytest.raises(ValidationError, match="frozen"):
        settings.health_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("argv", "env", "line"),
    [
        (["--health-port", "x"], {}, "p: --health-port: found 'x': input should be a valid integer"),
        ([], {"HEALTH_PORT": "99999"}, "p: DRPLAN_HEALTH_PORT: found '99999': input should be less than"),
        (["--log-level=loud"], {}, "p: --log-level: found 'loud': input should be 'debug', 'info', 'warning' or"),
        (["--leader-elect=maybe"], {}, "p: --leader-elect: found 'maybe': input should be a valid boolean"),
        (["--lease-duration=5"], {}, "p: lease_duration (5 s) must be greater than renew_deadline (10 s)"),
        (
            ["--lease-duration=8", "--renew-deadline=5", "--retry-period=1"],
            {},
            "p: lease_duration (8 s) must be at least write_timeout (10 s) and retry_period (1 s) together: a",
        ),
        (
            ["--write-timeout=13.5"],
            {},
            "p: lease_duration (15 s) must be at least write_timeout (13.5 s) and retry_per",
        ),
        (["--nonsense"], {}, "p: unrecognized arguments: --nonsense; see --help"),
        (["--health"], {}, "p: unrecognized arguments: --health"),
    ],
)
def test_a_wrong_value_ends_with_one_line(
    argv: list[str],
    env: dict[str, str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(f"DRPLAN_{name}", value)
    with pytest.raises(SystemExit) as ended:
        parse_settings(ControllerSettings, argv, prog="p")
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(line)
    assert printed.count("\n") == 1


def test_all_wrong_values_come_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(ControllerSettings, ["--health-port=x", "--status-interval=-1"], prog="p")
    printed = capsys.readouterr().err
    assert "--health-port" in printed
    assert "--status-interval" in printed


def test_every_setting_is_a_flag_and_a_variable_in_the_help() -> None:
    for cls in (ControllerSettings, WebhookSettings):
        text = " ".join(settings_parser(cls).format_help().split())
        for name, field in cls.model_fields.items():
            assert f"--{name.replace('_', '-')}" in text
            assert f"DRPLAN_{name.upper()}" in text
            assert field.description


def test_as_a_subcommand() -> None:
    parser = argparse.ArgumentParser(prog="drplan")
    commands = parser.add_subparsers(dest="command")
    controller = commands.add_parser("controller")
    add_settings_flags(controller, ControllerSettings)
    parsed = parser.parse_args(["controller", "--namespace", "dr"])
    assert settings_from(ControllerSettings, parsed, controller).namespace == "dr"


def test_an_authority_outlives_the_certificates_it_signs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(WebhookSettings, ["--cert-lifetime=100", "--ca-lifetime=299"], prog="drplan webhook")
    text = "ca_lifetime (299 s) must be at least three times cert_lifetime (100 s)"
    assert capsys.readouterr().err == f"drplan webhook: {text}\n"


def test_the_registrations_whose_authority_is_kept_are_those_of_the_code() -> None:
    settings = parse_settings(WebhookSettings, [])
    assert (settings.mutating_webhook, settings.validating_webhook) == (MUTATING_NAME, VALIDATING_NAME)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--client-names=a"], "client_names needs client_ca_file"),
        (["--client-ca-file=ca", "--api-port=9443"], "give the API another port (api_port)"),
        (["--max-connections=10"], "max_connections_per_peer (192) must be at most max_connections (10)"),
    ],
)
def test_settings_of_the_admission_port_fit_together(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_settings(WebhookSettings, argv)
    assert told in capsys.readouterr().err


def test_names_of_callers_are_a_list() -> None:
    settings = parse_settings(WebhookSettings, ["--client-ca-file=ca", "--client-names= a, ,spiffe://b,"])
    assert settings.accepted_callers == {"a", "spiffe://b"}
    assert parse_settings(WebhookSettings, []).accepted_callers == frozenset()
