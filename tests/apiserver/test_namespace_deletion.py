"""A namespace with everything in it that drplan protects comes to its end, on the full control plane."""

from __future__ import annotations

import pytest

from app.models.names import FINALIZER
from tests.e2e.support import create, snapshots_of
from tests.support.installation import Installation, execution, http_action, plan, stage, workflow

pytestmark = pytest.mark.full


def test_namespace_with_a_run_waiting_ones_and_references_from_elsewhere_ends(full_drplan: Installation) -> None:
    """The run is cancelled, protection does not hold, and what refers to it from elsewhere becomes Invalid."""
    here = full_drplan
    there = Installation(here.cluster, here.site, here.cluster.namespace())
    root, url = f"/{here.namespace}", f"{here.site.url}/{here.namespace}"
    here.site.hold(f"{root}/slow")
    restored = execution("waiting", "waiting")
    restored["metadata"]["finalizers"] = [FINALIZER]
    create(
        here,
        workflow("w", [http_action("slow", f"{url}/slow"), http_action("next", f"{url}/next")]),
        plan("running", [stage("s", "w")]),
        plan("waiting", [stage("s", "w")]),
        execution("run", "running"),
        restored,
    )
    create(there, plan("far", [stage("s", {"workflowRef": {"name": "w", "namespace": here.namespace}})]))
    here.site.wait_for(f"{root}/slow")
    uid = here.get("drpe", "run")["metadata"]["uid"]
    for kind, name in (("drw", "w"), ("drp", "running"), ("drp", "waiting")):
        assert "denied the request" in here.kubectl("delete", kind, name, check=False).stderr

    here.cluster.kubectl("delete", "namespace", here.namespace, "--wait=false")
    here.wait(lambda: "CancelRequested" in str(here.status("run").get("conditions")), message="the run is cancelled")
    here.site.let_go(f"{root}/slow")

    address = f"/api/v1/namespaces/{here.namespace}"
    here.wait(lambda: here.cluster.api.raw("GET", address)[0] == 404, timeout=60, message="the namespace stays")
    assert not here.site.calls(f"{root}/next")
    here.wait(lambda: not snapshots_of(here, uid), message="the snapshot outlives its run")
    there.wait(lambda: there.plan_status("far").get("phase") == "Invalid")
    there.kubectl("delete", "drp", "far")
