"""docs/configuration.md: every setting, with what the process itself accepts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.runtime.settings import ControllerSettings, WebhookSettings, settings_parser
from generate.settings import main, settings_page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


def _section(title: str) -> str:
    [found] = [part for part in settings_page().split("\n## ") if part.startswith(f"{title}\n")]
    return found


@pytest.mark.parametrize(
    ("cls", "title"), [(WebhookSettings, "drplan webhook"), (ControllerSettings, "drplan controller")]
)
def test_every_flag_of_the_command_is_on_the_page(
    cls: type[WebhookSettings] | type[ControllerSettings], title: str
) -> None:
    options = {option for action in settings_parser(cls)._actions for option in action.option_strings}
    shown = set(re.findall(r"^\| `(--[a-z-]+)`", _section("Both processes") + _section(title), re.MULTILINE))
    assert shown == {option for option in options if not option.startswith(("--no-", "--help", "-h"))}


def test_a_row_tells_flag_variable_default_and_bounds() -> None:
    row = (
        "| `--shutdown-grace` | `DRPLAN_SHUTDOWN_GRACE` | `controller.shutdownGrace` | `7` | "
        "seconds, at least 0, at most 60 | Seconds that running actions get after SIGTERM. |"
    )
    assert row in _section("drplan controller")
    assert (
        "| `--cert-lifetime` | `DRPLAN_CERT_LIFETIME` | `webhook.certificate.lifetimeSeconds` | `7776000` |"
        in _section("drplan webhook")
    )
    assert (
        "| `--log-level` | `DRPLAN_LOG_LEVEL` | `controller.logLevel` | `info` | `debug`, `info`, `warning`, `error` |"
        in settings_page()
    )


def test_the_committed_page_is_up_to_date() -> None:
    assert main(["--check", str(PAGE)]) == 0


def test_a_page_that_differs_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_text(settings_page().replace("8081", "8082"))
    assert main(["--check", str(tmp_path / "page.md")]) == 1
    assert "make docs" in capsys.readouterr().err
