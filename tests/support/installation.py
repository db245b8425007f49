"""drplan installed on a real control plane: the webhook service and the controller as processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from devcluster import ControlPlane, Profile, register_webhooks, start_controller, start_webhook
from tests.support.cluster import CRDS, Cluster
from tests.support.planes import plane_fixture
from tests.support.site import Site

STEADY_LEASE = ("--lease-duration=12", "--renew-deadline=8", "--retry-period=1")
"""Lease settings for tests that do not kill the leader: a busy machine does not depose it."""
FAST_LEASE = ("--lease-duration=3", "--renew-deadline=2", "--retry-period=0.4", "--write-timeout=2")
"""Lease settings for tests that kill the leader: the next one takes over in three seconds."""
API = "dr.bkbcs.tencent.com/v1alpha1"
FINAL = ("Succeeded", "Failed", "Cancelled")


def http_action(name: str, url: str, method: str = "POST", **more: Any) -> dict[str, Any]:
    """An HTTP action; `http` has further members of its block, the rest are members of the action by wire name."""
    block = {"url": url, "method": method, **more.pop("http", {})}
    return {"name": name, "type": "HTTP", "http": block, **more}


def config_map_action(
    name: str, config_map: str, namespace: str, operation: str = "Create", **more: Any
) -> dict[str, Any]:
    """A KubernetesResource action for one ConfigMap with the data `{by: <action>}`."""
    manifest = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {config_map}\n  namespace: {namespace}\n"
        f"data:\n  by: {name}\n"
    )
    return {
        "name": name,
        "type": "KubernetesResource",
        "resource": {"operation": operation, "manifest": manifest},
        **more,
    }


def workflow(name: str, actions: Sequence[Mapping[str, Any]], **spec: Any) -> dict[str, Any]:
    """A DRWorkflow."""
    return {
        "apiVersion": API,
        "kind": "DRWorkflow",
        "metadata": {"name": name},
        "spec": {"actions": [dict(action) for action in actions], **spec},
    }


def stage(name: str, *workflows: str | Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A stage of a plan; a workflow is a name or a whole WorkflowReference."""
    used = [{"workflowRef": {"name": item}} if isinstance(item, str) else dict(item) for item in workflows]
    return {"name": name, "workflows": used, **more}


def plan(name: str, stages: Sequence[Mapping[str, Any]], **spec: Any) -> dict[str, Any]:
    """A DRPlan."""
    return {
        "apiVersion": API,
        "kind": "DRPlan",
        "metadata": {"name": name},
        "spec": {"stages": [dict(item) for item in stages], **spec},
    }


def execution(name: str, plan_name: str, operation: str = "Execute", **spec: Any) -> dict[str, Any]:
    """A DRPlanExecution."""
    return {
        "apiVersion": API,
        "kind": "DRPlanExecution",
        "metadata": {"name": name},
        "spec": {"planRef": plan_name, "operationType": operation, **spec},
    }


def revert(name: str, plan_name: str, target: str, **spec: Any) -> dict[str, Any]:
    """A DRPlanExecution that takes `target` back."""
    return execution(name, plan_name, "Revert", revertExecutionRef=target, **spec)


