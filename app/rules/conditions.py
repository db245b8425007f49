"""Conditions of actions (`when`), as far as they are known before a run."""

from __future__ import annotations

from app.engine.when import WhenError, WhenExpression, parse_when
from app.models.actions import Action
from app.models.phases import Mode


def takes_part(action: Action, mode: Mode) -> bool:
    """Whether an action may run in a mode; True where only the run can tell, or the condition cannot be read."""
    if not action.when:
        return True
    try:
        condition = parse_when(action.when)
    except WhenError:
        return True
    return not isinstance(condition, WhenExpression) or not condition.modes or mode.lower() in condition.modes
