"""Ending a run that cannot be taken up again, without losing what it recorded."""

from __future__ import annotations

from datetime import datetime

from app.engine import messages
from app.engine.cause import Cause
from app.engine.fold import end_run
from app.engine.health import all_closed
from app.engine.tree import Node, ended, map_actions, map_stages, map_workflows
from app.models.execution import DRPlanExecutionStatus
from app.models.failures import FailureReason
from app.models.phases import Phase
from app.models.reasons import NodeReason


def abandoned(status: DRPlanExecutionStatus, why: str, at: datetime) -> DRPlanExecutionStatus:
    """Return `status` as Failed: what ran is Failed because nobody knows how it ended, what never began is Skipped."""

    def lost(node: Node) -> Node:
        if node.phase.is_final:
            return node
        never_began = node.phase is Phase.PENDING
        phase, message = (Phase.SKIPPED, messages.kept_back(why)) if never_began else (Phase.FAILED, why)
        return ended(node, phase, message, at, reason=NodeReason.RUN_LOST)

    status = map_actions(status, lambda _, action: lost(action))
    status = map_stages(map_workflows(status, lost), lost)
    checks = all_closed(status.health_checks, Cause(NodeReason.RUN_LOST, why), at)
    status = status.model_copy(update={"health_checks": checks})
    return end_run(status, Phase.FAILED, why, at, reason=FailureReason.RUN_LOST)
