"""Which collector is used, and that a variable meant for others keeps no controller from starting."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from app.runtime.collector import SHARED_VARIABLE, chosen_collector


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, "http://shared:4318")


def test_the_shared_variable_counts_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_collector(None) == "http://shared:4318"
    monkeypatch.setenv(SHARED_VARIABLE, "")
    assert chosen_collector(None) is None
    monkeypatch.delenv(SHARED_VARIABLE)
    assert chosen_collector(None) is None


def test_the_own_setting_wins_and_an_empty_one_turns_traces_off() -> None:
    assert chosen_collector("http://own:4318") == "http://own:4318"
    assert chosen_collector("") is None


@pytest.mark.parametrize("address", ["collector:4317", "ftp://collector", "http://", "http://[::1", "http://c:99999"])
def test_a_shared_address_that_cannot_be_used_is_one_warning_and_no_traces(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, address)
    with capture_logs() as logs:
        assert chosen_collector(None) is None
    [line] = logs
    assert (line["log_level"], line["variable"], line["value"]) == ("warning", SHARED_VARIABLE, address)
    assert "http:// or https:// address is needed" in line["reason"]


def test_without_the_extra_the_shared_variable_is_one_warning_and_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.runtime.collector.find_spec", lambda module: None)
    with capture_logs() as logs:
        assert chosen_collector(None) is None
    [line] = logs
    assert line["log_level"] == "warning"
    assert "install drplan[otel]" in line["reason"]
