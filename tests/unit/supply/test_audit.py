"""What pip-audit's output means: silence is not a clean bill."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from supply import audit
from supply.audit import Result, main, read_report

CLEAN = {"name": "orjson", "version": "3.13", "vulns": []}
BAD = {"name": "aiohttp", "version": "3.14", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.15", "4.0"]}]}
UNFIXED = {"name": "uvloop", "version": "1", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}
SKIPPED = {"name": "uvicorn", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def report(*packages: Mapping[str, object]) -> Result:
    return read_report(json.dumps({"dependencies": packages, "fixes": []}), "No known vulnerabilities found\n")


def test_all_were_looked_up() -> None:
    assert report(CLEAN) == Result()


def test_vulnerabilities() -> None:
    found = report(CLEAN, BAD, UNFIXED)
    assert found.vulnerable == (
        "aiohttp 3.14: PYSEC-1, fixed in 3.15, 4.0",
        "uvloop 1: PYSEC-2, fixed in no version yet",
    )


def test_what_was_not_looked_up_is_not_clean() -> None:
    assert report(CLEAN, SKIPPED).unchecked == "its data knows 1 of 2 packages, not uvicorn"
    many = report(*({**SKIPPED, "name": f"p{n}"} for n in range(8)))
    assert many.unchecked == "its data knows 0 of 8 packages, not p0, p1, p2, p3, p4 and 3 more"
    assert report(BAD, SKIPPED).vulnerable
    assert report().unchecked


@pytest.mark.parametrize("output", ["", "no json", "[]", "{}", "null"])
def test_without_a_report_nothing_was_checked(output: str) -> None:
    found = read_report(output, "Traceback\nrequests.exceptions.ConnectionError: no route\n")
    assert found == Result(unchecked="its data cannot be reached: requests.exceptions.ConnectionError: no route")


@pytest.mark.parametrize(
    ("found", "code", "strict_code", "told"),
    [
        (Result(), 0, 0, "no known vulnerabilities in l.lock"),
        (Result(("x",)), 1, 1, "vulnerable: x"),
        (Result((), "no network"), 0, 1, "NOT CHECKED for known vulnerabilities: no network"),
        (Result(("x",), "some missing"), 1, 1, "NOT CHECKED"),
    ],
)
def test_the_command_says_it_and_fails_for_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: Result,
    code: int,
    strict_code: int,
    told: str,
) -> None:
    monkeypatch.setattr(audit, "audit", lambda lock: found)
    assert (main(["l.lock"]), main(["--strict", "l.lock"])) == (code, strict_code)
    assert told in capsys.readouterr().out
