"""Whether the controller may do what a plan asks for, both ways: it asks the API server, and a condition tells.

It is asked beside the validation of plans, never by a start: a run finds out by itself, and a disaster is no time to be
held up by a question. Answers are kept for a while, and the number of questions about one plan is bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachetools import TTLCache

from app.engine.conditions import set_condition
from app.kube.access import Right, ask_own_access
from app.kube.client import KubeClient
from app.kube.errors import KubeError, UnknownKind
from app.models.meta import ConditionStatus
from app.models.names import CONDITION_AUTHORIZED
from app.models.plan import DRPlan, DRPlanStatus
from app.rules.rights import Needed, rights_needed
from app.rules.run import Workflows
from app.runtime.logging import get_logger
from controller.lanes import Key
from controller.services import Services

log = get_logger(__name__)

RECHECK_SECONDS = 600.0
"""Until the rights of a plan are asked for again that has not changed."""
LACKING_SECONDS = 60.0
"""The same, while some lack: somebody may be granting them."""
_MOST_ANSWERS = 10_000
_ANSWER_SECONDS = 45.0
_MOST_TOLD = 10
"""Rights that the condition names."""
_REVIEW_SECONDS = 5.0
_GRANTED = "The controller may do what the plan's actions and their rollbacks need"


@dataclass(frozen=True, slots=True)
class Lacking:
    """A right that the controller does not have, and what needs it."""

    right: Right
    needed: Needed

    def __str__(self) -> str:
        return f"{self.right} (needed by {self.needed.action})"


class PlanRights:
    """Keeps the condition `Authorized` of plans. It appears when a right lacks, and says so when none does any more."""

    def __init__(self, kube: KubeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._answers: TTLCache[Right, bool] = TTLCache(_MOST_ANSWERS, _ANSWER_SECONDS, timer=clock)
        self._due: dict[Key, tuple[tuple[str, ...], float]] = {}

    def forget(self, key: Key) -> None:
        """Forget a plan that is gone."""
        self._due.pop(key, None)

    def seconds_until(self, key: Key, version: tuple[str, ...]) -> float:
        """Return in how many seconds a plan is to be looked at; 0 when it or a workflow of it has changed."""
        known, due = self._due.get(key, ((), 0.0))
        return max(0.0, due - self._clock()) if known == version else 0.0

    async def lacking(self, key: Key, version: tuple[str, ...], plan: DRPlan, workflows: Workflows) -> list[Lacking]:
        """Return which of the rights that a plan needs the controller does not have. Raises KubeError."""
        found = []
        self._due[key] = (version, self._clock() + RECHECK_SECONDS)
        for needed in await asyncio.to_thread(rights_needed, plan, workflows):
            right = await self._right(needed)
            if right is not None and not await self._may(right):
                found.append(Lacking(right, needed))
        if found:
            self._due[key] = (version, self._clock() + LACKING_SECONDS)
        return found

    async def _right(self, needed: Needed) -> Right | None:
        """Return what is asked for; None for a kind that is not served: the run may bring it."""
        try:
            resource = await self._kube.resource_for(needed.api_version, needed.kind)
        except UnknownKind:
            return None
        return Right(needed.verb, resource, needed.namespace if resource.namespaced else "", needed.name)

    async def _may(self, right: Right) -> bool:
        if right not in self._answers:
            self._answers[right] = (await ask_own_access(self._kube, right, timeout=_REVIEW_SECONDS)).allowed
        return self._answers[right]


def with_authorized(
    status: DRPlanStatus, lacking: Sequence[Lacking], services: Services, generation: int
) -> DRPlanStatus:
    """Return a plan's status with what is known of the controller's rights; itself when there was never one lacking."""
    old = next((condition for condition in status.conditions if condition.type == CONDITION_AUTHORIZED), None)
    if not lacking and old is None:
        return status
    judged: ConditionStatus = "False" if lacking else "True"
    reason, told = ("RightsLacking", _told(lacking)) if lacking else ("RightsGranted", _GRANTED)
    conditions = set_condition(
        status.conditions, CONDITION_AUTHORIZED, judged, reason, told, services.now(), generation
    )
    return status.model_copy(update={"conditions": conditions})


def _told(lacking: Sequence[Lacking]) -> str:
    more = f", and {len(lacking) - _MOST_TOLD} more" if len(lacking) > _MOST_TOLD else ""
    named = "; ".join(map(str, lacking[:_MOST_TOLD]))
    return f"The controller may not: {named}{more}; grant it (docs/security.md, What the controller may do)"


def tell_unasked(plan: Key, error: KubeError) -> None:
    """Say in the log that rights could not be asked for; the plan is none the worse for it."""
    log.warning("rights of a plan could not be asked for", plan="/".join(plan), error=str(error))
