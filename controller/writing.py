"""How an attempt writes objects: field manager, strictness, what becomes of the API server's warnings (decision A9)."""

from __future__ import annotations

from dataclasses import replace

from app.engine.definition import Forward, RollBack
from app.engine.names import field_manager
from app.engine.outcome import NothingToDo, Outcome
from app.engine.text import single_line
from app.kube.bounded import Writing
from app.models.actions import ActionType
from app.models.execution import ActionOutputs

MOST_WARNINGS = 3
"""Warnings of one attempt that are told; a policy may warn about every object of a manifest."""
LONGEST_WARNING = 200
"""Characters of one."""

_STRICT = (ActionType.KUBERNETES_RESOURCE, ActionType.JOB)
"""Types whose objects are the author's own words. Fields of Clusternet's kinds that its release does not know warn."""


class Warnings:
    """The API server's warnings about the writes of one attempt."""

    def __init__(self) -> None:
        self._heard: dict[str, None] = {}

    def hear(self, text: str) -> None:
        """Take a warning; each counts once."""
        if len(self._heard) < MOST_WARNINGS:
            self._heard.setdefault(single_line(text)[:LONGEST_WARNING])

    def with_warnings(self, outcome: Outcome) -> Outcome:
        """Return `outcome` with the warnings in its message and its outputs, from where they get into an Event."""
        if not self._heard or isinstance(outcome, NothingToDo):
            return outcome
        outputs = (outcome.outputs or ActionOutputs()).model_copy(update={"warnings": tuple(self._heard)})
        text = "; ".join(f"warning: {text}" for text in self._heard)
        return replace(outcome, message=f"{outcome.message} ({text})", outputs=outputs)


def writing_of(step: Forward | RollBack, *, plan: str, stage: str, index: int, action: str, heard: Warnings) -> Writing:
    """Return how an attempt of `step` writes; `plan` is namespace/name, `index` that of the workflow in its stage.

    A rollback writes as the action it takes back. What it puts back is as it was, however strict the server is today.
    """
    if isinstance(step, RollBack):
        manager = field_manager(plan, step.stage, step.workflow_index, action)
        if not step.custom:
            return Writing(manager, "Ignore", heard.hear)
    else:
        manager = field_manager(plan, stage, index, action)
    validation = step.body.field_validation or ("Strict" if step.type in _STRICT else "Warn")
    return Writing(manager, validation, heard.hear)
