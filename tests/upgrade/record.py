"""`python -m tests.upgrade.record`: store what this release leaves behind in every phase, for later ones to take over.

Runs every kind of run on a real control plane, kills the controller in the midst of some, and writes all objects to
`tests/upgrade/fixtures/VERSION`. Do so once for a release, and keep the files as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.runtime.build import this_build
from devcluster import ControlPlane, register_webhooks, start_controller, start_webhook
from tests.crash.harness import JOURNAL_SELECTOR, OWN
from tests.support.cluster import CRDS, Cluster
from tests.support.installation import (
    API,
    FAST_LEASE,
    Installation,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Site
from tests.upgrade.stored import FIXTURES, NAMESPACE, save

NOBODY = "http://127.0.0.1:9/"
"""Nobody listens there: a rollback that calls it waits for its next attempt."""
HEAD = f"/api/v1/namespaces/{OWN}/configmaps/drplan-journalhead"


def waits(name: str) -> list[dict[str, Any]]:
    """A workflow that makes one object, and waits until another one is ready."""
    more = {"waitReady": True, "readyWhen": "has(object.data.go)", "timeout": "87600h"}
    return [
        config_map_action("first", f"{name}-first", NAMESPACE),
        config_map_action("wait", f"{name}-wait", NAMESPACE, "Apply", **more),
    ]


def make_ready(cluster: Cluster, name: str) -> None:
    """Let the wait of a run end."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}-wait"
    cluster.api.request("PATCH", path, {"data": {"go": "1"}}, "application/merge-patch+json")


def annotate(cluster: Cluster, name: str, verb: str) -> None:
    """Tell an execution to `resume` or to `cancel`."""
    path = f"/apis/{API}/namespaces/{NAMESPACE}/drplanexecutions/{name}"
    body = {"metadata": {"annotations": {f"dr.bkbcs.tencent.com/{verb}": "true"}}}
    cluster.api.request("PATCH", path, body, "application/merge-patch+json")


def record(folder: Path) -> None:
    """Bring runs into every phase, end the controller, and write everything down."""
    with Site().serving() as site, ControlPlane("minimal") as plane:
        plane.api.install_crds(CRDS)
        plane.install_clusternet()
        register_webhooks(plane, start_webhook(plane))
        plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        controller = start_controller(plane, arguments=FAST_LEASE)
        cluster = Cluster(plane)
        drplan = Installation(cluster, site, NAMESPACE)
        _plans(drplan)
        _begun(drplan, "asks")
        controller.kill9()
        for item in plane.api.get(f"/api/v1/namespaces/{OWN}/configmaps?labelSelector={JOURNAL_SELECTOR}")["items"]:
            plane.api.raw("DELETE", f"/api/v1/namespaces/{OWN}/configmaps/{item['metadata']['name']}")
        plane.api.raw("DELETE", HEAD)
        controller.start().wait_ready()
        drplan.wait_phase("asks", "Unknown")
        _ended(drplan)
        for name in ("runs", "deleted"):
            _begun(drplan, name)
        controller.kill9()
        drplan.apply(execution("pending", "pending"))
        drplan.kubectl("delete", "drpe", "deleted", "--wait=false")
        save(plane, folder)


def _plans(drplan: Installation) -> None:
    """A plan and a workflow of the same name for each run."""
    late: dict[str, Any] = {"retryPolicy": {"limit": 3, "interval": "87600h"}, "timeout": "876000h"}
    for name in ("asks", "cancelled", "runs", "deleted"):
        _plan(drplan, name, waits(name))
    for name in ("done", "undone", "failed", "pending"):
        _plan(drplan, name, [config_map_action("first", f"{name}-first", NAMESPACE)])
    undone = http_action("call", f"{drplan.site.url}/call", rollback=http_action("back", NOBODY, **late))
    _plan(drplan, "reverting", [undone, config_map_action("last", "reverting-last", NAMESPACE)])


def _plan(drplan: Installation, name: str, actions: list[dict[str, Any]]) -> None:
    drplan.apply(workflow(name, actions), plan(name, [stage("s", name)]))


def _ended(drplan: Installation) -> None:
    """Runs that have ended in each way, and a Revert that waits for its next attempt."""
    for name in ("done", "undone", "reverting"):
        drplan.run(name, name)
    drplan.take_back("undo", "undone", "undone")
    drplan.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "failed-first"}})
    drplan.run("failed", "failed", "Failed")
    _begun(drplan, "cancelled")
    annotate(drplan.cluster, "cancelled", "cancel")
    make_ready(drplan.cluster, "cancelled")  # what is under way comes to its end
    drplan.wait_phase("cancelled", "Cancelled")
    for name in ("done", "undone", "reverting", "failed", "cancelled"):
        drplan.wait_unlocked(name)
    drplan.apply(revert("back", "reverting", "reverting"))
    drplan.wait(lambda: "nextAttemptTime" in str(drplan.status("back")), message="the Revert does not wait")


def _begun(drplan: Installation, name: str) -> None:
    """Start a run, and wait until it waits."""
    drplan.apply(execution(name, name))
    drplan.wait(lambda: phases_of(drplan.status(name)).get("wait") == "Running" and drplan.exists("cm", f"{name}-wait"))


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / this_build().version)
