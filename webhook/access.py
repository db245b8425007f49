"""A user may only reference workflows that they may read (decision W5)."""

from __future__ import annotations

from app.models.plan import DRPlan
from app.rules.findings import Finding
from app.rules.run import uses
from webhook.lookups import Lookups
from webhook.review import Request


async def forbidden_references(request: Request, plan: DRPlan, lookups: Lookups) -> dict[tuple[str, str], Finding]:
    """Workflows of other namespaces that the requesting user may not read, each with the finding (rule P18).

    They are not looked up, so that a refusal tells nobody what exists elsewhere.
    """
    forbidden: dict[tuple[str, str], Finding] = {}
    asked: set[tuple[str, str]] = set()
    for use in uses(plan):
        if use.key in asked or not use.key[1] or use.key[0] == request.namespace:
            continue
        asked.add(use.key)
        access = await lookups.may_read_workflow(request.user_info, *use.key)
        if not access.allowed:
            name = "/".join(use.key)
            why = f" ({access.reason})" if access.reason else ""
            text = (
                f'{use.prefix}: user "{request.user_info.username}" may not get workflow {name}{why}; a plan may only '
                "reference workflows that its author may read"
            )
            forbidden[use.key] = Finding("P18", f"spec.{use.path}.workflowRef", text, name)
    return forbidden
