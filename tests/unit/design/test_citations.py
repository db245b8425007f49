"""Every citation in the code leads to an anchor in docs/design: whoever has the repository can look it up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.rules.catalogue import RULES
from tests.docs.pages import anchors
from tests.support.cluster import REPOSITORY
from tests.unit.design.citations import Citation, citations, citations_of

DOCS = REPOSITORY / "docs"
DESIGN = DOCS / "design"
FOLDERS = ("app", "controller", "drplan", "generate", "webhook", "devcluster", "bench", "supply", "examples", "tests")
CITING_TESTS = REPOSITORY / "tests" / "unit" / "design"
"""Not looked at: it holds wrong citations on purpose."""
PAGE_FOLDERS = (REPOSITORY, DOCS, REPOSITORY / "charts" / "drplan", REPOSITORY / "tests")


def _headings(page: Path, form: str) -> set[str]:
    return set(re.findall(form, page.read_text(encoding="utf-8"), re.MULTILINE))


ANCHORS = {
    "decision": _headings(DESIGN / "decisions.md", r"^### ([A-Z]\d+a?) \S"),
    "invariant": _headings(DESIGN / "invariants.md", r"^### (\d+) \S"),
    "contract": _headings(DESIGN / "contract.md", r"^### ([a-z]+ \d+(?:\.\d+)*) \S"),
    "design": {
        heading.lower().removeprefix("the ")
        for page in (DOCS / "architecture.md", *DESIGN.glob("*.md"))
        for heading in _headings(page, r"^## (.+)$")
    },
    "rule": set(RULES),
}


def _problem(cited: Citation) -> str:
    if cited.kind == "loose":
        if not set(re.findall(r"[A-Z]\d+a?", cited.name)) <= ANCHORS["decision"]:
            return ""  # ids of rules, as messages end with
        return f"{cited.name!r} is no form of citation: write 'decision D7', 'invariant 3', 'contract: lifecycle 12'"
    if cited.kind == "page":
        name, _, anchor = cited.name.partition("#")
        pages = [folder / name for folder in PAGE_FOLDERS if (folder / name).is_file()]
        is_there = any(not anchor or anchor in anchors(page) for page in pages)
        return "" if is_there else f"{cited.name}: no such page or heading"
    return "" if cited.name in ANCHORS[cited.kind] else f"{cited.kind} {cited.name}: nothing in docs has it"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_citation_leads_somewhere(folder: str) -> None:
    modules = [path for path in (REPOSITORY / folder).rglob("*.py") if CITING_TESTS not in path.parents]
    made_up = (
        ("page", "rule") if folder == "tests" else ()
    )  # tests make such names up, and quote messages that end with rules
    problems = [
        f"{path.relative_to(REPOSITORY)}: {problem}"
        for path in modules
        for cited in citations_of(path)
        if cited.kind not in made_up
        and not (folder == "tests" and cited.name.startswith("("))
        and (problem := _problem(cited))
    ]
    assert problems == []


def test_the_code_cites_the_design() -> None:
    """Else the test above would hold for a form of citation that it no longer recognises."""
    cited = [
        each
        for folder in ("app", "controller", "drplan", "webhook")
        for path in (REPOSITORY / folder).rglob("*.py")
        for each in citations_of(path)
    ]
    counts = {kind: sum(each.kind == kind for each in cited) for kind in ANCHORS}
    assert counts["decision"] > 100
    assert counts["invariant"] > 25
    assert counts["contract"] > 30
    assert counts["design"] > 10
    assert counts["rule"] > 30


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("(decisions W3, D7 and R2a)", ["decision W3", "decision D7", "decision R2a"]),
        (
            "(decisions P3 to P5; invariants 1, 2 and 4)",
            ["decision P3", "decision P4", "decision P5", "invariant 1", "invariant 2", "invariant 4"],
        ),
        ("contract: api 3, 4 and 7", ["contract api 3", "contract api 4", "contract api 7"]),
        ("contract: lifecycle 6.2 to 6.4", ["contract lifecycle 6.2", "contract lifecycle 6.4"]),
        ("Rules W2-W20, U1", ["rule W2", "rule W20", "rule U1"]),
        ("(design: the journal) and (design: processes)", ["design journal", "design processes"]),
        ("see docs/design/journal.md.", ["page docs/design/journal.md"]),
        ("contract: lifecycle, section 12", ["loose contract: lifecycle"]),
        ("(P4)", ["loose (P4)"]),
        ("(see D7)", ["loose (see D7)"]),
        ("Decision D7 and see D8", ["decision D7", "loose see D8"]),
        ("docs/operating.md#by-symptom", ["page docs/operating.md#by-symptom"]),
        ("design: invariant 3", ["design invariant", "invariant 3", "loose design: invariant 3"]),
    ],
)
def test_forms_of_citation(text: str, names: list[str]) -> None:
    assert sorted(f"{each.kind} {each.name}" for each in citations(text)) == sorted(names)


@pytest.mark.parametrize(
    "cited",
    [
        Citation("decision", "D99"),
        Citation("invariant", "15"),
        Citation("contract", "lifecycle 99"),
        Citation("design", "moon"),
        Citation("rule", "W999"),
        Citation("page", "design.md"),
        Citation("page", "docs/operating.md#no-such-heading"),
        Citation("loose", "(P4)"),
    ],
)
def test_what_leads_nowhere_is_told(cited: Citation) -> None:
    assert cited.name in _problem(cited)


def test_a_decision_has_one_heading() -> None:
    for page, form in (
        ("decisions.md", r"^### ([A-Z]\d+a?) "),
        ("invariants.md", r"^### (\d+) "),
        ("contract.md", r"^### ([a-z]+ \d+(?:\.\d+)*) "),
    ):
        names = re.findall(form, (DESIGN / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert len(names) == len(set(names)) > 10
