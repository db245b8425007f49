"""Plans and checks that several acceptance tests share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from app.engine.durations import parse_duration
from devcluster.services import ServiceProcess
from tests.support.installation import (
    FINAL,
    Installation,
    actions_of,
    config_map_action,
    http_action,
    plan,
    stage,
    workflow,
)

CLUSTERNET = "/apis/apps.clusternet.io/v1alpha1"
FEED = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "nginx"}
NO_RETRY = {"limit": 0}
SECOND = timedelta(seconds=1)


def controller_of(drplan: Installation) -> ServiceProcess:
    """The controller's process."""
    services = drplan.cluster.plane.services
    return next(each for each in services if isinstance(each, ServiceProcess) and each.name == "controller")


@contextmanager
def without_controller(drplan: Installation) -> Iterator[None]:
    """Have no controller running inside the block, and a new one afterwards."""
    controller = controller_of(drplan)
    controller.stop()
    try:
        yield
    finally:
        controller.start()
        controller.wait_ready()


def localization_action(name: str, localization: str, namespace: str) -> dict[str, Any]:
    """A Localization action."""
    block = {"name": localization, "namespace": namespace, "spec": {"feed": FEED, "priority": 600}}
    return {"name": name, "type": "Localization", "localization": block}


def globalization_action(name: str, globalization: str) -> dict[str, Any]:
    """A Globalization action."""
    return {"name": name, "type": "Globalization", "globalization": {"name": globalization, "spec": {"feed": FEED}}}


def helm_chart_action(name: str, chart: str, namespace: str) -> dict[str, Any]:
    """A HelmChart action."""
    spec = {"repo": "https://charts.example.invalid", "chart": "nginx", "targetNamespace": "web"}
    return {"name": name, "type": "HelmChart", "helmChart": {"name": chart, "namespace": namespace, "spec": spec}}


def subscription_action(name: str, subscription: str, namespace: str) -> dict[str, Any]:
    """A Subscription action."""
    spec = {"feeds": [FEED], "subscribers": [{"clusterAffinity": {"matchLabels": {"site": "b"}}}]}
    block = {"name": subscription, "namespace": namespace, "spec": spec}
    return {"name": name, "type": "Subscription", "subscription": block}


def undone_by_http(name: str, url: str, **more: Any) -> dict[str, Any]:
    """An HTTP action with an HTTP rollback at `<url>/undo`."""
    rollback = {"type": "HTTP", "http": {"url": f"{url}/undo", "method": "DELETE"}, "retryPolicy": NO_RETRY}
    return http_action(name, url, rollback=rollback, **more)


def small_plan(drplan: Installation, name: str = "p") -> None:
    """A plan with one HTTP action that has a rollback, and one ConfigMap `<name>-made`; waits until it is valid."""
    url = f"{drplan.site.url}/{drplan.namespace}/{name}"
    made = config_map_action("make", f"{name}-made", drplan.namespace)
    drplan.apply(
        workflow(f"{name}-w", [undone_by_http("switch", url), made]),
        plan(name, [stage("only", f"{name}-w")]),
    )
    wait_valid(drplan, name)


def wait_valid(drplan: Installation, name: str) -> None:
    """Wait until a plan has been validated."""
    drplan.wait(lambda: drplan.plan_status(name).get("phase") in ("Ready", "Executed"), message=f"plan {name}")


def check_times(node: Mapping[str, Any], where: str) -> None:
    """Assert startTime, completionTime and duration of one node of a status, and that they agree (AC2, decision D4)."""
    for member in ("startTime", "completionTime", "duration"):
        assert node.get(member), f"{where} has no {member}: {node}"
    start, end = (datetime.fromisoformat(node[member]) for member in ("startTime", "completionTime"))
    duration = parse_duration(node["duration"])
    assert end - start - SECOND <= duration <= end - start + SECOND, f"{where}: {node}"


def check_tracked(status: Mapping[str, Any]) -> None:
    """Assert that an ended execution says of everything in it how it ended, when, and after what time."""
    assert status["phase"] in FINAL
    assert status["message"]
    check_times(status, "execution")
    for stage_status in status["stageStatuses"]:
        where = stage_status["name"]
        assert stage_status["phase"] in (*FINAL, "Skipped"), where
        check_times(stage_status, where)
        assert stage_status["workflowExecutions"], where
        for workflow_status in stage_status["workflowExecutions"]:
            inner = f"{where}/{workflow_status['workflowRef']['name']}"
            assert workflow_status["workflowRef"]["namespace"], inner
            assert workflow_status["phase"] in (*FINAL, "Skipped"), inner
            assert workflow_status["message"], inner
            assert workflow_status["progress"], inner
            assert "currentAction" not in workflow_status, inner
            check_times(workflow_status, inner)
            assert workflow_status["actionStatuses"], inner
    for action in actions_of(status):
        assert action["phase"] in (*FINAL, "Skipped"), action
        assert action["message"], action
        assert action["type"], action
        check_times(action, action["name"])


def outline(status: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Names of stages, workflows and actions of a status, in its order."""
    return [
        (
            stage_status["name"],
            [
                (workflow_status["workflowRef"]["name"], [action["name"] for action in actions_in(workflow_status)])
                for workflow_status in stage_status["workflowExecutions"]
            ],
        )
        for stage_status in status["stageStatuses"]
    ]


def actions_in(workflow_status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The actions of one workflow of a status."""
    found = workflow_status["actionStatuses"]
    assert isinstance(found, list)
    return found


def messages_of(status: Mapping[str, Any]) -> dict[str, str]:
    """Message of every action by name."""
    return {action["name"]: action["message"] for action in actions_of(status)}


def stage_of(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One stage of a status."""
    return next(item for item in status["stageStatuses"] if item["name"] == name)


def conditions_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """Status of every condition by type."""
    return {condition["type"]: condition["status"] for condition in obj.get("conditions", ())}


def put_status(drplan: Installation, plural: str, name: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Store a status as it is, by PUT."""
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/{plural}/{name}"
    stored = drplan.cluster.api.get(path)
    answer = drplan.cluster.api.request("PUT", f"{path}/status", {**stored, "status": dict(status)})
    assert isinstance(answer, dict)
    return answer
