"""A release from first day to last on a real control plane: install, upgrade, rollback, uninstall, install again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from devcluster import ControlPlane
from tests.e2e.support import header
from tests.support.cluster import Cluster
from tests.support.installation import (
    Installation,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.planes import plane_fixture
from tests.support.site import Site
from tests.upgrade import go_operator

from .release import Release
from .support import CHART

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("chart-life"), pytest.mark.timeout(600)]
EARLIER = Path(__file__).parent / "data" / "drplan-0.0.1.tgz"
"""The first complete chart of this repository, under a version of its own."""
TARGETS = (
    "rbac.extraRules[0].apiGroups[0]=",
    "rbac.extraRules[0].resources={configmaps}",
    "rbac.extraRules[0].verbs={get,create,patch,delete}",
)
CRDS = ["drplanexecutions", "drplans", "drworkflows"]


@plane_fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A control plane on which nothing of drplan is."""
    with ControlPlane("full") as plane:
        yield Cluster(plane)


def _crds(cluster: Cluster) -> list[str]:
    names = cluster.kubectl("get", "crd", "-o", "name").stdout.split()
    return sorted(name.rpartition("/")[2].partition(".")[0] for name in names)


def _like(stored: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Whether the stored spec of a CRD has our schema, columns and short names."""
    [found], [wanted] = stored["versions"], ours["versions"]
    columns = [[item["name"] for item in version.get("additionalPrinterColumns", ())] for version in (found, wanted)]
    same_names = stored["names"].get("shortNames") == ours["names"]["shortNames"]
    return same_names and columns[0] == columns[1] and found["schema"] == wanted["schema"]


def _registrations(cluster: Cluster) -> str:
    kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
    return cluster.kubectl("get", kinds, "-o", "name").stdout


def _do_first_step(release: Release, printed: str) -> None:
    """Do what NOTES.txt says first."""
    [step] = [line for line in printed.splitlines() if line.strip().startswith("1. ")]
    command = shlex.split(step.partition("kubectl ")[2])
    assert "successfully rolled out" in release.cluster.kubectl(*command).stdout


def _let_todays_code_run(release: Release) -> None:
    """What the first chart lacks for the code of today, which the tests run: a Secret, and the right to it."""
    name, account = f"{release.prefix}-webhook-tls-ca", f"{release.prefix}-webhook"
    where = {"namespace": release.namespace}
    rbac = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get", "update"]}
    subject = {"kind": "ServiceAccount", "name": account, **where}
    labels = {"dr.bkbcs.tencent.com/certificates": "self-managed"}
    made: list[dict[str, Any]] = [
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name, **where}, "rules": [rule]},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, **where},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [subject],
        },
    ]
    secrets = (name, f"{release.prefix}-webhook-tls")
    made += [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": each, **where, "labels": labels}}
        for each in secrets
    ]
    release.cluster.apply(made)


def _back_to_one_secret(release: Release) -> None:
    """Leave the certificates as the first chart's own code would: everything in one Secret."""
    secrets = f"/api/v1/namespaces/{release.namespace}/secrets"
    authority = release.cluster.api.get(f"{secrets}/{release.prefix}-webhook-tls-ca")
    patch = {"data": authority["data"]}
    path = f"{secrets}/{release.prefix}-webhook-tls"
    release.cluster.api.request("PATCH", path, patch, "application/merge-patch+json")
    release.cluster.api.request("DELETE", f"{secrets}/{release.prefix}-webhook-tls-ca")


def _failover(drplan: Installation) -> list[dict[str, Any]]:
    """A call, a Job and an object of a kind that only `rbac.extraRules` allow."""
    ns = drplan.namespace
    pod = {"spec": {"containers": [{"name": "main", "image": "example.invalid/tool"}], "restartPolicy": "Never"}}
    job = {"namespace": ns, "template": {"spec": {"backoffLimit": 0, "template": pod}}}
    undo = {"http": {"url": f"{drplan.site.url}/{ns}/back"}}
    return [
        http_action("call", f"{drplan.site.url}/{ns}/call", rollback=undo),
        {"name": "job", "type": "Job", "job": job},
        config_map_action("made", "made", ns),
    ]


def test_install_takes_over_the_crds_of_the_go_operator(bare: Cluster, site: Site) -> None:
    bare.apply(go_operator.crds())
    drplan = Installation(bare, site, bare.namespace())
    kept = workflow("kept", [http_action("x", site.url)])
    drplan.wait(lambda: drplan.kubectl("apply", "-f", "-", stdin=kept, check=False).rc == 0)
    before = drplan.get("drw", "kept")
    ours = {item["metadata"]["name"]: item["spec"] for item in go_operator.our_crds()}
    assert not any(_like(bare.get("crd", name)["spec"], spec) for name, spec in ours.items())

    release = Release(bare, "dr", "operations")
    release.deploy("install", CHART, flags=["--take-ownership"])
    assert all(_like(bare.get("crd", name)["spec"], spec) for name, spec in ours.items())
    assert drplan.get("drw", "kept")["metadata"]["uid"] == before["metadata"]["uid"], "objects stay"

    release.helm("uninstall")
    assert _crds(bare) == CRDS
    bare.kubectl("delete", "crd", *ours)


def test_upgrade_from_the_first_chart_rollback_and_uninstall(bare: Cluster, site: Site) -> None:
    release = Release(bare, "dr", "operations")
    release.deploy("install", EARLIER)
    _let_todays_code_run(release)
    release.start()
    drplan = Installation(bare, site, bare.namespace())
    drplan.wait(release.denies)
    path = f"/{drplan.namespace}/x"
    action = http_action("x", f"{site.url}{path}", timeout="5m")
    drplan.apply(workflow("old", [action]), plan("p", [stage("s", "old")]))
    drplan.run("before", "p")
    drplan.wait_unlocked("p")
    site.hold(path)
    drplan.apply(execution("during", "p"))
    site.wait_for(path, times=2)
    trusted = set(release.authority())
    assert all(trusted)
    assert "MODE" not in drplan.kubectl("get", "drpe", "-o", "wide").stdout

    printed = release.deploy("upgrade", CHART, *TARGETS)
    assert "helm test dr -n operations" in printed
    for told in ("rbac.aggregate=true", "rbac.readReferences=true", "networkPolicy.enabled=false", "docs/upgrade.md"):
        assert told in printed, "NOTES say what became stricter, and how to keep the old way"
    assert "MODE" in drplan.kubectl("get", "drpe", "-o", "wide").stdout, "the CRDs are upgraded"
    assert set(release.authority()) - {""} == trusted, "what the service wrote into the registrations stays"
    drplan.wait(lambda: set(release.authority()) == trusted, message="a webhook that is new gets it as well")
    drplan.wait(release.denies)
    release.terminate()
    site.let_go(path)
    release.stop()
    _back_to_one_secret(release)
    mark = bare.audit.mark()
    release.start()
    drplan.wait_phase("during", "Succeeded")
    assert len(site.calls(path)) == 2, "what ended in the old pod is not done again in the new one"
    drplan.wait_unlocked("p")
    drplan.apply(workflow("new", _failover(drplan)), plan("p", [stage("s", "new")]))
    assert set(phases_of(drplan.run("after", "p")).values()) == {"Succeeded"}
    assert set(phases_of(drplan.take_back("back", "p", "after")).values()) == {"Succeeded"}
    assert not drplan.exists("cm", "made")
    assert [item["name"] for item in drplan.wait_unlocked("p")["executionHistory"]] == [
        "back",
        "after",
        "during",
        "before",
    ]
    assert release.refused(mark) == []
    assert set(release.authority()) == trusted, "an earlier version's authority is taken over"
    release.deploy("upgrade", CHART)
    assert set(release.authority()) == trusted
    drplan.wait(release.denies)

    release.helm("rollback", "1")
    release.route()
    assert set(release.authority()) == trusted
    drplan.wait(release.denies)
    assert "MODE" not in drplan.kubectl("get", "drpe", "-o", "wide").stdout

    release.helm("uninstall")
    release.stop(orderly=False)
    assert _crds(bare) == CRDS
    assert _registrations(bare) == ""
    assert drplan.status("before")["phase"] == "Succeeded"


def test_uninstall_during_a_run_freezes_it_until_the_next_install(bare: Cluster, site: Site) -> None:
    release = Release(bare, "dr", "operations")
    printed = release.deploy("install", CHART)
    assert "is configured in namespace operations" in printed
    assert re.search(r"The image drplan:\S+ names no registry", printed), "what a default installation lacks"
    _do_first_step(release, printed)
    release.start()
    drplan = Installation(bare, site, bare.namespace())
    drplan.wait(release.denies)
    root = f"/{drplan.namespace}"
    actions = [http_action(name, f"{site.url}{root}/{name}") for name in ("first", "second", "third")]
    drplan.apply(workflow("w", actions), plan("p", [stage("s", "w")]))
    site.hold(f"{root}/second")
    drplan.apply(execution("e", "p"))
    site.wait_for(f"{root}/second")
    trusted = release.authority()

    release.helm("uninstall")
    account = f"system:serviceaccount:{release.namespace}:dr-drplan-controller"
    asked = ("auth", "can-i", "update", "configmaps", f"--as={account}")
    drplan.wait(lambda: bare.kubectl(*asked, namespace=release.namespace, check=False).stdout == "no\n")
    release.terminate()
    site.let_go(f"{root}/second")
    release.stop(orderly=False)
    assert site.count(root) == {f"{root}/first": 1, f"{root}/second": 1}
    assert _registrations(bare) == ""
    frozen = drplan.get("drpe", "e")
    assert frozen["status"]["phase"] == "Running"
    assert frozen["metadata"]["finalizers"]
    assert drplan.plan_status("p")["currentExecution"]["name"] == "e"
    drplan.kubectl("label", "drpe", "e", "seen=yes")  # no registration is left that could refuse it

    release.deploy("install", CHART)
    mark = bare.audit.mark()
    release.start()
    drplan.wait(release.denies)
    tested = release.selftest()
    assert (tested.returncode, tested.stderr) == (0, "")
    assert set(phases_of(drplan.wait_phase("e")).values()) == {"Succeeded"}
    assert site.count(root) == {f"{root}/first": 1, f"{root}/second": 2, f"{root}/third": 1}
    [key, again] = [header(call, "Idempotency-Key") for call in site.calls(f"{root}/second")]
    assert key == again, "no right was left to record its end, so it is as after a crash"
    drplan.wait_unlocked("p")
    assert release.authority() == trusted, "the Secret of the certificate was kept"
    assert release.refused(mark) == []
    release.helm("uninstall")
    release.stop(orderly=False)
