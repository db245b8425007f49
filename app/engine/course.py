"""How far each workflow is, kept up while many events are folded: each of them takes as long as what it changes.

Most events concern their own workflow only: something starts in it, or ends and lets the next ones start. To look at
all of its actions for each, and at all stages, would take time by the square of their number.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush

from app.engine.conditions import cancel_requested
from app.engine.definition import Address, RunDefinition, WorkflowDefinition
from app.engine.settle import settle_action, with_progress
from app.engine.tree import replaced, with_stage, with_workflow
from app.models.execution import ActionStatus, DRPlanExecutionStatus, WorkflowExecutionStatus
from app.models.phases import Phase, WorkflowPolicy


@dataclass(slots=True)
class _Course:
    """What is counted of a workflow; `workflow` is the version of it that this is true of."""

    workflow: WorkflowExecutionStatus
    phases: Counter[Phase]
    running: list[int]
    """The actions under way, in the order of the list."""
    unmet: list[int]
    """For each action how many it waits for that have not ended."""

    def take(self, node: WorkflowDefinition, index: int, before: Phase, after: Phase) -> None:
        """Count that an action went on from one phase to another."""
        if before is after:
            return
        self.phases[before] -= 1
        self.phases[after] += 1
        if before is Phase.RUNNING:
            del self.running[bisect_left(self.running, index)]
        if after is Phase.RUNNING:
            insort(self.running, index)
        if after.is_final and not before.is_final:
            for waiting in node.waiting[index]:
                self.unmet[waiting] -= 1


class Courses:
    """The workflows that events have been about, for one run of events over one status."""

    def __init__(self, definition: RunDefinition) -> None:
        self._definition = definition
        self._known: dict[tuple[int, int], _Course] = {}

    def draw(
        self, earlier: DRPlanExecutionStatus, status: DRPlanExecutionStatus, address: Address, at: datetime
    ) -> DRPlanExecutionStatus | None:
        """Return `status`, in which the action at `address` has changed since `earlier`, with what follows from it.

        None when more than its own workflow is concerned: it begins, ends or is bound to fail.
        """
        key = address.stage, address.workflow
        stage = status.stage_statuses[address.stage]
        before = earlier.stage_statuses[address.stage].workflow_executions[address.workflow]
        course = self._known.pop(key, None)
        if before.phase is not Phase.RUNNING or earlier.stage_statuses[address.stage].phase is not Phase.RUNNING:
            return None
        node = self._definition.workflow(address)
        if course is None or course.workflow is not before:
            course = _counted(node, before)
        actions = stage.workflow_executions[address.workflow].action_statuses
        changed = before.action_statuses[address.action].phase, actions[address.action].phase
        if _is_doomed_by(node, course, changed[1]) or (cancel_requested(status) and course.phases[Phase.PENDING]):
            return None
        course.take(node, address.action, *changed)
        settled = self._followed(node, course, actions, address.action, at) if changed[1].is_final else actions
        if settled is None or not (course.phases[Phase.PENDING] or course.running):
            return None
        course.workflow = with_progress(
            self._definition.operation,
            stage.workflow_executions[address.workflow],
            settled,
            current=settled[course.running[0]].name if course.running else "",
            done=course.phases[Phase.SUCCEEDED],
        )
        self._known[key] = course
        return with_stage(status, address.stage, with_workflow(stage, address.workflow, course.workflow))

    def _followed(
        self, node: WorkflowDefinition, course: _Course, actions: tuple[ActionStatus, ...], ended: int, at: datetime
    ) -> tuple[ActionStatus, ...] | None:
        """Return the actions, those settled that waited for one that has ended; None when the workflow is doomed."""
        ends = [(node.place[ended], ended)]
        while ends:
            _, index = heappop(ends)
            for waiting in node.waiting[index]:
                action = actions[waiting]
                may_start = course.unmet[waiting] == 0
                if action.phase is not Phase.PENDING or not (may_start or actions[index].phase is not Phase.SUCCEEDED):
                    continue
                settled = settle_action(self._definition, node, actions, waiting, at, keeps_back=None)
                if settled is action:
                    continue
                if _is_doomed_by(node, course, settled.phase):
                    return None
                actions = replaced(actions, waiting, settled)
                course.take(node, waiting, action.phase, settled.phase)
                heappush(ends, (node.place[waiting], waiting))
        return actions


def _is_doomed_by(node: WorkflowDefinition, course: _Course, phase: Phase) -> bool:
    """Tell whether a failure keeps back what else there is to do in its workflow, and perhaps more than that."""
    if node.policy is not WorkflowPolicy.FAIL_FAST:
        return False
    return phase is Phase.FAILED and (course.phases[Phase.FAILED] == 0 or course.phases[Phase.PENDING] > 0)


def _counted(node: WorkflowDefinition, workflow: WorkflowExecutionStatus) -> _Course:
    actions = workflow.action_statuses
    return _Course(
        workflow,
        Counter(action.phase for action in actions),
        [index for index, action in enumerate(actions) if action.phase is Phase.RUNNING],
        [sum(not actions[earlier].phase.is_final for earlier in each.after) for each in node.actions],
    )
