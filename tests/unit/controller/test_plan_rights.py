"""When the controller asks for its rights, what it makes of the answers, and how it is told."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from app.kube.client import KubeClient
from app.kube.errors import UnknownKind
from app.kube.resources import CONFIG_MAPS, SELF_SUBJECT_ACCESS_REVIEWS, Resource
from app.models.plan import DRPlan, DRPlanStatus
from app.models.workflow import DRWorkflow
from controller.plans.rights import LACKING_SECONDS, RECHECK_SECONDS, PlanRights, with_authorized
from controller.services import Services

KEY = ("ns", "p")
AT = datetime(2026, 1, 1, tzinfo=UTC)
SERVICES = cast("Services", SimpleNamespace(now=lambda: AT))


class Server:
    """An API server that grants some verbs."""

    def __init__(self, *verbs: str) -> None:
        self.verbs = set(verbs)
        self.asked: list[dict[str, Any]] = []

    async def resource_for(self, _: str, kind: str) -> Resource:
        if kind != "ConfigMap":
            raise UnknownKind(f"serves no kind {kind!r}")
        return CONFIG_MAPS

    async def create(self, resource: Resource, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        assert resource == SELF_SUBJECT_ACCESS_REVIEWS
        asked = body["spec"]["resourceAttributes"]
        self.asked.append(asked)
        return {"status": {"allowed": asked["verb"] in self.verbs}}


def plan_of(kind: str = "ConfigMap") -> tuple[DRPlan, dict[tuple[str, str], DRWorkflow | None]]:
    manifest = f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: c}}\n"
    action = {"name": "a", "type": "KubernetesResource", "resource": {"operation": "Apply", "manifest": manifest}}
    workflow = DRWorkflow.from_wire({"metadata": {"name": "w", "namespace": "ns"}, "spec": {"actions": [action]}})
    stage = {"name": "s", "workflows": [{"workflowRef": {"name": "w"}}]}
    plan = DRPlan.from_wire({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"stages": [stage]}})
    return plan, {("ns", "w"): workflow}


async def test_what_lacks_is_named_and_asked_for_again_sooner() -> None:
    now = [0.0]
    server = Server("get", "create", "delete")
    rights = PlanRights(cast("KubeClient", server), clock=lambda: now[0])
    version = ("1",)
    assert rights.seconds_until(KEY, version) == 0
    (lacking,) = await rights.lacking(KEY, version, *plan_of())
    assert str(lacking) == 'patch configmaps "c" in namespace ns (needed by workflow ns/w, action a)'
    assert rights.seconds_until(KEY, version) == LACKING_SECONDS
    assert rights.seconds_until(KEY, ("2",)) == 0, "it has changed"
    count = len(server.asked)
    await rights.lacking(("ns", "other"), version, *plan_of())
    assert len(server.asked) == count, "the answers are known"
    server.verbs.add("patch")
    now[0] += LACKING_SECONDS
    assert rights.seconds_until(KEY, version) == 0
    assert await rights.lacking(KEY, version, *plan_of()) == []
    assert rights.seconds_until(KEY, version) == RECHECK_SECONDS
    rights.forget(KEY)
    assert rights.seconds_until(KEY, version) == 0


async def test_a_kind_that_is_not_served_is_not_asked_for() -> None:
    server = Server()
    assert await PlanRights(cast("KubeClient", server)).lacking(KEY, (), *plan_of("Gadget")) == []
    assert server.asked == []


async def test_the_condition_appears_with_the_first_lack_and_says_when_it_is_over() -> None:
    status = DRPlanStatus()
    assert with_authorized(status, [], SERVICES, 3) is status
    lacking = await PlanRights(cast("KubeClient", Server())).lacking(KEY, (), *plan_of())
    told = with_authorized(status, lacking * 4, SERVICES, 3)
    (condition,) = told.conditions
    assert (condition.type, condition.status, condition.reason) == ("Authorized", "False", "RightsLacking")
    assert condition.message.startswith('The controller may not: get configmaps "c" in namespace ns (needed by ')
    assert ", and 6 more; grant it" in condition.message
    assert condition.observed_generation == 3
    (condition,) = with_authorized(told, [], SERVICES, 4).conditions
    assert (condition.status, condition.reason) == ("True", "RightsGranted")
