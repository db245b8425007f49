"""The threat model names tests that exist, for each attacker."""

from __future__ import annotations

import re

import pytest

from tests.support.cluster import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
ATTACKERS = ("author", "operator", "viewer", "status writer", "network only", "compromised webhook service")


def _rows() -> dict[str, list[str]]:
    section = PAGE.partition("## Threat model\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    return {cells[0].partition(":")[0].strip(): cells for cells in rows}


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_each_attacker_has_a_row_with_tests_that_exist(attacker: str) -> None:
    name, can, cannot, shown = _rows()[attacker]
    assert all(cell.strip() for cell in (name, can, cannot))
    files = re.findall(r"`(tests/[\w/]+\.py)`", shown)
    assert files
    for file in files:
        assert (REPOSITORY / file).is_file(), file
        assert re.search(r"^(async )?def test_|^    (async )?def test_", (REPOSITORY / file).read_text(), re.MULTILINE)


def test_no_attacker_is_missing_here() -> None:
    assert tuple(_rows()) == ATTACKERS
