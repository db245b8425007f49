"""What rules find, and how findings become a refusal.

A finding has a stable id. Those of the admission contract (`W1`-`W22`, `P1`-`P11`, `E1`-`E21`) keep their numbers;
stricter rules of this project go on counting, `U...` marks what the API knows but this release cannot run, `N...` what
draws no more than a warning, and `S...` what the schema of the API says. `app.rules.catalogue` lists them all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from app.engine.graph import closest

_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One violated rule."""

    rule: str
    """Stable id of the rule, such as `W2`."""
    path: str
    """The field, as `spec.actions[0].http.url`."""
    message: str
    """What is wrong, in the words of the admission contract where it has any."""
    found: str = ""
    """The offending value; only names and keywords, never values that could be secret."""
    runnable: bool = False
    """True: a stored object with this finding can run all the same, so a reconciler does not call it Invalid."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that the rules found in one object."""

    errors: tuple[Finding, ...] = ()
    """Findings that refuse the object."""
    warnings: tuple[str, ...] = ()
    """Texts that are shown to the user and refuse nothing."""
    notices: tuple[Finding, ...] = ()
    """The warnings that rules found, with id and field path; their texts are among `warnings`."""
    listed: bool = True
    """The refusal is `validation failed: [...]`; False: the text of the only error stands alone."""

    @property
    def ok(self) -> bool:
        """True when nothing refuses the object."""
        return not self.errors

    @property
    def stoppers(self) -> tuple[Finding, ...]:
        """What keeps a stored object from running (decision W7), be it refused at admission or not."""
        return tuple(finding for finding in (*self.errors, *self.notices) if not finding.runnable)


MOST_TOLD = 100
"""Findings that a refusal spells out. It keeps what a hostile object can make of an answer small."""
LONGEST_TOLD = 4096
"""Characters of one finding's text and path."""
MOST_FINDINGS = 1000
"""Errors, and warnings, that are collected of one object; those of it that are left out would say the same again."""
MOST_STOPPERS = 2 * MOST_FINDINGS
"""Errors, and warnings, among which there is still room for one that keeps a stored object from running."""
MOST_EFFORT = 300_000
"""Names that are looked up for one object: a thousand uses of a workflow that takes three hundred parameters."""
_LONGEST_PREFIX = 1024


def denial(report: Report) -> str:
    """The text that refuses an object; empty when nothing does."""
    if report.ok:
        return ""
    texts = "; ".join(finding.message for finding in report.errors[:MOST_TOLD])
    if len(report.errors) > MOST_TOLD:
        texts += f"; and {len(report.errors) - MOST_TOLD} more"
    return f"validation failed: [{texts}]" if report.listed else texts


def with_rules(text: str, findings: Iterable[Finding]) -> str:
    """A text that users see, with the ids of the rules behind it at its end, each once: docs/rules.md lists them."""
    rules = dict.fromkeys(finding.rule for finding in findings if finding.rule)
    return f"{text} ({', '.join(rules)})" if rules else text


def refusal(rule: str, path: str, message: str, *warnings: str) -> Report:
    """A report of one error whose text stands alone, outside `validation failed: [...]`."""
    return Report(errors=(Finding(rule, path, message),), warnings=warnings, listed=False)


def only_new(old: Report, new: Report) -> Report:
    """The report on an update: what the old spec had already becomes a warning (decision W7).

    Findings are the same when rule and message agree, positions in lists aside, because an update may insert or
    remove items. A finding that occurs more often than before counts as new.
    """
    known = Counter(map(_identity, old.errors))
    errors: list[Finding] = []
    tolerated: list[Finding] = []
    for finding in new.errors:
        if known[_identity(finding)]:
            known[_identity(finding)] -= 1
            tolerated.append(finding)
        else:
            errors.append(finding)
    texts = (finding.message for finding in tolerated)
    return replace(new, errors=tuple(errors), warnings=(*texts, *new.warnings), notices=(*tolerated, *new.notices))


def _identity(finding: Finding) -> tuple[str, str]:
    return finding.rule, _INDEX.sub("[]", finding.message)


MOST_SUGGESTIONS = 20
"""Unknown names of one object that are compared with the known ones; comparing takes time."""