class Installation:
    """A cluster with drplan running in it, and the verbs that tests are written in."""

    def __init__(self, cluster: Cluster, site: Site, namespace: str) -> None:
        self.cluster = cluster
        self.site = site
        self.namespace = namespace

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects to the test's namespace."""
        self.cluster.apply([dict(obj) for obj in objects], namespace=self.namespace)

    def kubectl(self, *arguments: str, check: bool = True, **more: Any) -> Any:
        """Run kubectl in the test's namespace."""
        return self.cluster.kubectl(*arguments, namespace=self.namespace, check=check, **more)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object by the API itself, without kubectl's start-up time."""
        paths = {
            "drw": f"/apis/{API}/namespaces/{self.namespace}/drworkflows/{name}",
            "drp": f"/apis/{API}/namespaces/{self.namespace}/drplans/{name}",
            "drpe": f"/apis/{API}/namespaces/{self.namespace}/drplanexecutions/{name}",
            "cm": f"/api/v1/namespaces/{self.namespace}/configmaps/{name}",
            "job": f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name}",
        }
        found = self.cluster.api.get(paths[kind])
        assert isinstance(found, dict)
        return found

    def exists(self, kind: str, name: str) -> bool:
        """Whether an object exists."""
        return bool(self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").stdout.strip())

    def status(self, name: str) -> dict[str, Any]:
        """The status of an execution."""
        found = self.get("drpe", name).get("status") or {}
        assert isinstance(found, dict)
        return found

    def wait(self, what: Callable[[], Any], timeout: float = 30.0, message: str = "") -> Any:
        """Wait until `what()` is true; return it."""
        deadline = time.monotonic() + timeout
        while not (found := what()):
            if time.monotonic() > deadline:
                raise AssertionError(message or f"not within {timeout} s")
            time.sleep(0.05)
        return found

    def wait_phase(self, name: str, *phases: str, timeout: float = 40.0) -> dict[str, Any]:
        """Wait until an execution is in one of `phases` (any terminal one when none is given); return its status."""
        wanted = phases or FINAL
        deadline = time.monotonic() + timeout
        while True:
            status = self.status(name)
            if status.get("phase") in wanted:
                return status
            if status.get("phase") in FINAL or time.monotonic() > deadline:
                raise AssertionError(
                    f"execution {name} is {status.get('phase')} ({status.get('progress')}), "
                    f"expected {wanted}: {status.get('message')}"
                )
            time.sleep(0.05)

    def run(self, name: str, plan_name: str, *phases: str, timeout: float = 40.0, **spec: Any) -> dict[str, Any]:
        """Create an Execute execution and wait for it (for Succeeded when no phase is given); return its status."""
        self.apply(execution(name, plan_name, **spec))
        return self.wait_phase(name, *(phases or ("Succeeded",)), timeout=timeout)

    def take_back(
        self, name: str, plan_name: str, target: str, *phases: str, timeout: float = 40.0, **spec: Any
    ) -> dict[str, Any]:
        """Create a Revert execution and wait for it; return its status."""
        self.apply(revert(name, plan_name, target, **spec))
        return self.wait_phase(name, *(phases or ("Succeeded",)), timeout=timeout)

    def plan_status(self, name: str) -> dict[str, Any]:
        """The status of a plan."""
        found = self.get("drp", name).get("status") or {}
        assert isinstance(found, dict)
        return found

    def wait_unlocked(self, name: str, timeout: float = 20.0) -> dict[str, Any]:
        """Wait until no execution owns the plan; return its status."""
        self.wait(lambda: "currentExecution" not in self.plan_status(name), timeout, f"plan {name} stays locked")
        return self.plan_status(name)


def actions_of(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every action of a status, in its order."""
    return [
        action
        for stage_status in status.get("stageStatuses", ())
        for workflow_status in stage_status.get("workflowExecutions", ())
        for action in workflow_status.get("actionStatuses", ())
    ]


def phases_of(status: Mapping[str, Any]) -> dict[str, str]:
    """Phase of every action by name."""
    return {action["name"]: action["phase"] for action in actions_of(status)}


def check_summary(status: Mapping[str, Any]) -> None:
    """Assert that the summary counts what the lists say, and that each level adds up (invariant 9)."""
    summary = status["summary"]
    stages = status["stageStatuses"]
    workflows = [workflow_status for item in stages for workflow_status in item["workflowExecutions"]]
    levels = {"Stages": stages, "Workflows": workflows, "Actions": actions_of(status)}
    for level, nodes in levels.items():
        assert summary.get(f"total{level}", 0) == len(nodes)
        for word, phase in (
            ("running", "Running"),
            ("pending", "Pending"),
            ("failed", "Failed"),
            ("skipped", "Skipped"),
            ("cancelled", "Cancelled"),
        ):
            assert summary.get(f"{word}{level}", 0) == sum(node["phase"] == phase for node in nodes), (level, word)
        succeeded = sum(node["phase"] == "Succeeded" for node in nodes)
        assert summary.get("succeededActions" if level == "Actions" else f"completed{level}", 0) == succeeded
    ended = sum(action["phase"] in (*FINAL, "Skipped") for action in actions_of(status))
    assert summary.get("completedActions", 0) == ended
    assert status["progress"] == f"{summary.get('succeededActions', 0)}/{len(actions_of(status))}"


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The site that plans of this test process act on. Paths are shared: begin them with the test's namespace."""
    with Site().serving() as running:
        yield running


def _installed(profile: Profile) -> Iterator[Cluster]:
    with ControlPlane(profile) as plane:
        plane.api.install_crds(CRDS)
        plane.install_clusternet()
        register_webhooks(plane, start_webhook(plane))
        start_controller(plane, arguments=STEADY_LEASE)
        yield Cluster(plane)


@plane_fixture(scope="session", split=True)
def installed() -> Iterator[Cluster]:
    """A minimal control plane of its own, with webhook service and controller running."""
    yield from _installed("minimal")


@plane_fixture(scope="session")
def full_installed() -> Iterator[Cluster]:
    """A full control plane of its own, with webhook service and controller running."""
    yield from _installed("full")


@pytest.fixture
def drplan(installed: Cluster, site: Site) -> Installation:
    """drplan on the minimal control plane, with a new namespace."""
    return Installation(installed, site, installed.namespace())


@pytest.fixture
def full_drplan(full_installed: Cluster, site: Site) -> Installation:
    """drplan on the full control plane, where Jobs run and namespaces can be deleted, with a new namespace."""
    return Installation(full_installed, site, full_installed.namespace())
