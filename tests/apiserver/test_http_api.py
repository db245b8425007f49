"""The read-only HTTP API on the real API server, asked with curl as an admin would."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devcluster import ControlPlane, start_webhook
from devcluster.api import wait_for
from devcluster.services import WebhookProcess
from tests.support.cluster import CRDS, Cluster
from tests.support.installation import API, execution, http_action, plan, stage, workflow
from tests.support.planes import plane_fixture

pytestmark = pytest.mark.xdist_group("http-api")

MANY = 230
PLAN = "site-failover"
START, END = "2026-03-01T10:00:00Z", "2026-03-01T10:00:20Z"


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got."""

    code: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def message(self, code: int, reason: str) -> str:
        """The text of an error, after a look at its shape."""
        status = self.json()
        assert (self.code, status["code"], status["reason"]) == (code, code, reason), status
        assert (status["kind"], status["status"]) == ("Status", "Failure")
        return str(status["message"])


@dataclass(frozen=True, slots=True)
class Curl:
    """curl with the right CA, and the tokens to use it with."""

    cluster: Cluster
    webhook: WebhookProcess
    ca: Path

    def __call__(
        self, path: str, token: str | None = None, *arguments: str, port: int | None = None, scheme: str = ""
    ) -> Answer:
        scheme = scheme or ("https" if port is None else "http")
        command = ["curl", "-sS", "-i", "--max-time", "30", "--cacert", str(self.ca), *arguments]
        if token is not None:
            command += ["-H", f"Authorization: Bearer {token}"]
        command.append(f"{scheme}://127.0.0.1:{port or self.webhook.api_port}{path}")
        found = subprocess.run(command, capture_output=True, check=True)
        head, _, body = found.stdout.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Answer(int(first.split()[1]), headers, body)

    def account(self, namespace: str, name: str, *arguments: str) -> str:
        """The token of a new ServiceAccount, which gets the view-like role by `kubectl create <arguments>`."""
        kubectl = self.cluster.kubectl
        kubectl("create", "serviceaccount", name, namespace=namespace)
        if arguments:
            kubectl("create", *arguments, f"--serviceaccount={namespace}:{name}", namespace=namespace)
        return kubectl("create", "token", name, namespace=namespace).stdout.strip()


@plane_fixture(scope="module")
def curl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Curl]:
    """The webhook service alone, with its own account's rights, where everybody needs a token."""
    with ControlPlane("minimal") as plane:
        plane.api.install_crds(CRDS)
        webhook = start_webhook(plane, arguments=["--api-auth=always"])
        ca = tmp_path_factory.mktemp("ca") / "ca.crt"
        ca.write_bytes(webhook.ca_pem)
        cluster = Cluster(plane)
        rules = "--resource=drplans.dr.bkbcs.tencent.com,drplanexecutions.dr.bkbcs.tencent.com"
        cluster.kubectl("create", "clusterrole", "reader", "--verb=get,list", rules)
        yield Curl(cluster, webhook, ca)


@pytest.fixture(scope="module")
def filled(curl: Curl) -> str:
    """A namespace with a plan, many finished executions, and a record of one that is gone."""
    cluster, namespace = curl.cluster, curl.cluster.namespace("filled")
    cluster.apply(
        [workflow("w", [http_action("a", "http://127.0.0.1:9/")]), plan(PLAN, [stage("s", "w")])], namespace=namespace
    )
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _store(cluster, namespace, f"run-{number:03}", PLAN, number), range(MANY)))
    _store(cluster, namespace, "other-run", "other", 1)
    record = {"namespace": namespace, "operationType": "Execute", "phase": "Failed", "startTime": START}
    kept = cluster.api.get(f"/apis/{API}/namespaces/{namespace}/drplanexecutions/run-000")["metadata"]["uid"]
    history = [
        {**record, "name": "run-000", "uid": kept},
        {**record, "name": "removed", "uid": "1234", "completionTime": END, "message": "action a failed"},
    ]
    _put_status(cluster, namespace, "drplans", PLAN, {"phase": "Ready", "executionHistory": history})
    return namespace


@pytest.fixture(scope="module")
def admin(curl: Curl, filled: str) -> str:
    """The token of an account that may read everything."""
    return curl.account(filled, "all", "clusterrolebinding", "all-readers", "--clusterrole=reader")


@pytest.fixture(scope="module")
def limited(curl: Curl, filled: str) -> str:
    """The token of an account that may read one namespace."""
    return curl.account(filled, "one", "rolebinding", "readers", "--clusterrole=reader")


