"""Both processes with tokens of the chart's ServiceAccounts and no other rights than the chart's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from devcluster import ControlPlane, register_webhooks, start_controller, start_webhook
from devcluster.identities import write_kubeconfig
from tests.chart.support import NAMESPACE, render
from tests.support.cluster import CRDS, Cluster
from tests.support.installation import (
    STEADY_LEASE,
    Installation,
    config_map_action,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Site

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("chart-rights")]
TARGETS = (
    "rbac.extraRules[0].apiGroups[0]=",
    "rbac.extraRules[0].resources={configmaps}",
    "rbac.extraRules[0].verbs={get,create,patch,delete}",
)


def _only_the_charts_rights(cluster: Cluster) -> None:
    """Replace the development rights by the chart's, and the static tokens by those of its ServiceAccounts."""
    for kind in ("clusterrole", "clusterrolebinding"):
        ours = cluster.kubectl("get", kind, "-o", "name").stdout.split()
        cluster.kubectl("delete", *(name for name in ours if "/drplan-" in name))
    cluster.kubectl("delete", "role,rolebinding", "--all", namespace=NAMESPACE)
    cluster.apply([item for item in render(*TARGETS) if item["kind"] == "ServiceAccount" or "Role" in item["kind"]])
    for name in ("controller", "webhook"):
        identity = cluster.plane.identity(name)
        token = cluster.kubectl("create", "token", f"drplan-{name}", namespace=NAMESPACE).stdout.strip()
        write_kubeconfig(replace(identity, token=token), cluster.plane.server, cluster.plane.authority.pem)


@pytest.fixture(scope="module")
def limited() -> Iterator[Cluster]:
    with ControlPlane("full") as plane:
        plane.api.install_crds(CRDS)
        cluster = Cluster(plane)
        _only_the_charts_rights(cluster)
        register_webhooks(plane, start_webhook(plane))
        start_controller(plane, arguments=STEADY_LEASE)
        yield cluster


def test_execute_revert_and_denial_need_no_other_rights(limited: Cluster, site: Site) -> None:
    drplan = Installation(limited, site, limited.namespace())
    ns = drplan.namespace
    pod = {"spec": {"containers": [{"name": "main", "image": "example.invalid/tool"}], "restartPolicy": "Never"}}
    job = {
        "name": "job",
        "type": "Job",
        "job": {"namespace": ns, "template": {"spec": {"backoffLimit": 0, "template": pod}}},
    }
    call = http_action("call", f"{site.url}/{ns}/call", rollback={"http": {"url": f"{site.url}/{ns}/back"}})
    drplan.apply(workflow("w", [call, job, config_map_action("made", "made", ns)]), plan("p", [stage("s", "w")]))

    assert set(phases_of(drplan.run("e", "p")).values()) == {"Succeeded"}
    assert set(phases_of(drplan.take_back("r", "p", "e")).values()) == {"Succeeded"}
    assert not drplan.exists("cm", "made")
    assert "vdrworkflow.kb.io" in drplan.kubectl("delete", "drw", "w", check=False).stderr

    ours = f"system:serviceaccount:{NAMESPACE}:drplan-"
    assert limited.audit.since(code=403, matching=lambda request: request.user.startswith(ours)) == []
    assert {request.user.removeprefix(ours) for request in limited.audit.since() if request.user.startswith(ours)} == {
        "controller",
        "webhook",
    }
