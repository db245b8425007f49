"""Placeholders that can never resolve, whatever values a run brings (rules W29, W36, W37).

Which parameters have values is known only with the plan (`app.rules.plan`) and the execution (`app.rules.run`).
"""

from __future__ import annotations

from collections.abc import Callable

from app.engine.outputs import fields_of
from app.engine.templates import Placeholder
from app.models.actions import Action, ActionBody, ActionType
from app.rules.actions.conditions import modes_of
from app.rules.actions.lookalikes import check_lookalikes
from app.rules.actions.order import Order
from app.rules.actions.templated import TemplatedText, placeholders_of, templated_texts
from app.rules.findings import Spot


def check_action_placeholders(spot: Spot, order: Order, index: int) -> None:
    """Check the placeholders of an action. `spot` is the action."""
    action = order.actions[index]

    def finished(name: str) -> bool:
        return order.is_before(name, index)

    for text in templated_texts(action, action.type):
        found = placeholders_of(text.text)
        for placeholder in found:
            if placeholder.root == "outputs":
                if _check_output(spot, text, placeholder, order, finished):
                    _check_modes(spot, text, placeholder, order, action)
            else:
                _check_parameter(spot, text, placeholder)
        check_lookalikes(spot, text, found)


def check_rollback_placeholders(spot: Spot, rollback: ActionBody, type_: ActionType, order: Order) -> None:
    """Check the placeholders of a rollback, which sees the outputs of all actions. `spot` is the rollback."""
    for text in templated_texts(rollback, type_):
        found = placeholders_of(text.text)
        for placeholder in found:
            if placeholder.root == "outputs":
                _check_output(spot, text, placeholder, order, order.named.__contains__)
            else:
                _check_parameter(spot, text, placeholder)
        check_lookalikes(spot, text, found)


def _check_parameter(spot: Spot, text: TemplatedText, placeholder: Placeholder) -> None:
    """Rule W29, for parameters."""
    if placeholder.root == "params" and len(placeholder.path) > 1:
        why = f"parameters are texts, write $(params.{placeholder.path[0]})"
        spot.error("W29", f"{placeholder.text} cannot be resolved: {why}", text.path, found=placeholder.text)


def _check_output(
    spot: Spot, text: TemplatedText, placeholder: Placeholder, order: Order, finished: Callable[[str], bool]
) -> bool:
    """Rules W29 and W36, for outputs. True when the placeholder passes.

    Names of actions may have dots, so each beginning of the path may be one.
    """
    ways = _ways(placeholder, order)
    known = [(name, field) for name, field in ways if finished(name)]
    if any(field in fields_of(order.named[name].type) for name, field in known):
        return True
    if known and known[0][1]:
        name, field = known[0]
        type_ = order.named[name].type
        fields = fields_of(type_)
        why = f"action '{name}' of type {type_} has no output '{field}', only {', '.join(fields)}"
        why += spot.meant(field, fields)
        spot.error("W36", f"{placeholder.text} cannot be resolved: {why}", text.path, found=placeholder.text)
        return False
    if known:
        why = "the name of an output must follow the action's"
    elif late := next((name for name, _ in ways if name in order.named), None):
        why = f"action '{late}' need not have finished by then; it must come before this one, or be in its dependsOn"
    else:
        name = placeholder.path[0]
        why = f"the workflow has no action '{name}'" + spot.meant(name, order.named)
    spot.error("W29", f"{placeholder.text} cannot be resolved: {why}", text.path, found=placeholder.text)
    return False


def _ways(placeholder: Placeholder, order: Order) -> list[tuple[str, str]]:
    """The ways to divide the path into a name as long as that of an action and a field, the shortest name first."""
    path = placeholder.path
    lengths = (length for length in order.lengths if length <= len(path))
    return [(".".join(path[:length]), ".".join(path[length:])) for length in lengths]


def _check_modes(spot: Spot, text: TemplatedText, placeholder: Placeholder, order: Order, action: Action) -> None:
    """Rule W37: what is used is there in at least one mode in which the action runs."""
    used = next(order.named[name] for name, _ in _ways(placeholder, order) if name in order.named)
    if not used.when or not action.when:
        return
    modes = modes_of(action.when)
    if modes and not modes & modes_of(used.when):
        why = f"action '{used.name}' never runs when this one does, because of their conditions (when)"
        spot.error("W37", f"{placeholder.text} cannot be resolved: {why}", text.path, found=placeholder.text)