def _put_status(cluster: Cluster, namespace: str, plural: str, name: str, status: dict[str, Any]) -> None:
    path = f"/apis/{API}/namespaces/{namespace}/{plural}/{name}"
    stored = cluster.api.get(path)
    cluster.api.request("PUT", f"{path}/status", {**stored, "status": status})


def _store(cluster: Cluster, namespace: str, name: str, plan_name: str, number: int) -> None:
    cluster.api.request(
        "POST", f"/apis/{API}/namespaces/{namespace}/drplanexecutions", execution(name, plan_name, mode="Install")
    )
    phase = "Failed" if number % 10 == 0 else "Succeeded"
    times = {"phase": phase, "startTime": START, "completionTime": END, "duration": "20s"}
    action = {"name": "a", "type": "HTTP", "attempt": 3, "retryCount": 2, **times, "message": f"answer {number}"}
    done = {**times, "workflowRef": {"name": "w", "namespace": namespace}, "actionStatuses": [action]}
    stages = [
        {"name": "s", **times, "workflowExecutions": [done]},
        {"name": "t", "phase": "Skipped", "message": "stage s failed"},
    ]
    status = {**times, "progress": "1/1", "message": f"run {number}", "stageStatuses": stages}
    _put_status(cluster, namespace, "drplanexecutions", name, status)


def _pages(ask: Callable[[str], Any], path: str) -> Iterator[list[dict[str, Any]]]:
    token = ""
    while True:
        page = ask(f"{path}&continue={token}" if token else path)
        yield page["items"]
        token = page["metadata"].get("continue", "")
        if not token:
            return


