"""Placeholders that can never resolve, whatever values a run brings (rule W29).

Which parameters have values is known only with the plan (`app.rules.plan`) and the execution (`app.rules.run`).
"""

from __future__ import annotations

import re
from collections.abc import Set

from app.engine.graph import closest
from app.engine.templates import Placeholder
from app.engine.templates import placeholders as find
from app.models.actions import ActionBody, ActionType
from app.rules.findings import Spot
from app.rules.texts import placeholder_uses, templated_texts

_LOOKALIKE = re.compile(r"\$?\$\((?:params?|outputs?|plan_?[nN]ame|execution_?[nN]ame|mode)(?:\.[^()\s]*)?\)")


def check_placeholders(
    spot: Spot, body: ActionBody, type_: ActionType, *, finished: Set[str], actions: Set[str]
) -> None:
    """Check the placeholders of one block.

    `spot` is the action or rollback, `finished` are the actions whose outputs are known when it runs, `actions` all of
    the workflow.
    """
    for use in placeholder_uses(body, type_):
        problem = _problem(use.placeholder, finished, actions)
        if problem:
            spot.error("W29", f"{use.placeholder.text} cannot be resolved: {problem}", use.path)
    for path, written in templated_texts(body, type_):
        for odd in _lookalikes(written):
            text = f"{odd} in {path} is no placeholder and stays as it is; placeholders are $(params.NAME), ..."
            spot.warn("N10", text, path)


def _problem(placeholder: Placeholder, finished: Set[str], actions: Set[str]) -> str:
    if placeholder.root == "params" and len(placeholder.path) > 1:
        return f"parameters are texts, write $(params.{placeholder.path[0]})"
    if placeholder.root != "outputs":
        return ""
    names = [".".join(placeholder.path[:length]) for length in range(1, len(placeholder.path) + 1)]
    if any(name in finished for name in names[:-1]):
        return ""
    if any(name in finished for name in names):
        return "the name of an output must follow the action's"
    late = next((name for name in names if name in actions), None)
    if late is not None:
        return f"action '{late}' need not have finished by then; it must come before this one, or be in its dependsOn"
    hint = closest(names[0], actions)
    return f"the workflow has no action '{names[0]}'" + (f", did you mean '{hint}'?" if hint else "")


def _lookalikes(text: str) -> list[str]:
    """What was probably meant to be a placeholder but is none."""
    known = {found.text for found in find(text)}
    odd = (match[0] for match in _LOOKALIKE.finditer(text) if not match[0].startswith("$$"))
    return [word for word in dict.fromkeys(odd) if word not in known]
