"""A lint run: read, check each object by its schema, then by the rules in the light of all others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import BinaryIO

from app.lint.decoding import check_written
from app.lint.given import Checked, given
from app.lint.inputs import read_inputs
from app.lint.judge import judge
from app.lint.objects import Written, objects_of
from app.lint.result import Issue, Notification, Result
from app.lint.unchecked import unchecked
from app.rules.catalogue import Severity
from app.rules.findings import Finding


def lint(
    names: Sequence[str],
    stdin: BinaryIO,
    *,
    namespace: str = "default",
    strict: bool = False,
    ignored: Collection[str] = (),
    own_namespace: str = "",
) -> Result:
    """Check every object in the files, folders and standard input (`-`) that are named.

    Args:
        names: what to read.
        stdin: what `-` stands for.
        namespace: namespace of objects that name none.
        strict: count warnings as errors.
        ignored: ids of rules whose warnings are left out; errors stay, because the API server refuses such objects.
        own_namespace: namespace of the controller, which no action may touch; empty: not known.
    """
    inputs = list(read_inputs(names, stdin))
    sources = [item for item in inputs if not isinstance(item, Notification)]
    unusable = [item for item in inputs if isinstance(item, Notification)]
    found = [item for source in sources for item in objects_of(source, namespace)]
    written = [item for item in found if isinstance(item, Written)]
    issues = [item for item in found if isinstance(item, Issue)]
    skipped = [item for item in found if isinstance(item, Notification)]
    checked: list[Checked] = []
    for each in written:
        problems, item = check_written(each)
        issues += problems
        checked.append(item)
        if item.model is None and item.repaired is None:
            text = f"skipped: the rules for {each.kind} {each.key}, until its schema errors are repaired"
            skipped.append(Notification(each.position, text))
    known = given(checked)
    known.own_namespace = own_namespace
    issues += _repeated(written)
    issues += [issue for item in checked for issue in judge(item, known)]
    issues = [issue for issue in issues if issue.severity is Severity.ERROR or issue.rule not in ignored]
    if strict:
        issues = [replace(issue, severity=Severity.ERROR) for issue in issues]
    order = {source.name: at for at, source in enumerate(sources)}
    issues.sort(key=lambda issue: (order[issue.position.file], issue.position.line, issue.position.column))
    return Result(issues, skipped, unusable, unchecked(checked, known), files=len(order), objects=len(written))


def _repeated(written: Sequence[Written]) -> list[Issue]:
    """Rule S6: objects that are given twice."""
    first: dict[tuple[str, str], Written] = {}
    issues = []
    for each in written:
        same = first.setdefault((each.kind, each.key), each)
        if same is not each and each.name:
            text = f"{each.kind} {each.key} is also at {same.position}, the last one counts"
            issues.append(each.issue(Severity.WARNING, Finding("S6", "", text)))
    return issues
