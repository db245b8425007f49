"""What a case of the rule table is, and how it is judged: by the reviewers of the webhooks, or by `drplan lint`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from app.rules.decode import UndecodableError
from tests.unit.lint.support import lint_text
from tests.unit.webhook.fakes import FakeLookups
from webhook.handlers import Context, review_execution, review_plan, review_workflow, undecodable
from webhook.review import Request, UserInfo

Json = dict[str, Any]

REVIEWERS = {"DRWorkflow": review_workflow, "DRPlan": review_plan, "DRPlanExecution": review_execution}


@dataclass(frozen=True)
class Review:
    """A request, and what the cluster holds."""

    operation: str
    new: Json | None
    old: Json | None
    cluster: dict[str, Any] = field(default_factory=dict)
    check_references: bool = True


class Judgement(NamedTuple):
    """What was found."""

    errors: list[tuple[str, str]]
    warnings: list[str]


class Case(NamedTuple):
    """A rule, one object that it complains about with the whole message, and one that it lets pass."""

    rule: str
    message: str
    bad: Review | str
    """A review, or the text of files for lint."""
    good: Review | str


def create(new: Json, **cluster: Any) -> Review:
    """The creation of an object."""
    return Review("CREATE", new, None, cluster)


def update(new: Json, old: Json, **cluster: Any) -> Review:
    """The change of an object."""
    return Review("UPDATE", new, old, cluster)


def delete(old: Json, **cluster: Any) -> Review:
    """The deletion of an object."""
    return Review("DELETE", None, old, cluster)


def unchecked(review: Review) -> Review:
    """The same where admission does not ask what users may use and read."""
    return replace(review, check_references=False)


async def judged(given: Review | str) -> Judgement:
    """What the rules say about a review or a text."""
    if isinstance(given, str):
        result = lint_text(given)
        errors = [(issue.rule, issue.message) for issue in result.issues if issue.severity == "error"]
        return Judgement(errors, [issue.message for issue in result.issues if issue.severity == "warning"])
    named = given.new or given.old or {}
    request = Request(
        uid="review-1",
        name=named["metadata"]["name"],
        namespace=named["metadata"]["namespace"],
        operation=given.operation,
        user_info=UserInfo(username="jane"),
        object=given.new,
        old_object=given.old,
    )
    try:
        context = Context(FakeLookups(**given.cluster), "drplan-system", check_references=given.check_references)
        verdict = await REVIEWERS[named["kind"]](request, context)
    except UndecodableError as error:
        verdict = undecodable(error)
    return Judgement([(found.rule, found.message) for found in verdict.findings], list(verdict.warnings))
