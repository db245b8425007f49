"""Certificates that two replicas keep by themselves on a real API server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from devcluster import ControlPlane
from devcluster.services import WebhookProcess
from tests.devcluster.support import until
from tests.rotation import support
from tests.support.cluster import CRDS
from tests.support.planes import plane_fixture
from webhook.certificates.making import (
    certificate_pem,
    cluster_names,
    fingerprint,
    is_limited_to,
    key_pem,
    make_authority,
    make_certificate,
)

SECONDS = 40.0


@plane_fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane("minimal") as running:
        running.api.install_crds(CRDS)
        yield running


@pytest.fixture
def replicas(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[list[WebhookProcess]]:
    """Two replicas, started at once where the Secrets and the caBundles are empty."""
    support.empty_secrets(plane)
    lifetimes = getattr(request, "param", ())
    processes = [support.replica(plane, f"{request.node.name[:20]}-{i}", lifetimes) for i in range(2)]
    support.register(plane, processes[0].webhook_port)
    support.set_bundles(plane, b"")
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
    assert support.bundles(plane) == [[fingerprint(kept.authorities[0])]] * 6
    assert refused(plane)
    created = [
        line
        for process in replicas
        for line in process.metrics().splitlines()
        if line.startswith('drplan_certificate_rotations_total{step="created"}')
    ]
    assert sorted(line.split()[-1] for line in created) == ["0.0", "1.0"]
    assert "ca.key" not in plane.api.get(support.SECRET_PATH)["data"]


def test_secrets_deleted_by_hand_come_back_as_they_were(plane: ControlPlane, replicas: list[WebhookProcess]) -> None:
    before = support.kept(plane)
    for path in (support.SECRET_PATH, support.AUTHORITY_PATH):
        plane.api.request("DELETE", path)
    assert refused(plane)
    support.empty_secrets(plane)  # what helm upgrade does
    until(lambda: support.is_kept(plane), SECONDS)
    after = support.kept(plane)
    assert (after.pair, after.authorities) == (before.pair, before.authorities)
    assert refused(plane)


def test_what_an_earlier_version_kept_is_taken_over_while_it_is_still_running(plane: ControlPlane) -> None:
    """One Secret with everything, five years, any name: as a version before 0.2 left it, and writes it once more."""
    now = datetime.now(UTC)
    authority = make_authority(now, timedelta(days=1800))
    names = (*cluster_names("drplan-webhook", "drplan-system"), "localhost")
    pair = make_certificate(authority, names, now, timedelta(days=90))
    pem = certificate_pem(authority.certificate)
    content = {"tls.crt": pair[0], "tls.key": pair[1], "ca.crt": pem, "ca.key": key_pem(authority.key)}
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    support.empty_secrets(plane)
    plane.api.raw("DELETE", support.SECRET_PATH)
    support.make_secret(plane, support.SECRET, type="kubernetes.io/tls", data=data)
    process = support.replica(plane, "earlier")
    support.register(plane, process.webhook_port)
    support.set_bundles(plane, pem)
    process.start()
    try:
        process.wait_ready()
        assert refused(plane)
        until(lambda: support.is_kept(plane) and "ca.key" not in plane.api.get(support.SECRET_PATH)["data"], SECONDS)
        plane.api.request("PATCH", support.SECRET_PATH, {"data": data}, "application/merge-patch+json")
        until(lambda: "ca.key" not in plane.api.get(support.SECRET_PATH)["data"], SECONDS)
        until(lambda: support.is_kept(plane) and support.kept(plane).issuer != authority.certificate, SECONDS)
        kept = support.kept(plane)
        assert is_limited_to(kept.signer.certificate, names[:-1])
        assert kept.authorities[1:] == (authority.certificate,)
        assert support.trusted_everywhere(plane, authority.certificate), "a pod of before may serve on"
        assert refused(plane)
    finally:
        process.stop()


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
    support.empty_secrets(plane)
    foreign = {
        "metadata": {"name": support.SECRET, "namespace": "drplan-system"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": base64.b64encode(b"x").decode(), "tls.key": base64.b64encode(b"y").decode()},
    }
    plane.api.request("DELETE", support.SECRET_PATH)
    written = support.make_secret(plane, support.SECRET, **foreign)
    process = support.replica(plane, "foreign")
    process.start()
    try:
        until(lambda: "left alone" in process.fetch(process.health_port, "/readyz?verbose")[1], SECONDS)
        text = process.fetch(process.health_port, "/readyz?verbose")[1]
        assert "Secret drplan-system/drplan-webhook-tls is not usable" in text
        assert "tls.crt is no PEM certificate" in text
        assert (
            plane.api.get(support.SECRET_PATH)["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]
        )
        plane.api.request("DELETE", support.SECRET_PATH)
        until(lambda: "is missing, and this" in process.fetch(process.health_port, "/readyz?verbose")[1], SECONDS)
        support.make_secret(plane, support.SECRET)
        process.wait_ready()
    finally:
        process.stop()


@pytest.mark.parametrize("replicas", [("--cert-lifetime=20", "--ca-lifetime=3600")], indirect=True)
def test_a_new_authority_takes_over_and_the_old_one_goes(plane: ControlPlane, replicas: list[WebhookProcess]) -> None:
    first = support.kept(plane).authorities[0]
    support.ask_for_rotation(plane)
    until(lambda: support.kept(plane).issuer != first, SECONDS)
    second = support.kept(plane).issuer
    assert support.trusted_everywhere(plane, second)
    assert support.trusted_everywhere(plane, first)
    until(lambda: support.bundles(plane) == [[fingerprint(second)]] * 6, SECONDS)
    until(lambda: support.kept(plane).authorities == (second,), SECONDS)
    assert refused(plane)
