"""What a user must be allowed to do so that an object of theirs may name it (decisions W5 and W7).

Nobody lends the rights of the controller: a plan that references a workflow of another namespace needs the verb `use`
on it, and what a parameter or an action reads from the cluster needs the right to read it. The API server decides, by
SubjectAccessReviews; without an answer the object is refused. What an update leaves as it was is not asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from app.engine.object_names import api_version_problem, found, kind_problem
from app.kube.access import Access, Right
from app.kube.resources import WORKFLOWS, Resource
from app.models.common import Parameter
from app.models.plan import DRPlan
from app.rules.findings import Finding
from app.rules.parameters.references import open_members
from app.rules.reads import Read, out_of_bounds
from app.rules.run import Use, uses
from webhook.lookups import Lookups
from webhook.review import Request, UserInfo
from webhook.stored_workflows import Key

MOST_READS: Final = 1_000
"""References of one object at most, and different rights that are asked about for it."""


async def forbidden_workflows(
    request: Request, plan: DRPlan, stored: DRPlan | None, lookups: Lookups
) -> tuple[dict[Key, Finding], list[Finding]]:
    """Workflows of other namespaces that the requesting user may not use (rule P18).

    They are not looked up, so that a refusal tells nobody what exists elsewhere. Returns the finding of each by its
    key, and those that refuse the plan: a use that the `stored` plan has as well, with the same parameters, does not.
    """
    foreign = [use for use in uses(plan) if use.key[1] and use.key[0] != request.namespace]
    rights = {use.key: Right("use", WORKFLOWS, *use.key) for use in foreign}
    answers = await lookups.may(request.user_info, rights.values()) if rights else {}
    refused = [use for use in foreign if not answers[rights[use.key]].allowed]
    known = _same_uses(plan, stored) if refused and stored is not None else set()
    forbidden: dict[Key, Finding] = {}
    refusing: dict[Key, Finding] = {}
    for use in refused:
        text = _may_not_use(use, request.user_info, answers[rights[use.key]])
        finding = Finding("P18", f"spec.{use.path}.workflowRef", text, "/".join(use.key))
        forbidden.setdefault(use.key, finding)
        if (use.key, use.reference.params) not in known:
            refusing.setdefault(use.key, finding)
    return forbidden, list(refusing.values())


def _same_uses(plan: DRPlan, stored: DRPlan) -> set[tuple[Key, tuple[Parameter, ...]]]:
    """What the stored plan uses, if it is given the same: with other parameters a workflow does something else."""
    if plan.spec.global_params != stored.spec.global_params:
        return set()
    return {(use.key, use.reference.params) for use in uses(stored)}


def _may_not_use(use: Use, user: UserInfo, access: Access) -> str:
    name = "/".join(use.key)
    right = Right("use", WORKFLOWS, *use.key)
    return (
        f'{use.prefix}: user "{user.username}" may not use workflow {name}{_because(access)}; a plan may only '
        f"reference workflows of other namespaces that its author may use: {_grant(right, user)}"
    )


async def unreadable(
    request: Request, reads: Iterable[Read], lookups: Lookups, own_namespace: str, *, ask: bool = True
) -> list[Finding]:
    """What the requesting user may not have read for them (rules A1 to A4).

    The controller's own namespace is nobody's; with `ask` False that is all that is checked.
    """
    looked_at = list(islice(reads, MOST_READS + 1))
    if len(looked_at) > MOST_READS:
        text = f"more than {MOST_READS} values are read from the cluster; give some of them in the object itself"
        return [Finding("A4", "spec", text)]
    findings, open_reads = [], []
    for read in looked_at:
        if refusal := out_of_bounds(read, own_namespace):
            findings.append(Finding("A2", read.path, f"{read.prefix}{refusal}"))
        else:
            open_reads.append(read)
    if ask and open_reads:
        findings += await _without_right(request.user_info, open_reads, lookups)
    return findings


async def _without_right(user: UserInfo, reads: Sequence[Read], lookups: Lookups) -> list[Finding]:
    impossible = {kind: _kind_problem(*kind) for kind in map(_kind_of, reads)}
    served = await lookups.resources([kind for kind, problem in impossible.items() if not problem])
    resources = {**impossible, **served}
    rights = [_right(read, resources[_kind_of(read)]) for read in reads]
    answers = await lookups.may(user, [right for right in rights if isinstance(right, Right)])
    findings: dict[tuple[str, str], Finding] = {}
    for read, right in zip(reads, rights, strict=True):
        if not isinstance(right, Right):
            text = f'{read.prefix}whether user "{user.username}" may read this cannot be checked: {right}'
            findings.setdefault((read.path, text), Finding("A3", read.path, text))
        elif not answers[right].allowed:
            text = f"{read.prefix}{_may_not_read(read, right, user, answers[right])}"
            findings.setdefault((read.path, text), Finding("A1", read.path, text))
    return list(findings.values())


def _kind_of(read: Read) -> tuple[str, str]:
    return read.reference.api_version, read.reference.kind


def _kind_problem(api_version: str, kind: str) -> str:
    """Why no such kind can be asked for; empty when it can."""
    if problem := api_version_problem(api_version):
        return f"apiVersion {problem}{found(api_version)}"
    return f"kind {problem}{found(kind)}" if (problem := kind_problem(kind)) else ""


def _right(read: Read, resource: Resource | str) -> Right | str:
    """The right that a reference needs; why that is not known when it is not."""
    if isinstance(resource, str):
        return resource
    reference, unknown = read.reference, open_members(read.reference)
    namespace = reference.namespace if resource.namespaced and "namespace" not in unknown else ""
    if not reference.name:
        return Right("list", resource, namespace)
    return Right("get", resource, namespace, "" if unknown else reference.name)


def _may_not_read(read: Read, right: Right, user: UserInfo, access: Access) -> str:
    unknown = open_members(read.reference)
    if not read.reference.name:
        unknown = tuple(member for member in unknown if member != "labelSelector")
    wide = f"; {' and '.join(unknown)} may become anything, so the right to all of them is needed" if unknown else ""
    return (
        f'user "{user.username}" may not {right}{_because(access)}{wide}; what is read for a parameter or an action '
        f"needs the right of whoever asks for it: {_grant(right, user)}"
    )


def _because(access: Access) -> str:
    return f" ({access.reason})" if access.reason else ""


def _grant(right: Right, user: UserInfo) -> str:
    """The RBAC rule that gives a right, and to whom."""
    names = f"resourceNames: [{right.name}], " if right.name else ""
    rule = (
        f'{{apiGroups: ["{right.resource.group}"], resources: [{right.resource.plural}], {names}verbs: [{right.verb}]}}'
    )
    role = f"a Role in namespace {right.namespace}" if right.namespace else "a ClusterRole"
    _, _, account = user.username.partition("system:serviceaccount:")
    whom = f"ServiceAccount {account.replace(':', '/')}" if account else f'user "{user.username}"'
    return f"give {role} the rule {rule} and bind it to {whom}"
