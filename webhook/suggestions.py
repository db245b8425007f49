"""What was probably meant by the name of an object that does not exist: looked up only once a refusal is certain."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from app.engine.graph import closest
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS, Resource
from app.rules.findings import Finding, Report, did_you_mean
from webhook.disclosure import hidden_from
from webhook.failures import LookupFailedError
from webhook.lookups import Lookups
from webhook.review import UserInfo

ABOUT: dict[str, Resource] = {"P6": WORKFLOWS, "E2": PLANS, "E5": EXECUTIONS}
"""The rules about references to objects, and of what kind these are."""

SUGGESTION_SECONDS = 1.0
"""How long the names of one kind may take; without them the refusal is told without a suggestion."""


async def with_suggestions(report: Report, user: UserInfo, namespace: str, lookups: Lookups) -> Report:
    """The report with near names of the object's own namespace at the end of messages about missing objects.

    Only of kinds that the user may list there, and nothing of other namespaces. A look-up that fails changes nothing
    of the report.
    """
    known: dict[str, list[str]] = {}
    for resource in dict.fromkeys(ABOUT[each.rule] for each in report.errors if _is_local(each, namespace)):
        with suppress(LookupFailedError, TimeoutError):
            async with asyncio.timeout(SUGGESTION_SECONDS):
                if not await hidden_from(user, resource, [namespace], lookups):
                    known[resource.plural] = await lookups.names(resource, namespace)
    return replace(report, errors=tuple(_with_suggestion(finding, namespace, known) for finding in report.errors))


def _is_local(finding: Finding, namespace: str) -> bool:
    """True for a reference to a missing object of the namespace; `found` is a name or `namespace/name`."""
    return finding.rule in ABOUT and finding.found.rpartition("/")[0] in ("", namespace)


def _with_suggestion(finding: Finding, namespace: str, known: dict[str, list[str]]) -> Finding:
    if not _is_local(finding, namespace):
        return finding
    hint = closest(finding.found.rpartition("/")[2], known.get(ABOUT[finding.rule].plural, ()))
    return replace(finding, message=finding.message + did_you_mean(hint or ""))
