"""The two processes on a control plane: started, registered, killed, and run by ``drplan dev up``."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import (
    ServiceProcess,
    WebhookProcess,
    register_webhooks,
    start_controller,
    start_webhook,
    unregister_webhooks,
)
from drplan.dev_up import crds_folder
from tests.devcluster.support import state, until
from tests.support.cluster import CRDS, Cluster

pytestmark = pytest.mark.cluster

EXECUTION = """
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlanExecution
metadata: {name: run}
spec: {planRef: nothing, operationType: Execute}
"""
BROKEN_WORKFLOW = """
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRWorkflow
metadata: {name: broken}
spec: {actions: [{name: call, type: HTTP, http: {url: ""}}]}
"""


@pytest.fixture
def webhook(cluster: Cluster) -> Iterator[WebhookProcess]:
    """A registered webhook service; everything is as before afterwards."""
    process = start_webhook(cluster.plane)
    register_webhooks(cluster.plane, process)
    yield process
    unregister_webhooks(cluster.plane)
    process.stop()


def test_a_registered_webhook_is_called(cluster: Cluster, namespace: str, webhook: WebhookProcess) -> None:
    refused = cluster.apply(BROKEN_WORKFLOW, namespace=namespace, check=False)
    assert refused.rc == 1
    assert 'admission webhook "vdrworkflow.kb.io" denied the request' in refused.stderr
    unregister_webhooks(cluster.plane)
    until(lambda: cluster.apply(BROKEN_WORKFLOW, namespace=namespace, check=False).rc == 0)
    assert webhook.metrics()


def test_only_the_controllers_metadata_updates_do_without_the_webhook(cluster: Cluster, namespace: str) -> None:
    cluster.apply(EXECUTION, namespace=namespace)
    webhook = start_webhook(cluster.plane)
    register_webhooks(cluster.plane, webhook)
    webhook.stop()
    try:
        label = ("label", "drplanexecution", "run", "a=b")
        assert cluster.kubectl(*label, namespace=namespace, identity="controller").rc == 0
        away = cluster.kubectl("label", "drplanexecution", "run", "c=d", namespace=namespace, check=False)
        assert 'failed calling webhook "vdrplanexecution.kb.io"' in away.stderr
        change = '{"spec":{"planRef":"other"}}'
        patch = ("patch", "drplanexecution", "run", "--type=merge", "-p", change)
        away = cluster.kubectl(*patch, namespace=namespace, identity="controller", check=False)
        assert 'failed calling webhook "vdrplanexecution.kb.io"' in away.stderr
    finally:
        unregister_webhooks(cluster.plane)


def test_a_controller_can_be_killed_and_started_again(cluster: Cluster) -> None:
    controller = start_controller(cluster.plane)
    controller.kill9()
    assert not controller.ready()
    controller.start()
    controller.wait_ready()
    controller.pause()
    controller.resume()
    assert controller.stop() == 0, controller.last_lines()


def test_the_repositorys_crds_are_the_ones_installed() -> None:
    assert crds_folder() == CRDS


def start_dev_up(*flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "drplan", "dev", "up", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children_of(pid: int) -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return {int(child) for child in found}


def test_dev_up_runs_everything_until_sigterm(tmp_path: Path, cluster: Cluster) -> None:
    with start_dev_up("--dir", str(tmp_path / "up")) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("KUBECONFIG="):
                break
        assert lines[-1] == f"KUBECONFIG={tmp_path}/up/kubeconfigs/admin.kubeconfig", process.communicate()
        assert [line.split()[0] for line in lines[:-1]] == ["API", "webhook", "controller", "logs", "users"]
        children = children_of(process.pid)
        assert len(children) == 4
        kubeconfig = lines[-1].partition("=")[2]
        applied = subprocess.run(
            [cluster.plane.kubectl(), f"--kubeconfig={kubeconfig}", "apply", "-f", "-"],
            input=BROKEN_WORKFLOW,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 'admission webhook "vdrworkflow.kb.io" denied the request' in applied.stderr
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert {state(pid) for pid in children} == {"gone"}


def test_dev_up_says_when_a_process_ends_and_goes_on(tmp_path: Path) -> None:
    with start_dev_up("--dir", str(tmp_path / "up"), "--no-webhook") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("KUBECONFIG="):
                break
        victim = next(
            pid for pid in children_of(process.pid) if "-m\0drplan\0" in Path(f"/proc/{pid}/cmdline").read_text()
        )
        os.kill(victim, signal.SIGKILL)
        assert "controller ended with exit code -9" in process.stderr.readline()
        for line in process.stderr:
            if line.endswith("run it again with:\n"):
                break
        assert " -m drplan controller --kubeconfig=" in process.stderr.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


def test_dev_up_ends_with_the_control_plane(tmp_path: Path) -> None:
    flags = ("--dir", str(tmp_path / "up"), "--no-webhook", "--no-controller")
    with start_dev_up(*flags) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(6)]
        assert lines[-1].startswith("KUBECONFIG=")
        assert lines[1] == "controller  not started; run it yourself:"
        with subprocess.Popen(shlex.split(lines[2]), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as own:
            port = lines[2].partition("--health-port=")[2].split()[0]
            until(lambda: own.poll() is not None or ServiceProcess.fetch(int(port), "/readyz")[0] == 200)
            own.send_signal(signal.SIGTERM)
            own.communicate(timeout=60)
        assert own.returncode == 0
        second = subprocess.run(
            [sys.executable, "-m", "drplan", "dev", "up", *flags], capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "is in use by another control plane" in second.stderr
        for child in children_of(process.pid):
            os.kill(child, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ended with exit code -9" in errors
