"""Every rule that is checked anywhere, with its id: what admission, reconcilers and `drplan lint` may complain about.

`docs/rules.md` is generated from this list, and tests compare it with the ids that the code raises.
"""

from __future__ import annotations

from typing import Final

from app.rules.catalogue.access import ACCESS
from app.rules.catalogue.executions import EXECUTIONS
from app.rules.catalogue.files import SCHEMA
from app.rules.catalogue.notices import NOTICES
from app.rules.catalogue.plans import PLANS
from app.rules.catalogue.rule import Checked, Rule, Severity
from app.rules.catalogue.workflows import WORKFLOWS

__all__ = ["CATALOGUE", "RULES", "Checked", "Rule", "Severity"]

CATALOGUE: Final[tuple[Rule, ...]] = (*WORKFLOWS, *PLANS, *EXECUTIONS, *ACCESS, *NOTICES, *SCHEMA)
"""All rules, grouped and in the order of their numbers."""

RULES: Final[dict[str, Rule]] = {rule.id: rule for rule in CATALOGUE}
"""The rules by id."""
