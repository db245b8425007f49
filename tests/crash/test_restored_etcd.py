"""etcd is put back to an older state while controllers live: none goes on with what it remembers of the rest."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster import ControlPlane, start_controller
from devcluster.services import ServiceProcess
from tests.crash.conftest import LONG_LEASE
from tests.crash.harness import Crashing
from tests.support.cluster import CRDS, Cluster
from tests.support.installation import (
    FAST_LEASE,
    Installation,
    config_map_action,
    execution,
    http_action,
    plan,
    stage,
    workflow,
)
from tests.support.planes import plane_fixture
from tests.support.proxy import Proxy
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("restored-etcd")


@plane_fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own, because its past is going to be changed; last by the test that restores it."""
    with ControlPlane("minimal") as plane:
        plane.api.install_crds(CRDS)
        plane.install_clusternet()
        yield plane


class Backup:
    """A copy of etcd's data while etcd stands still, and the way back to it."""

    def __init__(self, plane: ControlPlane, folder: Path, controllers: list[ServiceProcess]) -> None:
        self._plane = plane
        self._controllers = controllers
        self._folder = folder
        self._around(lambda: shutil.copytree(plane.layout.etcd_data, folder))

    def restore(self) -> None:
        """Put everything back to the time of the backup."""

        def put_back() -> None:
            shutil.rmtree(self._plane.layout.etcd_data)
            shutil.copytree(self._folder, self._plane.layout.etcd_data)

        self._around(put_back)

    def _around(self, work: object) -> None:
        components = self._plane.components
        server, etcd = components["kube-apiserver"], components["etcd"]
        server.kill9()
        etcd.stop()
        assert callable(work)
        work()
        etcd.start()
        # an API server that starts refuses everybody for a moment, which counts as a right too few
        for process in self._controllers:
            process.pause()
        server.start()
        server.wait_until(self._plane.api.ready, 60.0)
        for process in self._controllers:
            process.resume()


def etcd_call(plane: ControlPlane, path: str, body: dict[str, object]) -> dict[str, Any]:
    """Ask etcd by its JSON gateway."""
    flag = "--listen-client-urls="
    url = next(part.removeprefix(flag) for part in plane.components["etcd"].command if part.startswith(flag))
    with urllib.request.urlopen(f"{url}{path}", json.dumps(body).encode(), timeout=60) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


def test_watches_that_lag_behind_a_compaction(plane: ControlPlane, site: Site, tmp_path: Path) -> None:
    """In mid-run they stay behind, etcd forgets and is defragmented, and the API server that knew the rest is gone."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(plane.authority.pem)
    cluster = Cluster(plane)
    with Proxy(plane.server, authority).serving() as proxy:
        kubeconfig = proxy.kubeconfig("lagging", plane.identity("controller").token, tmp_path)
        controller = start_controller(plane, name="lagging", arguments=(f"--kubeconfig={kubeconfig}", *LONG_LEASE))
        drplan = Crashing(cluster, site, cluster.namespace("compacted"), proxy, controller)
        drplan.site.hold(drplan.path("held"))
        drplan.create(
            workflow("w", [drplan.http("a")]),
            workflow("w-held", [drplan.http("held"), config_map_action("made", "made", drplan.namespace)]),
            *(plan(name, [stage("s", "w")]) for name in ("p", "q")),
            plan("p-held", [stage("s", "w-held")]),
        )
        drplan.create(execution("before", "p"), execution("held", "p-held"), execution("called-off", "q"))
        drplan.site.wait_for(drplan.path("held"))
        for name, of in (("before", "p"), ("called-off", "q")):
            drplan.ended(name, plan=of)
        with proxy.silent(lambda request: request.client == "lagging"):
            drplan.create(execution("unseen", "p"))
            drplan.remove("called-off")
            drplan.cancel("held")
            for number in range(30):
                drplan.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"filler-{number}"}})
            revision = etcd_call(plane, "/v3/kv/range", {"key": "AA=="})["header"]["revision"]
            etcd_call(plane, "/v3/kv/compaction", {"revision": revision, "physical": True})
            etcd_call(plane, "/v3/maintenance/defragment", {})
            plane.components["kube-apiserver"].kill9()
            controller.pause()
            plane.components["kube-apiserver"].start()
            plane.components["kube-apiserver"].wait_until(plane.api.ready, 60.0)
            controller.resume()
        drplan.ended("unseen", timeout=90.0)
        drplan.wait(lambda: not drplan.exists("drpe", "called-off"), 60.0, "a deletion was not seen")
        drplan.site.let_go(drplan.path("held"))
        drplan.ended("held", "Cancelled", plan="p-held", timeout=90.0)
        assert drplan.calls() == {"a": 3, "held": 1}
        assert not drplan.exists("cm", "made")
        assert controller.running
        controller.stop()


def test_nobody_leads_with_what_a_lost_time_has_left_in_memory(plane: ControlPlane, site: Site, tmp_path: Path) -> None:
    """Two controllers live through it; whichever leads, what is created afterwards runs, and what was lost is gone."""
    cluster = Cluster(plane)
    drplan = Installation(cluster, site, cluster.namespace("restored"))
    controllers = [start_controller(plane, name=f"controller-{n}", arguments=FAST_LEASE) for n in (1, 2)]
    url = f"{site.url}/{drplan.namespace}"
    drplan.apply(
        workflow("w", [http_action("a", f"{url}/a")]),
        workflow("v", [http_action("b", f"{url}/b")]),
        plan("p", [stage("s", "w")]),
        plan("q", [stage("s", "w")]),
        plan("r", [stage("s", "v")]),
    )
    drplan.apply(execution("before", "p"))
    drplan.wait_phase("before", "Succeeded", timeout=60.0)
    backup = Backup(plane, tmp_path / "etcd", controllers)
    for number in range(12):  # a lost time of many versions, in which plan q is taken away
        drplan.apply(execution(f"lost-{number}", "p"))
        drplan.wait_phase(f"lost-{number}", "Succeeded", timeout=60.0)
    drplan.kubectl("delete", "drp", "q", "-n", drplan.namespace)
    drplan.kubectl("delete", "drw", "v", "-n", drplan.namespace)
    drplan.apply(workflow("w", [http_action("a", f"{url}/changed")]), plan("p", [stage("s", "w"), stage("t", "w")]))
    drplan.wait(lambda: drplan.plan_status("r")["phase"] == "Invalid", 60.0)
    backup.restore()
    for process in controllers:
        if not process.running:
            process.start()
    drplan.wait(lambda: drplan.plan_status("r")["phase"] == "Ready", 60.0)
    drplan.apply(execution("after", "q"), execution("again", "p"), execution("third", "r"))
    for name in ("after", "again", "third"):
        drplan.wait_phase(name, "Succeeded", timeout=60.0)
    root = f"/{drplan.namespace}"
    assert (site.count(f"{root}/b"), site.count(f"{root}/changed")) == ({f"{root}/b": 1}, {}), "another time was run"
    for leader in list(controllers):  # each of the two leads once, with the caches it has
        leader.kill9()
        other = next(process for process in controllers if process is not leader)
        _start(other)
        drplan.apply(execution(f"with-{other.name}", "q"))
        drplan.wait_phase(f"with-{other.name}", "Succeeded", timeout=60.0)
        _start(leader)
    history = [record["name"] for record in drplan.plan_status("p")["executionHistory"]]
    assert history == ["again", "before"]


def _start(process: ServiceProcess) -> None:
    if not process.running:
        process.start()
    process.wait_ready()
