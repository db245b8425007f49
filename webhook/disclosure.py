"""What an answer may tell the user who asked: names only of what they may list themselves.

A refusal says why in any case; a name that the user did not bring is left out where the API server does not let the
user list its kind. A question that is not answered in time counts as no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from app.kube.resources import EXECUTIONS, Resource
from app.rules.execution import running_elsewhere
from app.rules.findings import Report
from webhook.failures import LookupFailedError
from webhook.lookups import Lookups
from webhook.review import UserInfo

ASK_SECONDS: Final = 1.0
MOST_ASKED: Final = 20
"""Namespaces that are asked about for one answer; the names of others are not told."""


async def hidden_from(
    user: UserInfo, resource: Resource, namespaces: Iterable[str], lookups: Lookups
) -> frozenset[str]:
    """Of these namespaces, those whose objects of a kind the user is not told."""
    wanted = frozenset(namespaces)
    shown: frozenset[str] = frozenset()
    if wanted:
        with suppress(LookupFailedError, TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                shown = await lookups.listable(user, resource, sorted(wanted)[:MOST_ASKED])
    return wanted - shown


async def without_foreign_runs(report: Report, user: UserInfo, namespace: str, lookups: Lookups) -> Report:
    """The report, where rule E20 names the execution that runs only to who may list executions."""
    if not any(each.rule == "E20" for each in report.errors):
        return report
    if not await hidden_from(user, EXECUTIONS, [namespace], lookups):
        return report
    return replace(
        report,
        errors=tuple(
            replace(each, message=running_elsewhere(each.found)) if each.rule == "E20" else each
            for each in report.errors
        ),
    )