@dataclass(slots=True)
class Findings:
    """Collects what rules find while they walk an object."""

    errors: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)
    own_namespace: str = ""
    """The controller's, which nobody's action may touch; empty: not known."""
    suggestions: int = 0
    """Suggestions that were looked for."""
    effort: int = 0
    """Names that were looked up."""
    gaps: int = 0
    """Places without a value that were found, and are told by parameter."""
    manifest_values: int = 0
    """Values in the manifests looked at."""
    certificates: int = 0
    """Certificates in the bundles of authorities looked at."""

    @property
    def shared_counts(self) -> tuple[int, ...]:
        """What all that is found in an object shares; whoever changes one of these may keep others from being told."""
        return self.suggestions, self.effort, self.gaps, self.certificates

    def at(self, path: str, prefix: str = "") -> Spot:
        """The spot at `path`, whose messages begin with `prefix`."""
        return Spot(self, path, prefix)

    def may_look_up(self, names: int) -> bool:
        """Tell whether so many more names may be looked up: not when enough is found, or much too much was looked up.

        What is not looked up here fails before the first action of a run.
        """
        self.effort += names
        full = max(len(self.notices), len(self.errors), self.gaps) >= MOST_FINDINGS
        return not full and self.effort <= MOST_EFFORT

    def report(self) -> Report:
        """What was collected; equal warnings appear once."""
        texts = dict.fromkeys(notice.message for notice in self.notices)
        return Report(tuple(self.errors), tuple(texts), tuple(self.notices))


class Spot(NamedTuple):
    """A place in an object: where its findings go, its field path, and what its messages begin with."""

    findings: Findings
    path: str
    prefix: str = ""
    runnable: bool = False
    """All errors found here let a stored object run all the same."""

    def below(self, member: str, prefix: str = "", *, runnable: bool = False) -> Spot:
        """The spot of a member; `prefix` is added to what messages begin with."""
        begin = self.prefix + (prefix if len(prefix) <= _LONGEST_PREFIX else _cut(prefix, _LONGEST_PREFIX))
        return Spot(self.findings, join(self.path, member), begin, self.runnable or runnable)

    def error(self, rule: str, text: str, member: str = "", *, found: str = "", runnable: bool = False) -> None:
        """Add an error about `member` (the spot itself when empty)."""
        runnable = self.runnable or runnable
        if _has_room(self.findings.errors, runnable):
            path, message = _cut(join(self.path, member)), _cut(self.prefix + text)
            self.findings.errors.append(Finding(rule, path, message, found, runnable))

    def meant(self, name: str, known: Iterable[str], form: str = "{}") -> str:
        """The end of a message that suggests the known name that was probably meant; empty when there is none.

        `form` is how the name is written, such as `$(params.{})`.
        """
        hint = self.near(name, known)
        return did_you_mean(form.format(hint)) if hint else ""

    def near(self, name: str, known: Iterable[str]) -> str | None:
        """The known name that is near; None when there is none, or after the first MOST_SUGGESTIONS of an object."""
        self.findings.suggestions += 1
        return closest(name, known) if self.findings.suggestions <= MOST_SUGGESTIONS else None

    def warn(self, rule: str, text: str, member: str = "", *, runnable: bool = True) -> None:
        """Add a warning about `member` (the spot itself when empty)."""
        if _has_room(self.findings.notices, runnable):
            path, message = _cut(join(self.path, member)), _cut(self.prefix + text)
            self.findings.notices.append(Finding(rule, path, message, runnable=runnable))


def _has_room(found: list[Finding], runnable: bool) -> bool:
    return len(found) < (MOST_FINDINGS if runnable else MOST_STOPPERS)


def _cut(text: str, limit: int = LONGEST_TOLD) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


def did_you_mean(hint: str) -> str:
    """The end of a message that suggests `hint`; empty without one."""
    return f"; did you mean '{hint}'?" if hint else ""


def join(path: str, member: str) -> str:
    """The field path of `member` (`name` or `[0]`) below `path`."""
    if not member or not path:
        return path or member
    return f"{path}{member}" if member[0] == "[" else f"{path}.{member}"
