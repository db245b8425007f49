"""What the schema of the API says, and what only `drplan lint` finds in files."""

from __future__ import annotations

from typing import Final

from app.rules.catalogue.rule import ANY, Checked, Rule, Severity


def _file(id_: str, checks: str, example: str, severity: Severity = Severity.ERROR) -> Rule:
    return Rule(id_, ANY, checks, example, severity, Checked.FILES)


SCHEMA: Final[tuple[Rule, ...]] = (
    Rule(
        "S1",
        ANY,
        "Every member has the type, value and size that the schema demands, and required ones are there.",
        "spec.stages[0].parallel must be true or false, found 'yes please'",
    ),
    _file(
        "S2",
        "A field is not known; the API server drops it.",
        "unknown field, the API server drops it; did you mean 'dependsOn'?",
        Severity.WARNING,
    ),
    _file(
        "S3",
        "A key stands in the same mapping twice.",
        "key 'timeout' is repeated, only its last value counts",
        Severity.WARNING,
    ),
    _file(
        "S4",
        "A kind or version of this API is not known.",
        "kind 'DRPlam' is not known in dr.bkbcs.tencent.com/v1alpha1; did you mean 'DRPlan'?",
    ),
    _file(
        "S5",
        "An object has a name that the API server accepts.",
        "name 'Site Failover' must consist of lower case letters, digits, '-' and '.', begin and end with a letter or "
        "digit, and have at most 253 characters",
    ),
    _file(
        "S6",
        "An object is given twice.",
        "DRPlan default/site-failover is also at plans/all.yaml:3:1, the last one counts",
        Severity.WARNING,
    ),
    _file(
        "S7",
        "A reference names no object of the files, but nearly one of them.",
        "workflow default/switch-ovr is not among the files; did you mean default/switch-over?",
        Severity.WARNING,
    ),
)