def test_no_token_is_told_how_to_get_one(curl: Curl) -> None:
    answer = curl("/api/v1/plans")
    assert "kubectl create token" in answer.message(401, "Unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="drplan"'


@pytest.mark.parametrize("token", ["wrong", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA"])
def test_a_wrong_token_is_refused(curl: Curl, token: str) -> None:
    answer = curl("/api/v1/plans", token)
    assert "does not accept this token" in answer.message(401, "Unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="drplan", error="invalid_token"'
    log = Path(curl.webhook.log).read_text()
    assert f" {token}" not in log
    assert f'"{token}"' not in log


def test_a_token_without_rights_is_told_which_one_is_missing(curl: Curl, filled: str) -> None:
    token = curl.account(filled, "none")
    text = curl(f"/api/v1/namespaces/{filled}/plans/{PLAN}", token).message(403, "Forbidden")
    assert f'user "system:serviceaccount:{filled}:none" may not get drplans' in text
    assert f'"{PLAN}" in namespace {filled}' in text


def test_a_token_of_one_namespace_reads_that_one_only(curl: Curl, filled: str, limited: str) -> None:
    assert curl(f"/api/v1/namespaces/{filled}/executions?limit=1", limited).code == 200
    text = curl("/api/v1/namespaces/default/executions", limited).message(403, "Forbidden")
    assert "may not list drplanexecutions.dr.bkbcs.tencent.com in namespace default" in text
    text = curl("/api/v1/executions", limited).message(403, "Forbidden")
    assert "in all namespaces" in text


def test_the_api_is_not_on_the_ports_without_tls(curl: Curl, admin: str) -> None:
    for port in (curl.webhook.health_port, curl.webhook.metrics_port):
        assert curl("/api/v1/plans", admin, port=port).code == 404


@pytest.mark.parametrize("token", [None, "wrong"])
def test_probes_and_metrics_need_no_token(curl: Curl, token: str | None) -> None:
    for path in ("/healthz", "/readyz"):
        answer = curl(path, token, port=curl.webhook.health_port)
        assert (answer.code, answer.body) == (200, b"ok")
    shown = curl("/metrics", token, port=curl.webhook.metrics_port)
    assert shown.code == 200
    assert b"drplan_api_requests_total" in shown.body


def test_plans(curl: Curl, filled: str, admin: str) -> None:
    found = curl("/api/v1/plans", admin).json()["items"]
    assert [(item["namespace"], item["name"], item["phase"]) for item in found] == [(filled, PLAN, "Ready")]
    assert curl(f"/api/v1/namespaces/{filled}/plans", admin).json()["items"] == found
    detail = curl(f"/api/v1/namespaces/{filled}/plans/{PLAN}", admin).json()
    assert detail["stages"] == [
        {
            "name": "s",
            "description": "",
            "dependsOn": [],
            "parallel": False,
            "failurePolicy": "",
            "workflows": [f"{filled}/w"],
        }
    ]
    assert [record["name"] for record in detail["executionHistory"]] == ["run-000", "removed"]


def test_pages_of_plans(curl: Curl, admin: str) -> None:
    namespace = curl.cluster.namespace("pages")
    curl.cluster.apply([plan(f"p{number}", [stage("s", "w")]) for number in range(5)], namespace=namespace)
    path = f"/api/v1/namespaces/{namespace}/plans?limit=2"
    pages = list(_pages(lambda url: curl(url, admin).json(), path))
    assert [[item["name"] for item in page] for page in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"]]


def test_several_hundred_executions_come_newest_first_and_once(curl: Curl, filled: str, admin: str) -> None:
    path = f"/api/v1/namespaces/{filled}/executions?plan={PLAN}&limit=100"
    pages = list(_pages(lambda url: curl(url, admin).json(), path))
    assert [len(page) for page in pages] == [100, 100, MANY - 200]
    items = [item for page in pages for item in page]
    assert len({item["uid"] for item in items}) == MANY
    created = [item["created"] for item in items]
    assert created == sorted(created, reverse=True)
    assert {item["plan"] for item in items} == {PLAN}
    first = next(item for item in items if item["name"] == "run-007")
    assert (first["message"], first["progress"], first["mode"]) == ("run 7", "1/1", "Install")
    assert (first["startTime"], first["completionTime"], first["duration"]) == (START, END, "20s")


def test_filters(curl: Curl, filled: str, admin: str) -> None:
    def names(query: str) -> set[str]:
        found = curl(f"/api/v1/namespaces/{filled}/executions?limit=500&{query}", admin).json()["items"]
        return {item["name"] for item in found}

    assert names("phase=Failed") == {f"run-{number:03}" for number in range(0, MANY, 10)}
    assert names("plan=other") == {"other-run"}
    assert names("operation=Revert") == set()
    assert len(names("since=24h")) == MANY + 1
    assert names("until=24h") == set()
    assert names("since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z") == set()


def test_history_goes_beyond_ten_and_knows_runs_that_are_gone(curl: Curl, filled: str, admin: str) -> None:
    path = f"/api/v1/namespaces/{filled}/plans/{PLAN}/history?limit=200"
    items = [item for page in _pages(lambda url: curl(url, admin).json(), path) for item in page]
    assert len(items) == MANY + 1
    assert [item["name"] for item in items if not item["exists"]] == ["removed"]
    assert items[-1] == {**items[-1], "name": "removed", "phase": "Failed", "message": "action a failed"}
    assert sum(item["name"] == "run-000" for item in items) == 1


def test_history_of_a_plan_that_is_gone(curl: Curl, filled: str, admin: str) -> None:
    found = curl(f"/api/v1/namespaces/{filled}/plans/other/history", admin).json()
    assert (found["planExists"], [item["name"] for item in found["items"]]) == (False, ["other-run"])
    text = curl(f"/api/v1/namespaces/{filled}/plans/never/history", admin).message(404, "NotFound")
    assert f"there is no plan never in namespace {filled}" in text


def test_one_execution_and_its_timeline(curl: Curl, filled: str, admin: str) -> None:
    path = f"/api/v1/namespaces/{filled}/executions/run-010"
    detail = curl(path, admin).json()
    assert detail["status"]["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"][0]["message"] == "answer 10"
    timeline = curl(f"{path}/timeline", admin).json()
    assert timeline["facts"]["retries"] == 2
    assert timeline["facts"]["firstFailure"]["action"] == "a"
    told = [(entry["level"], entry["event"]) for entry in timeline["entries"] if entry["event"] != "created"]
    assert told == [
        ("plan", "started"),
        ("stage", "started"),
        ("workflow", "started"),
        ("action", "started"),
        ("action", "retried"),
        ("action", "finished"),
        ("workflow", "finished"),
        ("stage", "finished"),
        ("stage", "skipped"),
        ("plan", "finished"),
    ]


def test_etag_gzip_and_head(curl: Curl, filled: str, admin: str) -> None:
    path = f"/api/v1/namespaces/{filled}/executions?limit=50"
    plain = curl(path, admin)
    zipped = curl(path, admin, "--compressed")
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.body == plain.body
    assert int(zipped.headers["content-length"]) < len(plain.body) / 4
    assert zipped.headers["etag"] != plain.headers["etag"]
    for answer in (plain, zipped):
        again = curl(path, admin, "-H", f"If-None-Match: {answer.headers['etag']}")
        assert (again.code, again.body) == (304, b"")
        assert again.headers["cache-control"] == "private, no-cache"
    head = curl(path, admin, "--head")
    assert (head.code, head.body, head.headers["etag"]) == (200, b"", plain.headers["etag"])
    assert head.headers["content-length"] == str(len(plain.body))


def test_the_openapi_document_is_valid_and_open(curl: Curl) -> None:
    document = curl("/api/v1/openapi.json").json()
    from openapi_spec_validator import validate  # builds grammars for two seconds when it is imported

    validate(document)
    assert document["security"] == [{"token": []}]
    history = document["paths"]["/api/v1/namespaces/{namespace}/plans/{name}/history"]["get"]
    assert {each["name"] for each in history["parameters"]} >= {"namespace", "name", "limit", "continue", "since"}
    assert {"200", "304", "400", "401", "403", "404", "410", "429", "503"} <= set(history["responses"])


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("limit=0", "limit", "found '0'"),
        ("limit=x", "limit", "found 'x'"),
        ("phase=Done", "phase", "'Succeeded', 'Failed'"),
        ("since=yesterday", "since", "found 'yesterday': expected a time such as"),
        ("phse=Failed", "phse", "accepted: limit, continue, phase"),
        ("continue=nonsense", "continue", "`metadata.continue` of the page before"),
        ("since=1h&until=2h", "since", "which is not before `until`"),
    ],
)
def test_bad_parameters_are_named(curl: Curl, admin: str, query: str, field: str, text: str) -> None:
    answer = curl(f"/api/v1/executions?{query}", admin)
    assert text in answer.message(400, "BadRequest")
    assert [cause["field"] for cause in answer.json()["details"]["causes"]] == [field]


def test_a_token_of_another_request_is_refused(curl: Curl, filled: str, admin: str) -> None:
    page = curl(f"/api/v1/namespaces/{filled}/executions?limit=1", admin).json()
    token = page["metadata"]["continue"]
    answer = curl(f"/api/v1/namespaces/{filled}/executions?limit=1&phase=Failed&continue={token}", admin)
    assert "token of another request" in answer.message(400, "BadRequest")
    answer = curl(f"/api/v1/namespaces/{filled}/plans?continue={token}", admin)
    assert "token of another request" in answer.message(400, "BadRequest")


def test_every_request_is_logged_with_its_user(curl: Curl, filled: str, limited: str) -> None:
    curl(f"/api/v1/namespaces/{filled}/executions/run-001", limited)
    log = Path(curl.webhook.log)

    def mine() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("path", "").endswith("/executions/run-001")]

    wait_for(lambda: bool(mine()), 10.0, "the line of the request")
    line = mine()[-1]
    assert line["user"] == f"system:serviceaccount:{filled}:one"
    assert (line["code"], line["msg"]) == (200, "api request")
    assert limited not in log.read_text()
    assert 'route="/api/v1/namespaces/{namespace}/executions/{name}"' in curl.webhook.metrics()


def test_on_a_loopback_address_no_token_is_needed_by_default(curl: Curl, filled: str) -> None:
    webhook = start_webhook(curl.cluster.plane, name="webhook-loopback")
    try:
        local = Curl(curl.cluster, webhook, curl.ca)
        assert local(f"/api/v1/namespaces/{filled}/plans").code == 200
        assert local("/api/v1/plans", "wrong").code == 401
    finally:
        webhook.stop()


def test_the_api_can_be_turned_off(curl: Curl) -> None:
    webhook = start_webhook(curl.cluster.plane, name="webhook-without-api", arguments=["--no-api-enabled"])
    try:
        without = Curl(curl.cluster, webhook, curl.ca)
        assert without("/api/v1/plans", port=webhook.webhook_port, scheme="https").code == 404
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", webhook.api_port), timeout=5)
    finally:
        webhook.stop()


def test_the_port_of_admission_says_where_the_api_is(curl: Curl, admin: str) -> None:
    for path in ("/api/v1/plans", "/api/v1/openapi.json", "/api/x"):
        answer = curl(path, admin, port=curl.webhook.webhook_port, scheme="https")
        text = answer.message(421, "MisdirectedRequest")
        assert f"the HTTP API is on port {curl.webhook.api_port} of the service" in text
    assert curl("/validate-dr-bkbcs-tencent-com-v1alpha1-drplan", admin).code == 404  # no reviews on the API's port


def test_both_can_be_on_one_port_as_before(curl: Curl, filled: str, admin: str) -> None:
    plane = curl.cluster.plane
    port = plane.port()
    webhook = start_webhook(plane, name="webhook-shared", webhook_port=port, api_port=port)
    try:
        shared = Curl(curl.cluster, webhook, curl.ca)
        assert shared(f"/api/v1/namespaces/{filled}/plans", admin).code == 200
        assert shared("/validate-dr-bkbcs-tencent-com-v1alpha1-drplan", None, "-d", "{}").code == 400
    finally:
        webhook.stop()
