"""The process `drplan webhook` as its clients meet it: kept connections, its end, overload, bad bodies, metrics, log.

A proxy between the service and the API server makes look-ups as slow as a test wants them.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from app.kube.registrations import validate_path
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from devcluster import WebhookProcess, register_webhooks, start_webhook, unregister_webhooks
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy, Rule, hold, request_to
from tests.unit.rules.builders import execution_json, workflow_json
from tests.unit.rules.builders import http as http_action
from tests.unit.webhook.client import review

Json = dict[str, Any]
API_SERVER_IDLE_SECONDS = 90.0
"""How long the API server keeps an idle connection to a webhook."""
AT_ONCE = 3
BODY_BYTES = 64 * 1024
REVIEW_SECONDS = 4.0
DRAIN_SECONDS = 2.0
SMALL = ("--max-concurrent-reviews", AT_ONCE), ("--max-request-bytes", BODY_BYTES), ("--review-timeout", REVIEW_SECONDS)


@pytest.fixture(scope="module")
def proxy(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    authority: Path = tmp_path_factory.mktemp("proxy") / "ca.pem"
    authority.write_bytes(cluster.plane.authority.pem)
    with Proxy(cluster.plane.server, authority).serving() as proxy:
        yield proxy


def start(cluster: Cluster, proxy: Proxy, name: str, *arguments: str) -> WebhookProcess:
    """A service with small limits, whose look-ups go through the proxy."""
    config = proxy.kubeconfig(name, cluster.plane.identity("webhook").token, cluster.plane.directory)
    limits = [f"{flag}={value}" for flag, value in SMALL]
    return start_webhook(cluster.plane, name=name, arguments=[f"--kubeconfig={config}", *limits, *arguments])


@pytest.fixture(scope="module")
def service(cluster: Cluster, proxy: Proxy) -> Iterator[WebhookProcess]:
    service = start(cluster, proxy, "webhook-connections")
    yield service
    assert service.stop() == 0
    assert "Traceback" not in service.log.read_text()


def slow(proxy: Proxy) -> Rule:
    """Hold the look-ups of plans from now on; the readiness check lists them, reviews of executions get one."""
    return proxy.on(request_to("GET", "/drplans/p"), hold, times=None)


@pytest.fixture(autouse=True)
def nothing_held(proxy: Proxy) -> Iterator[None]:
    yield
    proxy.clear()


class Connection:
    """One connection, used for request after request, like those of the API server."""

    def __init__(self, service: WebhookProcess) -> None:
        context = ssl.create_default_context(cadata=service.ca_pem.decode())
        self._http = http.client.HTTPSConnection("127.0.0.1", service.webhook_port, context=context, timeout=30)
        self._http.connect()
        self._http.auto_open = 0  # a closed connection is an error, not a new one
        self.headers: dict[str, str] = {}
        """Of the last answer."""

    def send(self, path: str, body: bytes | Json) -> None:
        """Send a request."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._http.request("POST", path, raw, {"Content-Type": "application/json"})

    def answer(self) -> tuple[int, str]:
        """Status and text of the answer."""
        response = self._http.getresponse()
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, response.read().decode()

    def post(self, path: str, body: bytes | Json) -> tuple[int, str]:
        """Send a request and wait for its answer."""
        self.send(path, body)
        return self.answer()

    def close(self) -> None:
        self._http.close()


WORKFLOW_PATH, PLAN_PATH, EXECUTION_PATH = map(validate_path, (WORKFLOWS, PLANS, EXECUTIONS))
GOOD = review("CREATE", workflow_json(http_action()))
NEEDS_PLAN = review("CREATE", execution_json())


def allowed(answer: tuple[int, str]) -> bool:
    status, text = answer
    assert status == 200, text
    return bool(json.loads(text)["response"]["allowed"])


@pytest.fixture(scope="module")
def idle(service: WebhookProcess) -> Iterator[tuple[Connection, float]]:
    """A connection that has served a review and is left alone from then on, and since when."""
    with closing(Connection(service)) as connection:
        assert allowed(connection.post(WORKFLOW_PATH, GOOD))
        yield connection, time.monotonic()


def test_overload_is_a_429_and_passes(idle: object, service: WebhookProcess, proxy: Proxy) -> None:
    rule = slow(proxy)
    connections = [Connection(service) for _ in range(AT_ONCE + 2)]
    for connection in connections[:AT_ONCE]:
        connection.send(EXECUTION_PATH, NEEDS_PLAN)
    rule.wait(AT_ONCE)
    for connection in connections[AT_ONCE:]:
        status, text = connection.post(WORKFLOW_PATH, GOOD)
        assert (status, connection.headers["retry-after"]) == (429, "1"), text
    proxy.clear()
    for connection in connections[:AT_ONCE]:
        assert not allowed(connection.answer())  # there is no plan
    for connection in connections:
        assert allowed(connection.post(WORKFLOW_PATH, GOOD))
        connection.close()


def test_the_api_server_repeats_what_was_too_much(
    cluster: Cluster, namespace: str, service: WebhookProcess, proxy: Proxy
) -> None:
    register_webhooks(cluster.plane, service)
    rule = slow(proxy)
    connections = [Connection(service) for _ in range(AT_ONCE)]
    try:
        for connection in connections:
            connection.send(EXECUTION_PATH, NEEDS_PLAN)
        rule.wait(AT_ONCE)
        busy = 'drplan_admission_requests_total{allowed="overloaded",kind="DRWorkflow",operation="other"}'
        before = sample(service, busy)
        made = {**workflow_json(http_action(), name="patient"), "metadata": {"name": "patient"}}
        answer = cluster.apply(made, namespace=namespace)  # held reviews end at their deadline meanwhile
        assert "created" in answer.stdout
        assert sample(service, busy) > before
    finally:
        unregister_webhooks(cluster.plane)
        for connection in connections:
            connection.close()


