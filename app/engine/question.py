"""What an operator is asked while a run stands still because nobody knows whether something was done."""

from __future__ import annotations

from datetime import datetime

from app.engine import messages
from app.engine.definition import Address
from app.engine.events import ActionFinished, Event, RunResumed
from app.engine.text import cut
from app.engine.tree import running_actions
from app.models.execution import ActionStatus, DRPlanExecutionStatus
from app.models.names import CANCEL_ANNOTATION, RESUME_ANNOTATION
from app.models.phases import Phase

AGAIN = "true"
"""Answer: go on; what is undecided is done again."""
DONE = "done"
"""Answer: go on; what is undecided was done."""
ANSWERS = (AGAIN, DONE)
_SHOWN = 400
"""Bytes of the question that tell what is undecided; the commands must still fit."""


def undecided_actions(status: DRPlanExecutionStatus) -> list[tuple[Address, ActionStatus]]:
    """Return the actions about which an operator is asked."""
    return [(address, action) for address, action in running_actions(status) if action.undecided]


def question(status: DRPlanExecutionStatus, namespace: str, name: str) -> str:
    """Return what an operator is asked about the undecided actions of an execution, with the commands that answer."""
    told = "; ".join(f"action {action.name}: {action.message}" for _, action in undecided_actions(status))
    annotate = f"kubectl annotate drpe {name} -n {namespace}"
    return (
        f"{cut(told, _SHOWN)}. It must not be done twice, so look whether it was done, then answer: "
        f"{annotate} {RESUME_ANNOTATION}={DONE} if it was, {RESUME_ANNOTATION}={AGAIN} to do it now, or "
        f"{CANCEL_ANNOTATION}=true to cancel"
    )


def answered(status: DRPlanExecutionStatus, answer: str, at: datetime) -> list[Event]:
    """Return the events by which a run of phase Unknown goes on."""
    asked = undecided_actions(status) if answer == DONE else []
    events: list[Event] = [RunResumed(at)]
    events += [
        ActionFinished(at, address, Phase.SUCCEEDED, cut(messages.taken_as_done(action.message)), action.outputs)
        for address, action in asked
    ]
    return events
