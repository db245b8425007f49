"""`drplan selftest` with the rights that the chart gives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devcluster import ControlPlane, register_webhooks, start_webhook, unregister_webhooks
from tests.chart.support import NAMESPACE, render_hooks
from tests.support.cluster import CRDS, Cluster

pytestmark = pytest.mark.cluster


def selftest(kubeconfig: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "drplan", "selftest", f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}"]
    return subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60, check=False)


def test_selftest_with_the_charts_rights() -> None:
    hooks = render_hooks()
    [pod] = [item for item in hooks if item["kind"] == "Pod"]
    arguments = pod["spec"]["containers"][0]["args"]
    assert arguments == ["selftest", f"--namespace={NAMESPACE}"]
    account = pod["spec"]["serviceAccountName"]
    with ControlPlane("minimal", users=[("tester", f"system:serviceaccount:{NAMESPACE}:{account}", [])]) as plane:
        cluster = Cluster(plane)
        kubeconfig = cluster.kubeconfig_of("tester")
        cluster.apply([item for item in hooks if item["kind"] != "Pod"])
        bare = selftest(kubeconfig)
        assert bare.returncode == 1
        assert "see whether the CRDs are installed" in bare.stderr

        plane.api.install_crds(CRDS)
        register_webhooks(plane, start_webhook(plane))
        works = selftest(kubeconfig)
        assert (works.returncode, works.stderr) == (0, "")
        assert works.stdout.count("ok: ") == 2

        unregister_webhooks(plane)
        unguarded = selftest(kubeconfig)
        assert unguarded.returncode == 1
        assert "the API server does not call the admission service" in unguarded.stderr
        assert selftest(kubeconfig, "--no-admission").returncode == 0
        assert cluster.kubectl("get", "drworkflows", "-A", "-o", "name").stdout == "", "dry runs store nothing"
