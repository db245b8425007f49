"""Every link of the documentation leads somewhere, and every page can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, anchors, links, name_of, prose
from tests.support.cluster import REPOSITORY

ALERTS = REPOSITORY / "charts" / "drplan" / "files" / "alerts.yaml"


def _problem(page: Path, target: str) -> str:
    if target.startswith(("https://", "http://", "mailto:")):
        return ""
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    if not linked.exists():
        return f"{target}: no such file"
    if anchor and anchor not in anchors(linked):
        return f"{target}: no such heading"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_anchors_resolve(page: Path) -> None:
    assert [problem for target in links(page) if (problem := _problem(page, target))] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Users' pages by one link, those for maintainers by way of CONTRIBUTING and the architecture."""
    readme = REPOSITORY / "README.md"
    assert [name_of(page) for page in PAGES if page.parent.name == "docs" and page not in _linked(readme)] == []
    reached: set[Path] = set()
    left = {readme}
    while left:
        page = left.pop()
        reached.add(page)
        left |= {other for other in _linked(page) if other in PAGES} - reached
    assert [name_of(page) for page in PAGES if page not in reached] == []


def _linked(page: Path) -> set[Path]:
    return {(page.parent / target.partition("#")[0]).resolve() for target in links(page) if "://" not in target}


def test_runbook_of_every_alert_is_a_heading() -> None:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    runbooks = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(runbooks) > 10
    problems = [_problem(REPOSITORY / "README.md", runbook) for runbook in runbooks]
    assert [problem for problem in problems if problem] == []


def test_every_symptom_can_be_reached_from_the_list_at_the_top() -> None:
    page = REPOSITORY / "docs" / "operating.md"
    symptoms = prose(page).split("\n## By symptom\n")[1].split("\n## ")[0]
    headings = {line.removeprefix("### ") for line in symptoms.splitlines() if line.startswith("### ")}
    assert len(headings) >= 12
    listed = {target.removeprefix("#") for target in links(page) if target.startswith("#")}
    assert {heading for heading in headings if _slug(heading) not in listed} == set()


def _slug(heading: str) -> str:
    return "".join(c for c in heading.lower() if c.isalnum() or c in "-_ ").replace(" ", "-")
