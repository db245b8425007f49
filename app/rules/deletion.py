"""Deletion protection (contract: admission 5 and 7; decision W3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.models.phases import has_ended
from app.models.plan import CurrentExecution
from app.models.stored import items, members
from app.rules.findings import Findings, Report, refusal
from app.rules.unfinished import UnfinishedRun, locked

MOST_NAMES = 20
"""Names that a refusal lists; the number of all is in its warning."""

RUNNING_WARNING = "Deleting a running execution may leave resources in inconsistent state"


def referencing_plans(namespace: str, name: str, plans: Iterable[Mapping[str, Any]]) -> list[str]:
    """`namespace/name` of every plan, in any namespace, that references the workflow; sorted.

    Plans are plain dicts, so that one that cannot be decoded still protects what it references.
    """
    keys = []
    for plan in plans:
        meta = members(plan.get("metadata"))
        own = str(meta.get("namespace", ""))
        if any((ref.get("namespace") or own, ref.get("name")) == (namespace, name) for ref in _references(plan)):
            keys.append(f"{own}/{meta.get('name', '')}")
    return sorted(keys)


def references_only(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `referencing_plans` reads of a plan: a small part of one with many parameters."""
    uses = [{"workflowRef": reference} for reference in _references(plan)]
    return {"metadata": _named(plan.get("metadata")), "spec": {"stages": [{"workflows": uses}]}}


def _named(metadata: object) -> dict[str, Any]:
    found = members(metadata)
    return {member: found[member] for member in ("namespace", "name") if member in found}


def _references(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for stage in map(members, items(members(plan.get("spec")).get("stages"))):
        for use in map(members, items(stage.get("workflows"))):
            if reference := members(use.get("workflowRef")):
                yield reference


def check_workflow_deletion(
    namespace: str, name: str, plans: Iterable[Mapping[str, Any]], hidden: Collection[str] = ()
) -> Report:
    """A workflow stays while a plan references it; plans of `hidden` namespaces are counted, not named."""
    keys = referencing_plans(namespace, name, plans)
    if not keys:
        return Report()
    shown = [key for key in keys if key.partition("/")[0] not in hidden]
    listed = _listed(shown) + f" {len(keys) - len(shown)} that you may not list" * (len(shown) < len(keys))
    text = f"cannot delete DRWorkflow {namespace}/{name}: referenced by DRPlan(s): [{listed.strip()}]"
    return refusal("DW1", "metadata.name", text, f"Workflow is referenced by {len(keys)} plan(s)")


def check_plan_deletion(
    namespace: str, name: str, lock: CurrentExecution | None, unfinished: Sequence[UnfinishedRun], *, named: bool = True
) -> Report:
    """A plan stays while an execution of it has not ended; a stale lock does not count.

    With `named` False the executions are counted, not named.
    """
    held = locked(lock, unfinished)
    if held is not None:
        text = "cannot delete plan with running execution" + f": {held.key}" * named
        return refusal("DP1", "status.currentExecution", text, "Plan has a running execution")
    if not unfinished:
        return Report()
    told = [f"{run.key} (phase={run.phase})" for run in unfinished]
    runs = _listed(told) if named else f"{len(told)} that you may not list"
    text = f"cannot delete DRPlan {namespace}/{name}: has running executions: [{runs}]"
    return refusal("DP2", "metadata.name", text, f"Plan has {len(unfinished)} running execution(s)")


def check_execution_deletion(execution: Mapping[str, Any]) -> Report:
    """Deleting an execution is allowed; while it runs it is a cancel, which draws a warning (N14)."""
    findings = Findings()
    phase = str(members(execution.get("status")).get("phase") or "")
    if phase not in ("", "Pending") and not has_ended(phase):
        findings.at("status.phase").warn("N14", RUNNING_WARNING)
    return findings.report()


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST_NAMES} more" if len(texts) > MOST_NAMES else ""
    return " ".join(texts[:MOST_NAMES]) + more
