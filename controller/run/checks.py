"""The health checks of a run as they are made: with parameters, secrets, a time-out and redaction, as actions have."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from app.engine.definition import CheckDefinition, RunDefinition
from app.engine.durations import format_duration
from app.engine.health import Answer, due
from app.engine.text import redact, single_line
from app.kube.errors import KubeError
from app.models.execution import DRPlanExecutionStatus
from app.models.snapshot import Snapshot
from app.runtime import metrics
from app.runtime.groups import TaskGroup
from app.runtime.logging import get_logger
from controller.actions.base import ActionContext
from controller.actions.health import look
from controller.references import ParameterError, read_secrets
from controller.run.context import context_of, scope_of
from controller.services import Services

log = get_logger(__name__)

OVERTIME = 2.0
"""Seconds beyond a check's time-out until it is given up, if what it is made with does not mind the time itself."""


class Checks:
    """The health checks of one run that are being made; `wake` is called with each answer.

    What a check finds is recorded once it is known. Nothing is lost with a check that is not made to its end.
    """

    def __init__(
        self, services: Services, snapshot: Snapshot, definition: RunDefinition, wake: Callable[[], None]
    ) -> None:
        self._services = services
        self._snapshot = snapshot
        self._definition = definition
        self._wake = wake
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._answers: dict[int, Answer] = {}

    @property
    def in_flight(self) -> Collection[int]:
        """Checks that are being made, or whose answer waits to be recorded."""
        return self._tasks.keys() | self._answers.keys()

    @property
    def answered(self) -> bool:
        """Whether answers wait to be recorded."""
        return bool(self._answers)

    def answers(self) -> Mapping[int, Answer]:
        """Take what checks were answered since the last call."""
        answers, self._answers = self._answers, {}
        return answers

    def begin(self, group: TaskGroup, status: DRPlanExecutionStatus, now: datetime) -> None:
        """Begin the checks that are due."""
        for index in due(self._definition, status, now, self.in_flight).checks:
            check = self._definition.checks[index]
            made = self._make(index, check, status.health_checks[index].attempt + 1)
            self._tasks[index] = group.create_task(made, name=f"health-check/{check.name}")

    def end_needless(self, status: DRPlanExecutionStatus) -> None:
        """End those whose answer does not matter any more."""
        for index, task in list(self._tasks.items()):
            if status.health_checks[index].phase.is_final:
                del self._tasks[index]
                task.cancel()

    def end_all(self) -> None:
        """End them all, because the run has ended or the process does."""
        for task in self._tasks.values():
            task.cancel()

    async def _make(self, index: int, check: CheckDefinition, attempt: int) -> None:
        answer = await make(self._services, self._snapshot, self._definition, check, attempt)
        self._tasks.pop(index, None)
        self._answers[index] = answer
        type_ = "HTTP" if check.body.http is not None else "Resources"
        metrics.health_checks_total.labels(type_, "healthy" if answer.healthy else "unhealthy").inc()
        self._wake()


async def make(
    services: Services, snapshot: Snapshot, definition: RunDefinition, check: CheckDefinition, attempt: int
) -> Answer:
    """Make one attempt of a check and return its answer, whatever happens; it takes no longer than its time-out."""
    secrets: frozenset[str] = frozenset()
    try:
        async with asyncio.timeout(check.timeout.total_seconds() + OVERTIME):
            values = await read_secrets(snapshot.health_secrets, services.bounded)
            secrets = frozenset(values.values())
            answer = await look(check.body, _context(services, snapshot, definition, check, values, attempt))
    except (ParameterError, KubeError) as error:
        answer = Answer(healthy=False, text=single_line(str(error)))
    except TimeoutError:
        answer = Answer(healthy=False, text=f"no answer within {format_duration(check.timeout)}")
    except Exception as error:
        text = redact(f"{type(error).__name__}: {error}", secrets)
        stack = "".join(traceback.format_tb(error.__traceback__))
        log.error("health check failed in an unforeseen way", check=check.name, error=text, stack=stack)
        answer = Answer(healthy=False, text=f"internal error in health check: {text}")
    return Answer(answer.healthy, single_line(redact(answer.text, secrets)))


def _context(
    services: Services,
    snapshot: Snapshot,
    definition: RunDefinition,
    check: CheckDefinition,
    secrets: dict[str, str],
    attempt: int,
) -> ActionContext:
    return context_of(
        services,
        snapshot,
        scope_of(snapshot, definition, snapshot.health_params, secrets),
        stage="" if check.stage is None else definition.stages[check.stage].name,
        workflow_index=0,
        name=check.name,
        namespace=snapshot.execution_namespace,
        attempt=attempt,
        timeout=check.timeout,
        seconds=check.timeout.total_seconds(),
    )
