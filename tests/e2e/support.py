"""What the end-to-end tests share: objects by POST instead of kubectl, nodes of a status by name, actions' events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.installation import (
    API,
    Installation,
    config_map_action,
    execution,
    http_action,
    plan,
    stage,
    workflow,
)
from tests.support.site import Call

NO_RETRY = {"limit": 0}
CANCEL = "dr.bkbcs.tencent.com/cancel"
CLUSTERNET = "apps.clusternet.io/v1alpha1"
_PLURALS = {
    "DRWorkflow": "drworkflows",
    "DRPlan": "drplans",
    "DRPlanExecution": "drplanexecutions",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Job": "jobs",
    "Localization": "localizations",
    "Globalization": "globalizations",
    "HelmChart": "helmcharts",
    "Subscription": "subscriptions",
}
_CLUSTER_SCOPED = ("Globalization",)


def path_of(api_version: str, kind: str, namespace: str, name: str = "") -> str:
    """The address of an object, or of its collection."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    place = "" if kind in _CLUSTER_SCOPED else f"/namespaces/{namespace}"
    return f"{root}{place}/{_PLURALS[kind]}{f'/{name}' if name else ''}"


def create(drplan: Installation, *objects: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Create objects by POST, in this order; return them as stored."""
    return [
        drplan.cluster.api.request("POST", path_of(obj["apiVersion"], obj["kind"], drplan.namespace), dict(obj))
        for obj in objects
    ]


def create_together(drplan: Installation, objects: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Create objects by POST, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        return [found for [found] in pool.map(lambda obj: create(drplan, obj), objects)]


def attempt_together(drplan: Installation, objects: Sequence[Mapping[str, Any]]) -> list[int]:
    """POST all objects at the same moment; return the HTTP statuses."""

    def post(obj: Mapping[str, Any]) -> int:
        path = path_of(obj["apiVersion"], obj["kind"], drplan.namespace)
        return drplan.cluster.api.raw("POST", path, dict(obj))[0]

    with ThreadPoolExecutor(len(objects)) as pool:
        return list(pool.map(post, objects))


def read(drplan: Installation, kind: str, name: str, api_version: str = CLUSTERNET) -> dict[str, Any] | None:
    """One object, or None when there is none."""
    status, _ = drplan.cluster.api.raw("GET", path := path_of(api_version, kind, drplan.namespace, name))
    return drplan.cluster.api.request("GET", path) if status != 404 else None


def remove(drplan: Installation, kind: str, name: str, api_version: str = API) -> None:
    """Delete an object."""
    drplan.cluster.api.request("DELETE", path_of(api_version, kind, drplan.namespace, name))


def merge(drplan: Installation, kind: str, name: str, patch: Mapping[str, Any], api_version: str = API) -> None:
    """Change an object by a merge patch."""
    path = path_of(api_version, kind, drplan.namespace, name)
    drplan.cluster.api.request("PATCH", path, dict(patch), content_type="application/merge-patch+json")


def cancel(drplan: Installation, name: str) -> None:
    """Ask for the cancel of an execution."""
    merge(drplan, "DRPlanExecution", name, {"metadata": {"annotations": {CANCEL: "true"}}})


def run_with_a_held_rollback(drplan: Installation) -> None:
    """Run plan p as e: a ConfigMap `made`, then a call `on`, whose rollback `/NAMESPACE/off` waits at the site."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"/{ns}/off")
    call = http_action("on", f"{url}/on", rollback={"http": {"url": f"{url}/off"}})
    made = config_map_action("made", "made", ns)
    create(drplan, workflow("w", [made, call]), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")


def config_map(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)}


def stage_of(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The stage of a status by name."""
    [found] = [item for item in status["stageStatuses"] if item["name"] == name]
    assert isinstance(found, dict)
    return found


def action_of(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The only action of a status by that name."""
    [found] = [
        action
        for stage_status in status["stageStatuses"]
        for workflow_status in stage_status["workflowExecutions"]
        for action in workflow_status["actionStatuses"]
        if action["name"] == name
    ]
    assert isinstance(found, dict)
    return found


def events_of(drplan: Installation, execution: str) -> list[tuple[str, str, str]]:
    """Type, reason and note of the Kubernetes Events about an execution, in order of their time."""
    found = drplan.cluster.api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{drplan.namespace}/events")["items"]
    about = [event for event in found if event["regarding"]["name"] == execution]
    about.sort(key=lambda event: event["eventTime"])
    return [(event["type"], event["reason"], event["note"]) for event in about]


def snapshots_of(drplan: Installation, uid: str) -> list[dict[str, Any]]:
    """The ConfigMaps in the controller's namespace that mention the run of `uid`, journal segments left out."""
    found = drplan.cluster.api.request("GET", "/api/v1/namespaces/drplan-system/configmaps")["items"]
    return [item for item in found if not item["metadata"]["name"].startswith("drplan-journal-") and uid in str(item)]


def header(call: Call, name: str) -> str:
    """The value of a header, whose name has no case."""
    [value] = [value for key, value in call.headers.items() if key.lower() == name.lower()]
    return value


def names(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of nodes of a status, in its order."""
    return [item["name"] for item in items]
