"""The control plane: identities, rights, audit, and how it starts and ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devcluster import ComponentError, ControlPlane, RequestError, components
from devcluster.api import Api
from tests.devcluster.support import state, until
from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster

PARENT = """
import sys, time
from pathlib import Path
from devcluster import ControlPlane
with ControlPlane("minimal", Path(sys.argv[1])) as plane:
    print(*[component.pid for component in plane.components.values()], flush=True)
    time.sleep(600)
"""


def pids(plane: ControlPlane) -> list[int]:
    return [component.pid for component in plane.components.values() if component.pid is not None]


def test_kubectl_talks_to_it_as_each_identity(cluster: Cluster) -> None:
    assert cluster.kubectl("get", "namespace", "drplan-system").rc == 0
    refused = cluster.kubectl("get", "drplans", "-A", identity="alice", check=False)
    assert refused.rc == 1
    assert 'User "alice" cannot list resource "drplans"' in refused.stderr
    answer = cluster.kubectl("auth", "whoami", "-o", "json", identity="controller").json()
    assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:drplan-system:drplan-controller"


def test_unknown_tokens_and_anonymous_users_are_refused(cluster: Cluster) -> None:
    for token in ("wrong", ""):
        stranger = Api(cluster.plane.server, cluster.plane.authority.pem, token)
        assert stranger.raw("GET", "/readyz")[0] == 401


def test_users_are_added_while_it_runs(cluster: Cluster, namespace: str) -> None:
    cluster.plane.add_user("bob", cluster_roles=["view"], roles=[(namespace, "edit")])
    secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    cluster.plane.add_user("carol", rules=[secrets])
    assert cluster.kubectl("auth", "can-i", "list", "secrets", identity="carol").stdout == "yes\n"
    assert cluster.kubectl("auth", "can-i", "list", "configmaps", "-A", identity="bob").stdout == "yes\n"
    assert cluster.kubectl("auth", "can-i", "create", "configmaps", "-n", namespace, identity="bob").rc == 0
    assert cluster.kubectl("auth", "can-i", "create", "configmaps", identity="bob", check=False).stdout == "no\n"


def test_service_accounts_have_tokens(cluster: Cluster, namespace: str) -> None:
    identity = cluster.plane.service_account(namespace, "robot")
    answer = cluster.kubectl("auth", "whoami", "-o", "json", identity=identity.name).json()
    assert answer["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:robot"


@pytest.mark.parametrize(
    ("identity", "verb", "resource", "where", "allowed"),
    [
        ("controller", "patch", "drplanexecutions.dr.bkbcs.tencent.com", "default", True),
        ("controller", "create", "configmaps", "drplan-system", True),
        ("controller", "list", "secrets", "default", False),
        ("controller", "create", "leases.coordination.k8s.io", "default", False),
        ("controller", "create", "deployments.apps", "default", True),
        ("controller", "create", "clusterrolebindings.rbac.authorization.k8s.io", "default", False),
        ("webhook", "list", "drplans.dr.bkbcs.tencent.com", "default", True),
        ("webhook", "update", "drplans.dr.bkbcs.tencent.com", "default", False),
        ("webhook", "create", "subjectaccessreviews.authorization.k8s.io", "default", True),
        ("webhook", "get", "secrets", "default", False),
    ],
)
def test_the_processes_have_only_their_rights(
    cluster: Cluster, identity: str, verb: str, resource: str, where: str, allowed: bool
) -> None:
    answer = cluster.kubectl("auth", "can-i", verb, resource, "-n", where, identity=identity, check=False)
    assert answer.stdout == ("yes\n" if allowed else "no\n"), answer.text


def test_audit_tells_who_asked_what(cluster: Cluster, namespace: str) -> None:
    mark = cluster.audit.mark()
    cluster.kubectl("create", "configmap", "settings", "--from-literal=a=b", namespace=namespace)
    cluster.kubectl("get", "configmap", "settings", namespace=namespace, identity="alice", check=False)
    created, read = cluster.audit.since(mark, lambda request: request.resource == "configmaps", namespace=namespace)
    assert (created.verb, created.user, created.name, created.code) == ("create", "admin", "settings", 201)
    assert (read.verb, read.user, read.code) == ("get", "alice", 403)
    assert cluster.audit.since(mark, verb="create", resource="secrets") == []


def test_clusternet_kinds_keep_what_they_are_given(cluster: Cluster, namespace: str) -> None:
    subscription = {
        "apiVersion": "apps.clusternet.io/v1alpha1",
        "kind": "Subscription",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"feeds": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}], "any": {"field": 1}},
    }
    manifest = {
        "apiVersion": "apps.clusternet.io/v1alpha1",
        "kind": "Manifest",
        "metadata": {"name": "one", "namespace": namespace},
        "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"k": "v"}},
    }
    cluster.apply([subscription, manifest])
    assert cluster.get("subscription", "app", namespace)["spec"] == subscription["spec"]
    assert cluster.get("manifest", "one", namespace)["template"]["data"] == {"k": "v"}
    cluster.kubectl(
        "patch", "subscription", "app", "--subresource=status", "--type=merge", "-p",
        '{"status":{"bindingClusters":["ns/a"]}}', namespace=namespace,
    )  # fmt: skip
    assert cluster.get("subscription", "app", namespace)["status"] == {"bindingClusters": ["ns/a"]}
    cluster.kubectl("get", "globalizations,localizations,helmcharts,descriptions,managedclusters", "-A")


def test_refusals_carry_the_servers_words(cluster: Cluster) -> None:
    with pytest.raises(RequestError, match='namespaces "nowhere" not found') as caught:
        cluster.api.get("/api/v1/namespaces/nowhere")
    assert caught.value.status == 404
    with pytest.raises(RequestError, match="no kind Nothing in v1"):
        cluster.api.apply({"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "x"}})


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with ControlPlane("minimal") as plane:
        directory, processes = plane.directory, pids(plane)
        assert len(processes) == 2
        assert plane.api.ready()
    assert [state(pid) for pid in processes] == ["gone", "gone"]
    assert not directory.exists()


async def test_asynchronous_use_and_a_kept_directory(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    async with ControlPlane("minimal", directory) as plane:
        plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}})
        token = plane.identity("alice").token
        with pytest.raises(RuntimeError, match="in use by another control plane"):
            ControlPlane("minimal", directory).start()
        assert plane.api.ready()
    async with ControlPlane("minimal", directory) as plane:
        assert plane.api.get("/api/v1/namespaces/mine")["metadata"]["name"] == "mine"
        assert plane.identity("alice").token == token


def test_a_failed_start_tells_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    command = components.kube_apiserver
    monkeypatch.setattr(components, "kube_apiserver", lambda *given: [*command(*given), "--no-such-flag"])
    plane = ControlPlane("minimal")
    with pytest.raises(ComponentError) as caught:
        plane.start()
    message = str(caught.value)
    assert "kube-apiserver ended with exit code 1 before it could become ready" in message
    assert "unknown flag: --no-such-flag" in message
    assert [state(pid) for pid in pids(plane)] == ["gone", "gone"]
    assert not plane.directory.exists()


def test_the_api_server_can_go_away_and_come_back(cluster: Cluster) -> None:
    server = cluster.plane.components["kube-apiserver"]
    server.kill9()
    assert not cluster.api.ready()
    server.start().wait_until(cluster.api.ready, timeout=60)
    assert cluster.api.get("/api/v1/namespaces/drplan-system")["metadata"]["name"] == "drplan-system"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_the_end_of_its_process_ends_it(tmp_path: Path, signum: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "plane")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        processes = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(processes) == 2
        parent.send_signal(signum)
        deadline = time.monotonic() + 60
        while parent.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    until(lambda: [state(pid) for pid in processes] == ["gone", "gone"])
