"""What a run under way says of itself: which action is being repeated, why, and when it is tried next.

The message changes only with events that change the status anyway, so that it costs no write of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.engine.definition import Address, RunDefinition
from app.engine.events import AttemptFailed, CancelRequested, CheckAnswered, Event, RunResumed
from app.engine.text import MESSAGE_LIMIT, cut
from app.engine.tree import running_actions
from app.models.base import rfc3339
from app.models.execution import ActionStatus, DRPlanExecutionStatus
from app.models.phases import Phase

LAST_FAILURE_LIMIT = 512
"""Bytes of the cause that an action keeps of its latest failed attempt."""
_NAME_LIMIT = 128
"""Bytes of each name in the message: the cause must have room beside names as long as Kubernetes has them."""
_TELLING = (AttemptFailed, CancelRequested, CheckAnswered, RunResumed)


def with_live_message(
    definition: RunDefinition, status: DRPlanExecutionStatus, events: Iterable[Event]
) -> DRPlanExecutionStatus:
    """Return `status`, which `events` have led to, with the message that a run under way has."""
    if status.phase is not Phase.RUNNING:
        return status
    if status.message == definition.note and not any(isinstance(event, _TELLING) for event in events):
        return status
    message = live_message(definition, status)
    return status if message == status.message else status.model_copy(update={"message": message})


def live_message(definition: RunDefinition, status: DRPlanExecutionStatus) -> str:
    """Return what there is to say of actions and health checks that are being repeated; without any, the run's note."""
    repeated = [(address, action) for address, action in running_actions(status) if _is_repeated(action)]
    if not repeated:
        return _of_checks(definition, status)
    address, action = min(repeated, key=lambda pair: pair[1].next_attempt_time is None)
    tail = f" ({definition.note})" if definition.note else ""
    if others := len(repeated) - 1:
        tail = f" (and {others} more action{'s are' if others > 1 else ' is'} being repeated){tail}"
    head = f"{_where(definition, address)}: {_course(action)}: "
    room = MESSAGE_LIMIT - len(head.encode()) - len(tail.encode())
    return cut(f"{head}{cut(action.last_failure, room)}{tail}")


def _of_checks(definition: RunDefinition, status: DRPlanExecutionStatus) -> str:
    """Return what there is to say of the health check that was made last and was not healthy."""
    unhealthy = [
        (check.last_attempt_time, index)
        for index, check in enumerate(status.health_checks)
        if check.phase is Phase.RUNNING and check.last_attempt_time is not None and check.healthy_since is None
    ]
    if not unhealthy:
        return definition.note
    check = status.health_checks[max(unhealthy)[1]]
    where = f" of stage {cut(check.stage, _NAME_LIMIT)}" if check.stage else ""
    when = f", the next is at {rfc3339(check.next_attempt_time)}" if check.next_attempt_time else ""
    head = f"health check {cut(check.name, _NAME_LIMIT)}{where}: attempt {check.attempt} failed{when}: "
    tail = f" ({definition.note})" if definition.note else ""
    room = MESSAGE_LIMIT - len(head.encode()) - len(tail.encode())
    return cut(f"{head}{cut(check.last_answer, room)}{tail}")


def _is_repeated(action: ActionStatus) -> bool:
    waits = action.next_attempt_time is not None and not action.undecided
    return waits or (action.attempt > 1 and action.last_failure != "")


def _course(action: ActionStatus) -> str:
    if action.next_attempt_time is None:
        return f"attempt {action.attempt} is under way, attempt {action.attempt - 1} failed"
    return f"attempt {action.attempt} failed, the next try is at {rfc3339(action.next_attempt_time)}"


def _where(definition: RunDefinition, address: Address) -> str:
    stage, workflow = definition.stages[address.stage], definition.workflow(address)
    names = (stage.name, definition.action(address).name, workflow.key)
    return "stage {}, action {} of workflow {}".format(*(cut(name, _NAME_LIMIT) for name in names))
