"""A user may only reference workflows that they may read (decision W5)."""

from __future__ import annotations

from app.models.plan import DRPlan
from app.rules.findings import Finding
from app.rules.run import Use, uses
from webhook.lookups import Lookups
from webhook.review import Request


async def forbidden_references(request: Request, plan: DRPlan, lookups: Lookups) -> dict[tuple[str, str], Finding]:
    """Workflows of other namespaces that the requesting user may not read, each with the finding (rule P18).

    They are not looked up, so that a refusal tells nobody what exists elsewhere.
    """
    first: dict[tuple[str, str], Use] = {}
    for use in uses(plan):
        if use.key[1] and use.key[0] != request.namespace:
            first.setdefault(use.key, use)
    answers = await lookups.may_read_workflows(request.user_info, first) if first else {}
    forbidden: dict[tuple[str, str], Finding] = {}
    for key, use in first.items():
        access = answers[key]
        if not access.allowed:
            name = "/".join(key)
            why = f" ({access.reason})" if access.reason else ""
            text = (
                f'{use.prefix}: user "{request.user_info.username}" may not get workflow {name}{why}; a plan may only '
                "reference workflows that its author may read"
            )
            forbidden[key] = Finding("P18", f"spec.{use.path}.workflowRef", text, name)
    return forbidden
