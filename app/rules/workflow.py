"""Rules of DRWorkflows (contract: admission 4; decision P6).

Beyond the contract's W1-W22: W23 dependsOn of actions, W24 when, W25 timeout, W26 retryPolicy, W27 manifest, W28
rollback block, W29 placeholders, W30 parameter names, W31 the reserved name, W32 values against types, W33 manifestRef,
W34 spec of Subscriptions, W35 numbers out of range, W36 fields of outputs, W37 outputs of actions that never run with
this one, W38 outputs that `when` names, W40 placeholders of manifestRefs, W45 names that objects can have,
W46 bounds of actions. U1-U5 are in `app.rules.actions.unsupported`.
"""

from __future__ import annotations

from app.engine.graph import Problem, check_graph
from app.models.workflow import DRWorkflow
from app.rules.actions.action import check_action
from app.rules.actions.known import Before, Places, remember, repeat
from app.rules.actions.order import Order
from app.rules.actions.unsupported import check_engine
from app.rules.findings import Findings, Report, Spot
from app.rules.parameters.declared import WORKFLOW_RULES, check_parameters
from app.rules.parameters.rendered_names import check_defaults


def check_workflow(workflow: DRWorkflow, places: Places = (), *, own_namespace: str = "") -> Report:
    """Everything wrong with a workflow, in this order: actions, their graph, parameters.

    `places` are those of its actions (`places_of`): remembered actions are not looked at again. `own_namespace` is the
    controller's, which no action may touch.
    """
    findings = Findings(own_namespace=own_namespace)
    spec = findings.at("spec")
    if not workflow.spec.actions:
        spec.error("W1", "at least one action is required", "actions")
        return findings.report()
    order = Order(workflow.spec.actions)
    _check_actions(spec, order, places or [None] * len(order.actions))
    check_defaults(spec, workflow)
    _check_dependencies(spec, order)
    check_parameters(spec.below("parameters"), workflow.spec.parameters, WORKFLOW_RULES)
    check_engine(spec, workflow)
    return findings.report()


def _check_actions(spec: Spot, order: Order, places: Places) -> None:
    seen: set[str] = set()
    for index, (action, place) in enumerate(zip(order.actions, places, strict=True)):
        where = f"actions[{index}]"
        if action.name in seen:
            text = f"action[{index}]: duplicate action name '{action.name}'"
            spec.error("W2", text, f"{where}.name", found=action.name)
        seen.add(action.name)
        if not action.name:
            spec.error("W3", f"action[{index}]: name is required", f"{where}.name")
        spot = spec.below(where, f"action[{index}] '{action.name}': ")
        if repeat(spot, place):
            continue
        before = Before.of(spot)
        check_action(spot, order, index)
        remember(place, action, spot, before)


def _check_dependencies(spec: Spot, order: Order) -> None:
    """Rule W23; repeated names are W2's, unless they differ by the blanks around them."""
    if order.is_sound():
        return
    names = [action.name for action in order.actions]
    first = {name: index for index, name in reversed([*enumerate(names)])}
    for problem in check_graph(names, [action.depends_on for action in order.actions]):
        if problem.problem is Problem.DUPLICATE:
            if first[names[problem.index]] == problem.index:
                text = f"{problem.message}: blanks around a name do not count"
                spec.error("W23", text, f"actions[{problem.index}].name")
            continue
        member = "dependsOn" if problem.dependency is None else f"dependsOn[{problem.dependency}]"
        hint = spec.meant(problem.unknown, names) if problem.unknown else ""
        spec.error("W23", problem.message + hint, f"actions[{problem.index}].{member}", found=problem.unknown)
