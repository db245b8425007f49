"""Who reaches the ports of the webhook service, and has no account: learns nothing there, and keeps nobody out.

On a real API server, which calls the service all the while, and with the real process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.kube.registrations import validate_path
from app.kube.resources import PLANS
from bench.admission import resident_mb
from devcluster import ControlPlane, WebhookProcess, register_webhooks, start_webhook, unregister_webhooks
from devcluster.certificates import Authority, Pair
from devcluster.ports import free_port, release
from devcluster.services import DENIED_WORKFLOW
from tests.security.callers import NAME, Callers
from tests.security.conftest import as_installed
from tests.security.holding import HELD, IDLE, hold, post
from tests.support.cluster import CRDS, REPOSITORY, Cluster
from tests.support.installation import API
from tests.support.planes import plane_fixture
from tests.unit.rules.builders import http, plan_json, workflow_json
from tests.unit.webhook.client import review

pytestmark = pytest.mark.xdist_group("network-only")

Json = dict[str, Any]
LIMIT, PER_PEER = 300, 200
GOOD = workflow_json(http(), name="good", namespace="default")
LIVENESS_SECONDS = 8.0
"""The API server waits ten seconds for a review; a busy machine takes most of what is seen here."""


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    return Callers.make(tmp_path_factory.mktemp("callers"))


@pytest.fixture(scope="module")
def demanding_port() -> Iterator[int]:
    port = free_port()
    yield port
    release(port)


@plane_fixture(scope="module")
def cluster(callers: Callers, demanding_port: int) -> Iterator[Cluster]:
    """A control plane whose API server has a client certificate for one webhook service."""
    flag = callers.flag(f"127.0.0.1:{demanding_port}")
    with ControlPlane("minimal", api_server_flags=[flag]) as plane:
        plane.api.install_crds(CRDS)
        as_installed(plane.api)
        yield Cluster(plane)


@pytest.fixture(scope="module")
def open_service(cluster: Cluster) -> Iterator[WebhookProcess]:
    """A service that hears every caller, registered with the API server."""
    limits = [f"--max-connections={LIMIT}", f"--max-connections-per-peer={PER_PEER}", "--api-auth=always"]
    service = start_webhook(cluster.plane, name="open", arguments=limits)
    register_webhooks(cluster.plane, service)
    yield service
    unregister_webhooks(cluster.plane)
    assert "Traceback" not in service.log.read_text()


def trusting(service: WebhookProcess) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=service.ca_pem.decode())


@contextlib.contextmanager
def attacked(service: WebhookProcess) -> Iterator[None]:
    """Meanwhile a process of its own holds far more connections than the limit, and opens them again."""
    command = [sys.executable, "-m", "tests.security.holding", str(service.webhook_port)]
    attacker = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "holding\n"
        yield
        assert attacker.poll() is None, "the attacker gave up"
    finally:
        attacker.kill()
        attacker.communicate()


def honest(cluster: Cluster, rounds: int) -> list[float]:
    """Seconds of each dry run of a create through the API server, which takes two calls of the service."""
    took = []
    for _ in range(rounds):
        started = time.monotonic()
        cluster.api.request("POST", f"/apis/{API}/namespaces/default/drworkflows?dryRun=All", GOOD)
        took.append(time.monotonic() - started)
        time.sleep(0.1)
    return took


def sample(service: WebhookProcess, series: str) -> float:
    lines = service.metrics().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


def test_whoever_holds_connections_keeps_the_api_server_out_of_nothing(
    cluster: Cluster, open_service: WebhookProcess
) -> None:
    before = resident_mb(open_service)
    with attacked(open_service):
        took = honest(cluster, 30)
        grown = resident_mb(open_service) - before
    assert max(took) < LIVENESS_SECONDS, sorted(took)
    assert grown < 170, f"{before:.0f} MB before, {grown:.0f} more"
    assert sample(open_service, 'drplan_connections_ended_total{reason="evicted",server="admission"}') > 0
    assert "connections ended" in open_service.log.read_text()


async def test_held_connections_end_by_themselves(open_service: WebhookProcess) -> None:
    tls = trusting(open_service)
    ended = (each for each in HELD if each not in IDLE)
    async with asyncio.timeout(30):
        await asyncio.gather(*(hold(open_service.webhook_port, tls, each, drips=False) for each in ended))


async def ask(port: int, tls: ssl.SSLContext, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(sent)
    answer = bytearray()
    with contextlib.closing(writer), contextlib.suppress(TimeoutError):
        while part := await asyncio.wait_for(reader.read(100_000), 3 if answer else 20):
            answer += part
    return bytes(answer)


@pytest.mark.parametrize("path", ["plans", "namespaces/default/plans/p", "executions", "namespaces/kube-system/plans"])
async def test_the_http_api_tells_nothing_without_a_token(open_service: WebhookProcess, path: str) -> None:
    tls = trusting(open_service)
    for token in (b"", b"authorization: Bearer x\r\n", b"authorization: Basic YTpi\r\n"):
        request = b"GET /api/v1/%b HTTP/1.1\r\nhost: x\r\n%b\r\n" % (path.encode(), token)
        assert (await ask(open_service.api_port, tls, request)).startswith(b"HTTP/1.1 401")
        assert (await ask(open_service.webhook_port, tls, request)).startswith(b"HTTP/1.1 421")


def test_plain_ports_name_no_object_and_no_user(cluster: Cluster, open_service: WebhookProcess) -> None:
    cluster.apply([{**GOOD, "metadata": {"name": "hidden-name"}}], namespace=cluster.namespace("hidden"))
    for path in ("/metrics", "/healthz?verbose", "/readyz?verbose"):
        port = open_service.metrics_port if path == "/metrics" else open_service.health_port
        status, text = open_service.fetch(port, path)
        assert status == 200
        assert not any(name in text for name in ("hidden", "good", "alice", "drplan-system/"))


@pytest.fixture(scope="module")
def demanding(
    cluster: Cluster, callers: Callers, demanding_port: int, open_service: WebhookProcess
) -> Iterator[WebhookProcess]:
    """A service that demands the API server's certificate, registered instead of the other."""
    unregister_webhooks(cluster.plane)
    flags = [f"--client-ca-file={callers.authority.pair.certificate}", f"--client-names=other, {NAME}"]
    service = start_webhook(cluster.plane, name="demanding", webhook_port=demanding_port, arguments=flags)
    register_webhooks(cluster.plane, service)
    yield service
    assert "Traceback" not in service.log.read_text()


