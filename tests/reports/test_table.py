"""The table of stories is whole, and names tests that exist."""

from __future__ import annotations

import re

from tests.support.cluster import REPOSITORY

TABLE = (REPOSITORY / "tests" / "reports" / "README.md").read_text()
ROWS = dict(re.findall(r"^\| (\d+) \|(.*)\|$", TABLE, re.MULTILINE))
STORIES = 32


def test_every_story_has_tests_that_exist() -> None:
    assert list(ROWS) == [str(number) for number in range(1, STORIES + 1)]
    for number, row in ROWS.items():
        files = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert files or "| not shown yet " in row, number
        assert [file for file in files if not (REPOSITORY / file).is_file()] == [], number


def test_every_file_of_stories_is_in_the_table() -> None:
    stories = {f"tests/reports/{path.name}" for path in (REPOSITORY / "tests" / "reports").glob("test_?_*.py")}
    assert {story for story in stories if story not in TABLE} == set()
    for path in sorted(stories):
        told = set(re.findall(r'^    """([\d, and]+)', (REPOSITORY / path).read_text(), re.MULTILINE))
        for number in {number for text in told for number in re.findall(r"\d+", text)}:
            assert path in ROWS[number], f"{path} tells story {number}"
