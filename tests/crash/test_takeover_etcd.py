"""An etcd that is put back to the middle of a run, under a living controller: the run asks instead of going on."""

from __future__ import annotations

from pathlib import Path

import pytest

from devcluster import ControlPlane, start_controller
from devcluster.services import ServiceProcess
from tests.crash.test_restored_etcd import Backup, plane
from tests.support.cluster import Cluster
from tests.support.installation import (
    FAST_LEASE,
    STEADY_LEASE,
    Installation,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Site

__all__ = ["plane"]
pytestmark = pytest.mark.xdist_group("restored-etcd")


def started(processes: list[ServiceProcess]) -> None:
    for process in processes:
        if not process.running:
            process.start()


@pytest.mark.parametrize("controllers", [1, 2])
def test_no_failover_of_another_time_goes_on_by_itself(
    plane: ControlPlane,
    site: Site,
    tmp_path: Path,
    controllers: int,
) -> None:
    cluster = Cluster(plane)
    drplan = Installation(cluster, site, cluster.namespace("restored"))
    # a short lease may be lost while etcd is down, and with it everybody who remembers what was there
    lease = FAST_LEASE if controllers == 1 else STEADY_LEASE
    processes = [start_controller(plane, name=f"controller-{n}", arguments=lease) for n in range(controllers)]
    url, root = f"{site.url}/{drplan.namespace}", f"/{drplan.namespace}"
    actions = [http_action(name, f"{url}/{name}") for name in "abc"]
    drplan.apply(
        workflow("w", actions), workflow("x", actions[:1]), plan("p", [stage("s", "w")]), plan("q", [stage("s", "x")])
    )
    site.hold(f"{root}/b")
    drplan.apply(execution("e", "p"))
    site.wait_for(f"{root}/b")
    drplan.wait(lambda: phases_of(drplan.status("e")).get("b") == "Running")
    backup = Backup(plane, tmp_path / "etcd", processes)
    started(processes)  # a short lease may be lost while etcd is copied
    site.let_go(f"{root}/b")
    drplan.wait_phase("e", "Succeeded", timeout=60.0)
    calls = site.count(root)

    backup.restore()

    def asks() -> bool:
        started(processes)  # as the kubelet does
        return drplan.status("e").get("phase") == "Unknown"

    drplan.wait(asks, 60.0, "the run does not ask")
    [condition] = [item for item in drplan.status("e")["conditions"] if item["type"] == "Suspended"]
    assert condition["reason"] == "JournalIncomplete"
    drplan.apply(execution("f", "q"))
    drplan.wait_phase("f", "Succeeded", timeout=60.0)
    assert site.count(root) - calls == {f"{root}/a": 1}, "something of the old run was done again"
    drplan.kubectl("annotate", "drpe", "e", "dr.bkbcs.tencent.com/cancel=true")
    assert phases_of(drplan.wait_phase("e", "Cancelled")) == {"a": "Succeeded", "b": "Cancelled", "c": "Skipped"}
    assert site.count(root) - calls == {f"{root}/a": 1}