def strangers(callers: Callers, tmp: Path) -> dict[str, tuple[Pair | None, str]]:
    """Certificates that are not the API server's, and what becomes of their holders."""
    other = Authority(tmp / "other")
    return {
        "none": (None, "no answer"),
        "of another authority": (other.issue("apiserver", NAME, ()), "no answer"),
        "for servers": (callers.authority.issue("serving", "serving", server=True), "no answer"),
        "of another name": (callers.authority.issue("bob", "bob", ()), "403"),
        "of a longer name": (callers.authority.issue("long", f"{NAME}.evil", ()), "403"),
    }


async def test_only_the_api_server_is_heard_where_its_certificate_is_demanded(
    cluster: Cluster, callers: Callers, demanding: WebhookProcess, tmp_path: Path
) -> None:
    plan = plan_json(name="p", namespace="default")
    told = post(json.dumps(review("CREATE", plan, user="system:admin")).encode(), path=validate_path(PLANS).encode())
    for name, (pair, expected) in strangers(callers, tmp_path).items():
        try:
            answer = await ask(demanding.webhook_port, callers.context(demanding.ca_pem, pair), told)
        except (ssl.SSLError, ConnectionError):
            answer = b""
        if expected == "no answer":
            assert answer == b"", name
        else:
            assert answer.startswith(b"HTTP/1.1 403"), name
            assert b"which may not ask for reviews here" in answer
        assert b"AdmissionReview" not in answer
    honest(cluster, 3)
    refused = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=DENIED_WORKFLOW, check=False)
    assert "vdrworkflow.kb.io" in refused.stderr
    with socket.create_connection(("127.0.0.1", demanding.webhook_port), timeout=20) as plain:
        plain.sendall(told)
        assert b"AdmissionReview" not in plain.recv(1000)


async def test_a_changed_authority_of_callers_is_taken_up(
    cluster: Cluster, callers: Callers, demanding: WebhookProcess, tmp_path: Path
) -> None:
    file, other = callers.authority.pair.certificate, Authority(tmp_path / "next")
    before = file.read_bytes()
    try:
        for written, accepted in ((b"no PEM", True), (other.pem, False), (before, True)):
            file.write_bytes(written)
            await asyncio.sleep(12.0)
            denied = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=GOOD, check=False)
            assert (denied.rc == 0) is accepted, denied.stderr
            if not accepted:
                assert "failed calling webhook" in denied.stderr
    finally:
        file.write_bytes(before)