def sample(service: WebhookProcess, series: str) -> float:
    """The value of one series of /metrics; 0 when there is none."""
    lines = service.metrics().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), 0.0)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"no json", "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b'"text"', "a JSON object is expected"),
        (b"{}", "wrong or missing: apiVersion, kind, request"),
        (json.dumps({**GOOD, "apiVersion": "admission.k8s.io/v1beta1"}).encode(), "wrong or missing: apiVersion"),
        (json.dumps({**GOOD, "request": None}).encode(), "wrong or missing: request"),
        (b"\xff\xfe" * 100, "not JSON"),
    ],
)
def test_a_body_that_is_no_review_is_a_400_and_the_connection_goes_on(
    service: WebhookProcess, body: bytes, told: str
) -> None:
    with closing(Connection(service)) as connection:
        status, text = connection.post(WORKFLOW_PATH, body)
        assert status == 400
        assert told in text
        assert allowed(connection.post(WORKFLOW_PATH, GOOD))


def test_a_body_beyond_the_limit_is_a_413(service: WebhookProcess) -> None:
    with closing(Connection(service)) as connection:
        status, text = connection.post(WORKFLOW_PATH, b" " * (2 * BODY_BYTES))
    assert (status, text) == (413, f"the review is larger than {BODY_BYTES} bytes")


def test_a_body_that_does_not_come_is_a_408(service: WebhookProcess) -> None:
    context = ssl.create_default_context(cadata=service.ca_pem.decode())
    with (
        socket.create_connection(("127.0.0.1", service.webhook_port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        head = (
            f"POST {WORKFLOW_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        )
        secured.sendall(head.encode() + b'{"apiVersion"')
        answer = http.client.HTTPResponse(secured)
        answer.begin()
        assert (answer.status, answer.read()) == (408, b"the review did not arrive in time")


def test_the_end_of_the_certificate_is_a_metric(service: WebhookProcess) -> None:
    served = x509.load_pem_x509_certificate((service.cert_dir / "tls.crt").read_bytes())
    found = sample(service, 'drplan_certificate_not_after_seconds{certificate="serving"}')
    assert found == served.not_valid_after_utc.timestamp()


def test_a_denial_is_one_line_of_json_without_the_spec(service: WebhookProcess) -> None:
    request = {"url": "http://s3cret.example", "headers": {"Authorization": "t0ken"}}
    hidden = [{"name": "mode", "value": "h1dden"}]
    told = workflow_json(http_action(http=request, timeout="s3conds"), name="told", parameters=hidden)
    sent = review("CREATE", told, user="jane")
    with closing(Connection(service)) as connection:
        assert not allowed(connection.post(WORKFLOW_PATH, sent))
    lines = [line for line in service.log.read_text().splitlines() if '"told"' in line]
    (line,) = lines
    found = json.loads(line)
    assert (found["msg"], found["user"], found["kind"], found["operation"]) == (
        "admission denied",
        "jane",
        "DRWorkflow",
        "CREATE",
    )
    assert (found["namespace"], found["name"], found["rules"]) == ("default", "told", ["W25", "W31"])
    assert found["fields"] == ["spec.actions[0].timeout", "spec.parameters[0].name"]
    for text in ("s3cret", "t0ken", "h1dden", "s3conds"):
        assert text not in service.log.read_text()


def test_sigterm_reviews_go_on_while_the_service_is_not_ready_any_more(cluster: Cluster, proxy: Proxy) -> None:
    service = start(cluster, proxy, "webhook-draining", f"--drain-seconds={DRAIN_SECONDS}")
    rule = slow(proxy)
    kept, second_kept, in_flight = Connection(service), Connection(service), Connection(service)
    assert allowed(kept.post(WORKFLOW_PATH, GOOD))
    assert allowed(second_kept.post(WORKFLOW_PATH, GOOD))
    assert "connection" not in kept.headers
    in_flight.send(EXECUTION_PATH, NEEDS_PLAN)
    rule.wait()
    service.send(signal.SIGTERM)
    service.wait_until(lambda: service.fetch(service.health_port, "/readyz") == (503, "admission: shutting down\n"), 10)
    assert allowed(kept.post(WORKFLOW_PATH, GOOD))
    assert kept.headers["connection"] == "close"
    with closing(Connection(service)) as late:
        assert allowed(late.post(WORKFLOW_PATH, GOOD))
    second_kept.send(EXECUTION_PATH, NEEDS_PLAN)
    rule.wait(2)
    service.wait_until(lambda: not _connects(service), 15, "close its port")
    assert service.running
    proxy.clear()
    for connection in (in_flight, second_kept):
        assert (
            json.loads(connection.answer()[1])["response"]["status"]["details"]["causes"][0]["field"] == "spec.planRef"
        )
    assert service.wait(15) == 0
    assert "Traceback" not in service.log.read_text()
    kept.close()


def _connects(service: WebhookProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.webhook_port), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_connection_that_was_idle_for_longer_than_the_api_server_keeps_it_still_serves(
    idle: tuple[Connection, float], service: WebhookProcess
) -> None:
    """So the one that closes it is always the API server, and no request meets a connection that is closing."""
    connection, since = idle
    time.sleep(max(0.0, since + API_SERVER_IDLE_SECONDS + 4 - time.monotonic()))
    assert allowed(connection.post(WORKFLOW_PATH, GOOD))
