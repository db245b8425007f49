"""What the catalogue says about a rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """What a finding means."""

    ERROR = "error"
    """The object is refused."""
    WARNING = "warning"
    """The user is told, nothing is refused."""


class Checked(StrEnum):
    """Who can check a rule."""

    EVERYWHERE = "admission, lint"
    CLUSTER = "admission"
    """It takes the state of the cluster."""
    FILES = "lint"
    """The API server itself takes care of it, before or instead of admission, or it is about files."""


WORKFLOW: Final = "DRWorkflow"
PLAN: Final = "DRPlan"
EXECUTION: Final = "DRPlanExecution"
ANY: Final = "all kinds"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    id: str
    """Stable; never given to another rule."""
    kind: str
    """What it is about."""
    checks: str
    """What must hold (errors), or what is noticed (warnings)."""
    example: str
    """A message as users see it."""
    severity: Severity = Severity.ERROR
    checked: Checked = Checked.EVERYWHERE
