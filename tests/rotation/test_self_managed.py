"""Certificates that two replicas keep by themselves on a real API server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta

import pytest

from devcluster import ControlPlane
from devcluster.services import WebhookProcess
from tests.devcluster.support import until
from tests.rotation import support
from tests.support.cluster import CRDS
from webhook.certificates.making import fingerprint, make_authority

pytestmark = [pytest.mark.apiserver]

SECONDS = 40.0


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane("minimal") as running:
        running.api.install_crds(CRDS)
        yield running


@pytest.fixture
def replicas(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[list[WebhookProcess]]:
    """Two replicas, started at once where there is no Secret and no caBundle."""
    plane.api.raw("DELETE", support.SECRET_PATH)
    lifetimes = getattr(request, "param", ())
    processes = [support.replica(plane, f"{request.node.name[:20]}-{i}", lifetimes) for i in range(2)]
    support.register(plane, processes[0].webhook_port)
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.wait_ready()
        yield processes
    finally:
        for process in processes:
            process.stop()


def refused(plane: ControlPlane) -> bool:
    """Whether a workflow that only the webhook refuses is refused by it."""
    workflow = {
        "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
        "kind": "DRWorkflow",
        "metadata": {"name": "probe"},
        "spec": {"actions": [{"name": "call", "type": "HTTP", "http": {"url": ""}}]},
    }
    path = "/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/default/drworkflows?dryRun=All"
    status, answer = plane.api.raw("POST", path, workflow)
    return status == 403 and b"denied the request" in answer


def test_two_that_start_at_once_agree_and_are_called(plane: ControlPlane, replicas: list[WebhookProcess]) -> None:
    kept = support.kept(plane)
    assert len(kept.authorities) == 1
    assert support.bundles(plane) == [[fingerprint(kept.authorities[0])]] * 5
    assert refused(plane)
    created = [
        line
        for process in replicas
        for line in process.metrics().splitlines()
        if line.startswith('drplan_certificate_rotations_total{step="created"}')
    ]
    assert sorted(line.split()[-1] for line in created) == ["0.0", "1.0"]
    secret = plane.api.get(support.SECRET_PATH)
    assert secret["type"] == "kubernetes.io/tls"


def test_a_secret_deleted_by_hand_comes_back_as_it_was(plane: ControlPlane, replicas: list[WebhookProcess]) -> None:
    before = support.kept(plane)
    plane.api.request("DELETE", support.SECRET_PATH)
    until(lambda: support.secret_exists(plane), SECONDS)
    assert support.kept(plane).pair == before.pair
    assert refused(plane)


def test_a_reset_bundle_is_mended_and_foreign_authorities_stay(
    plane: ControlPlane, replicas: list[WebhookProcess]
) -> None:
    now = support.kept(plane).pair.leaf.not_valid_before_utc
    foreign = make_authority(now, timedelta(days=1)).certificate
    from cryptography.hazmat.primitives.serialization import Encoding

    support.set_bundles(plane, foreign.public_bytes(Encoding.PEM))
    ours = support.kept(plane).authorities[0]
    until(lambda: support.trusted_everywhere(plane, ours), SECONDS)
    assert all(fingerprint(foreign) in bundle for bundle in support.bundles(plane))
    support.set_bundles(plane, b"\n")
    until(lambda: support.trusted_everywhere(plane, support.kept(plane).authorities[0]), SECONDS)
    until(lambda: refused(plane), SECONDS)


def test_a_foreign_unusable_secret_is_left_alone_and_named(plane: ControlPlane) -> None:
    plane.api.raw("DELETE", support.SECRET_PATH)
    foreign = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": support.SECRET, "namespace": "drplan-system"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": base64.b64encode(b"x").decode(), "tls.key": base64.b64encode(b"y").decode()},
    }
    written = plane.api.apply(foreign)
    process = support.replica(plane, "foreign")
    process.start()
    try:
        until(lambda: "left alone" in process.fetch(process.health_port, "/readyz?verbose")[1], SECONDS)
        text = process.fetch(process.health_port, "/readyz?verbose")[1]
        assert "Secret drplan-system/drplan-webhook-tls is not usable" in text
        assert "ca.crt, ca.key missing" in text
        assert (
            plane.api.get(support.SECRET_PATH)["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]
        )
        plane.api.request("DELETE", support.SECRET_PATH)
        process.wait_ready()
    finally:
        process.stop()
        plane.api.raw("DELETE", support.SECRET_PATH)


@pytest.mark.parametrize("replicas", [("--cert-lifetime=20", "--ca-lifetime=3600")], indirect=True)
def test_a_new_authority_takes_over_and_the_old_one_goes(plane: ControlPlane, replicas: list[WebhookProcess]) -> None:
    first = support.kept(plane).authorities[0]
    support.ask_for_rotation(plane)
    until(lambda: support.kept(plane).issuer != first, SECONDS)
    second = support.kept(plane).issuer
    assert support.trusted_everywhere(plane, second)
    assert support.trusted_everywhere(plane, first)
    until(lambda: support.bundles(plane) == [[fingerprint(second)]] * 5, SECONDS)
    until(lambda: support.kept(plane).authorities == (second,), SECONDS)
    assert refused(plane)
