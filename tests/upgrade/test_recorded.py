"""What each release left behind in every phase is taken over by this one: nothing is repeated, everything can end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster import ControlPlane, register_webhooks, start_controller, start_webhook
from tests.support.cluster import CRDS, Cluster
from tests.support.installation import FAST_LEASE, Installation, actions_of, check_summary, phases_of
from tests.support.planes import plane_fixture
from tests.support.site import Site
from tests.upgrade.record import annotate, make_ready
from tests.upgrade.stored import FIXTURES, NAMESPACE, load, put

pytestmark = pytest.mark.xdist_group("recorded")
RELEASES = sorted(path for path in FIXTURES.iterdir() if path.is_dir())
ENDED = {"done": "Succeeded", "undone": "Succeeded", "undo": "Succeeded", "failed": "Failed", "cancelled": "Cancelled"}


@pytest.fixture(params=RELEASES, ids=lambda path: str(path.name))
def release(request: pytest.FixtureRequest) -> Path:
    """What one release has stored."""
    folder = request.param
    assert isinstance(folder, Path)
    return folder


@plane_fixture(scope="function")
def drplan(release: Path, site: Site) -> Iterator[Installation]:
    """This release on a control plane that an earlier one has left."""
    with ControlPlane("minimal") as plane:
        plane.api.install_crds(CRDS)
        plane.install_clusternet()
        put(plane, release)
        register_webhooks(plane, start_webhook(plane))
        start_controller(plane, arguments=(*FAST_LEASE, "--resume-within=1"))
        yield Installation(Cluster(plane), site, NAMESPACE)


def test_everything_is_taken_over(drplan: Installation, release: Path) -> None:
    before = {item["metadata"]["name"]: item for item in load(release, "executions")}
    made = {item["metadata"]["name"]: item["metadata"]["uid"] for item in load(release, "objects")}
    assert {name: before[name]["status"]["phase"] for name in ENDED} == ENDED
    assert before["runs"]["status"]["phase"] == before["back"]["status"]["phase"] == "Running"
    assert before["asks"]["status"]["phase"] == "Unknown"
    assert before["deleted"]["metadata"]["deletionTimestamp"]

    words = "does not start by itself"
    drplan.wait(lambda: words in drplan.status("pending").get("message", ""), message="what had not begun does not ask")
    annotate(drplan.cluster, "pending", "resume")
    drplan.wait_phase("pending", "Succeeded")
    for name in ("asks", "runs", "back"):  # nobody led for long: what was under way asks
        _asks(drplan, name)
    for name in ("asks", "runs"):
        annotate(drplan.cluster, name, "resume")
        make_ready(drplan.cluster, name)
        status = drplan.wait_phase(name, "Succeeded")
        assert phases_of(status) == {"first": "Succeeded", "wait": "Succeeded"}
        check_summary(status)
        for part in ("first", "wait"):
            assert drplan.get("cm", f"{name}-{part}")["metadata"]["uid"] == made[f"{name}-{part}"]
        assert not drplan.wait_unlocked(name).get("currentExecution")
    annotate(drplan.cluster, "back", "cancel")
    drplan.wait_phase("back", "Cancelled")
    make_ready(drplan.cluster, "deleted")
    drplan.wait(lambda: not drplan.exists("drpe", "deleted"), message="the deleted execution is still there")
    [record] = drplan.wait_unlocked("deleted")["executionHistory"]
    assert record["phase"] == "Cancelled"

    for name in ENDED:  # what had ended is as it was
        status, old = drplan.status(name), before[name]["status"]
        assert (status["phase"], status["completionTime"]) == (old["phase"], old["completionTime"])
        assert actions_of(status) == actions_of(old)
    drplan.take_back("again", "done", "done")  # by the record that the earlier release has made
    assert not drplan.exists("cm", "done-first")
    drplan.take_back("after-all", "runs", "runs")
    assert not drplan.exists("cm", "runs-first")


def _asks(drplan: Installation, name: str) -> dict[str, Any]:
    """Wait until a run asks, with the commands that answer."""
    status = drplan.wait_phase(name, "Unknown")
    [condition] = [c for c in status["conditions"] if c["type"] == "Suspended"]
    assert condition["status"] == "True"
    assert 'dr.bkbcs.tencent.com/resume: "true"' in condition["message"]
    return status
