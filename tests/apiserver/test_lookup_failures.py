"""What admission says when the API server cannot be asked: a proxy between the two fails on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster import register_webhooks, start_webhook, unregister_webhooks
from tests.support.cluster import Cluster
from tests.support.installation import API, execution, http_action, plan, stage, workflow
from tests.support.proxy import Act, Match, Proxy, Request, hold, lose_request, refuse

CLIENT = "webhook"
REFUSED = "refused by the test"
FOUR = ("w", "x", "y", "z")
DENIED = 'admission webhook "v{}.kb.io" denied the request: '


@pytest.fixture(scope="module")
def proxy(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy behind which the webhook service of `cluster` works."""
    authority: Path = tmp_path_factory.mktemp("proxy") / "ca.pem"
    authority.write_bytes(cluster.plane.authority.pem)
    with Proxy(cluster.plane.server, authority).serving() as proxy:
        config = proxy.kubeconfig(CLIENT, cluster.plane.identity("webhook").token, cluster.plane.directory)
        service = start_webhook(cluster.plane, name="webhook-proxied", arguments=[f"--kubeconfig={config}"])
        try:
            register_webhooks(cluster.plane, service)
            yield proxy
        finally:
            unregister_webhooks(cluster.plane)
            service.stop()


class Place:
    """A namespace with workflow w and plan p, and what is asked of it while look-ups fail."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.api = cluster.api
        self.root = f"/apis/{API}/namespaces/{namespace}"
        self.namespace = namespace
        self.api.request("POST", f"{self.root}/drworkflows", workflow("w", [http_action("a", "http://127.0.0.1:1/")]))
        self.api.request("POST", f"{self.root}/drplans", plan("p", [stage("s", "w")]))

    def ask(self, request: str) -> tuple[int, dict[str, Any]]:
        """Send one of the requests that need a look-up."""
        status, body = {
            "delete workflow": lambda: self.api.raw("DELETE", f"{self.root}/drworkflows/w"),
            "delete plan": lambda: self.api.raw("DELETE", f"{self.root}/drplans/p"),
            "create plan": lambda: self.api.raw("POST", f"{self.root}/drplans", plan("q", [stage("s", "w")])),
            "create large plan": lambda: self.api.raw("POST", f"{self.root}/drplans", plan("q", [stage("s", *FOUR)])),
            "create execution": lambda: self.api.raw("POST", f"{self.root}/drplanexecutions", execution("e", "p")),
        }[request]()
        return status, json.loads(body)

    def check_unchanged(self) -> None:
        """Assert that nothing was deleted or created."""
        for kind, names in (("drworkflows", ["w"]), ("drplans", ["p"]), ("drplanexecutions", [])):
            stored = self.api.get(f"{self.root}/{kind}")["items"]
            assert [item["metadata"]["name"] for item in stored] == names


@pytest.fixture
def place(proxy: Proxy, cluster: Cluster, namespace: str) -> Iterator[Place]:
    yield Place(cluster, namespace)
    proxy.clear()


REQUESTS = {
    "delete workflow": ("drworkflow", "/drplans", "failed to check references: failed to list DRPlans: "),
    "delete plan": (
        "drplan",
        "/drplanexecutions",
        "failed to check running executions: failed to list DRPlanExecutions: ",
    ),
    "create plan": ("drplan", "/drworkflows/w", "failed to get DRWorkflow {}/w: "),
    "create large plan": ("drplan", "/drworkflows", "failed to list DRWorkflows of namespace {}: "),
    "create execution": ("drplanexecution", "/drplans/p", "failed to get DRPlan {}/p: "),
}
"""For each request the kind whose webhook answers, the end of the path of its look-up, and how the refusal begins."""


def _look_up(end: str) -> Match:
    """A look-up of the webhook service; its readiness check lists one plan."""

    def match(request: Request) -> bool:
        return request.client == CLIENT and request.path.endswith(end) and request.query.get("limit") != "1"

    return match


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(
    ("act", "code", "reason", "text"),
    [
        pytest.param(refuse(403, "Forbidden"), 403, "Forbidden", REFUSED, id="403"),
        pytest.param(refuse(429, "TooManyRequests"), 429, "TooManyRequests", REFUSED, id="429"),
        pytest.param(refuse(500, "InternalError"), 500, "InternalError", REFUSED, id="500"),
        pytest.param(refuse(503, "ServiceUnavailable"), 503, "ServiceUnavailable", REFUSED, id="503"),
        pytest.param(lose_request, 503, "ServiceUnavailable", "no answer from the API server", id="cut"),
        pytest.param(hold, 503, "ServiceUnavailable", "within 5 s; check the load and health", id="hang"),
    ],
)
def test_refusal_tells_what_could_not_be_read_and_keeps_the_code(
    place: Place, proxy: Proxy, request_name: str, act: Act, code: int, reason: str, text: str
) -> None:
    kind, end, begin = REQUESTS[request_name]
    rule = proxy.on(_look_up(end), act, times=None)
    status, answer = place.ask(request_name)
    assert rule.fired
    assert (status, answer["code"], answer["reason"]) == (code, code, reason)
    assert answer["message"].startswith(DENIED.format(kind) + begin.format(place.namespace))
    assert text in answer["message"]
    proxy.clear()
    place.check_unchanged()


def test_review_ends_before_the_api_server_gives_up_on_it(place: Place, proxy: Proxy) -> None:
    """Nothing answers any more, neither the first look-up nor those after it."""
    proxy.on(lambda request: request.client == CLIENT, hold, times=None)
    status, answer = place.ask("delete plan")
    assert (status, answer["reason"]) == (504, "Timeout")
    assert "the review did not finish within 8.0 s, because the API server answers slowly" in answer["message"]
    proxy.clear()
    place.check_unchanged()
