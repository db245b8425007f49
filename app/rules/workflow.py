"""Rules of DRWorkflows (contract: admission, section 4; decision P6).

Beyond the contract's W1-W22: W23 dependsOn of actions, W24 when, W25 timeout, W26 retryPolicy, W27 manifest, W28
rollback block, W29 placeholders, W30 parameter names, W31 the reserved name, W32 values against types, W33 manifestRef,
W34 spec of Subscriptions, W35 numbers out of range. U1-U5 are in `app.rules.unsupported`.
"""

from __future__ import annotations

from app.engine.graph import Problem, ancestors, check_graph, dependencies
from app.models.workflow import DRWorkflow
from app.rules.actions import check_action
from app.rules.findings import Findings, Report, Spot
from app.rules.parameters import WORKFLOW_RULES, check_parameters
from app.rules.unsupported import check_engine


def check_workflow(workflow: DRWorkflow) -> Report:
    """Everything wrong with a workflow, in the order of the contract: actions, their graph, parameters."""
    findings = Findings()
    spec = findings.at("spec")
    if not workflow.spec.actions:
        spec.error("W1", "at least one action is required", "actions")
        return findings.report()
    _check_actions(spec, workflow)
    _check_dependencies(spec, workflow)
    check_parameters(spec.below("parameters"), workflow.spec.parameters, WORKFLOW_RULES)
    check_engine(spec, workflow)
    return findings.report()


def _check_actions(spec: Spot, workflow: DRWorkflow) -> None:
    names = frozenset(action.name for action in workflow.spec.actions)
    before = _finished_before(workflow)
    seen: set[str] = set()
    for index, action in enumerate(workflow.spec.actions):
        spot = spec.below(f"actions[{index}]")
        if action.name in seen:
            text = f"action[{index}]: duplicate action name '{action.name}'"
            spot.error("W2", text, "name", found=action.name)
        seen.add(action.name)
        if not action.name:
            spot.error("W3", f"action[{index}]: name is required", "name")
        named = spot.below("", f"action[{index}] '{action.name}': ")
        check_action(named, action, finished=before[index], actions=names)


def _finished_before(workflow: DRWorkflow) -> list[frozenset[str]]:
    """For each action those that have certainly ended before it starts.

    Without any dependsOn that is what stands before it; in a graph what it depends on, directly or through others.
    """
    actions = workflow.spec.actions
    if not any(action.depends_on for action in actions):
        names = [action.name for action in actions]
        return [frozenset(names[:index]) for index in range(len(names))]
    graph = dependencies([action.name for action in actions], [action.depends_on for action in actions])
    return [ancestors(graph, action.name.strip()) for action in actions]


def _check_dependencies(spec: Spot, workflow: DRWorkflow) -> None:
    """Rule W23, with hint N5; repeated names are W2's."""
    actions = workflow.spec.actions
    names = [action.name for action in actions]
    for problem in check_graph(names, [action.depends_on for action in actions]):
        if problem.problem is Problem.DUPLICATE:
            continue
        member = "dependsOn" if problem.dependency is None else f"dependsOn[{problem.dependency}]"
        spec.error("W23", problem.message, f"actions[{problem.index}].{member}")
        if problem.hint:
            text = f"action[{problem.index}] '{names[problem.index]}': did you mean action '{problem.hint}'?"
            spec.warn("N5", text, f"actions[{problem.index}].{member}")
