"""One attempt of a health check: what counts as healthy, what is told, and that no secret is."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

import pytest

from app.engine.health import Answer
from app.kube.client import KubeClient
from app.kube.errors import ApiUnavailable, NotFound, UnknownKind
from app.kube.resources import NAMESPACES, SECRETS, Resource
from app.models.health import HealthCheck
from app.runtime.http_client import HttpCall, HttpReply, HttpSender
from app.runtime.http_errors import HttpSendError
from controller.actions.health import look
from tests.unit.actions.support import context

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", reports_status=False)
SERVED = {("v1", "ConfigMap"): CONFIG_MAPS, ("v1", "Namespace"): NAMESPACES, ("apps/v1", "Deployment"): DEPLOYMENTS}


class Cluster:
    """The part of the API server that health checks need."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in objects}
        self.at_once = self.most_at_once = 0

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        if (api_version, kind) not in SERVED:
            raise UnknownKind(f"no kind {kind} in {api_version}")
        return SERVED[(api_version, kind)]

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if name == "away":
            raise ApiUnavailable("no answer", server="https://127.0.0.1:1", in_doubt=False)
        if resource is SECRETS:
            return {"kind": "Secret", "data": {"t": base64.b64encode(b"s3cr3t-t0ken").decode()}}
        try:
            return self.objects[(resource.kind, namespace, name)]
        except KeyError:
            raise NotFound(404, "NotFound", "not found") from None

    async def list_all(self, resource: Resource, **_: Any) -> list[dict[str, Any]]:
        del resource
        return []


class Answering:
    """A target with one answer, or with none."""

    def __init__(self, answer: HttpReply | HttpSendError) -> None:
        self.answer = answer
        self.calls: list[HttpCall] = []

    async def send(self, call: HttpCall) -> HttpReply:
        self.calls.append(call)
        if isinstance(self.answer, HttpSendError):
            raise self.answer
        return self.answer


def reply(status: int = 200, body: bytes = b"ok", **more: Any) -> HttpReply:
    return HttpReply(status, {"content-type": "text/plain"}, body, **{"truncated": False, **more})


async def asked(answer: HttpReply | HttpSendError, **http: Any) -> tuple[Answer, list[HttpCall]]:
    target = Answering(answer)
    check = HealthCheck.from_wire({"name": "web", "http": {"url": "https://web.invalid/$(params.path)", **http}})
    found = await look(
        check,
        context(cast("KubeClient", Cluster()), http=cast("HttpSender", target), params={"path": "health"}),
    )
    return found, target.calls


async def looked(cluster: Cluster, *resources: dict[str, Any]) -> Answer:
    check = HealthCheck.from_wire({"name": "objects", "resources": list(resources)})
    return await look(check, context(cast("KubeClient", cluster)))


def config_map(name: str, namespace: str = "default") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def named(name: str, **more: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, **more}


@pytest.mark.parametrize(
    ("answer", "http", "expected"),
    [
        (reply(204), {}, Answer(True, "HTTP 204")),
        (reply(301), {"successCodes": [301]}, Answer(True, "HTTP 301")),
        (reply(503, b"switching\nover"), {}, Answer(False, "unexpected status code: 503: switching over")),
        (reply(200), {"successCodes": [201]}, Answer(False, "status code 200 not in success codes: ok")),
        (reply(200, b'{"ok": true}'), {"healthyWhen": "body.ok == true"}, Answer(True, "HTTP 200")),
        (
            reply(200, b'{"ok": false}'),
            {"healthyWhen": "body.ok == true"},
            Answer(False, 'HTTP 200, but healthyWhen "body.ok == true" is false'),
        ),
        (reply(503), {"healthyWhen": "status == 503"}, Answer(False, "unexpected status code: 503: ok")),
        (
            HttpSendError("GET https://web.invalid: refused", retryable=True),
            {},
            Answer(False, "HTTP request failed: GET https://web.invalid: refused"),
        ),
        (reply(302, not_followed="302 was not followed"), {}, Answer(False, "302 was not followed")),
    ],
)
async def test_an_answer_is_judged(answer: HttpReply | HttpSendError, http: dict[str, Any], expected: Answer) -> None:
    assert (await asked(answer, **http))[0] == expected


async def test_a_body_that_was_cut_is_no_json() -> None:
    found, _ = await asked(reply(200, b'{"ok": true}', truncated=True), healthyWhen="body.ok == true")
    assert not found.healthy
    assert found.text.endswith("(the answer has no JSON)")


async def test_it_sends_what_the_plan_says_and_tells_no_secret() -> None:
    source = {"name": "Authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "probe", "key": "t"}}
    found, calls = await asked(
        reply(401, b"bad token s3cr3t-t0ken"),
        method="POST",
        body="{}",
        headers={"x": "$(planName)"},
        headersFrom=[source],
    )
    [call] = calls
    assert (call.method, call.url, call.body) == ("POST", "https://web.invalid/health", b"{}")
    assert dict(call.headers) == {"x": "plan", "Authorization": "Bearer s3cr3t-t0ken"}
    assert 0 < call.timeout <= 20
    assert found == Answer(False, "unexpected status code: 401: bad token ***")


@pytest.mark.parametrize(
    ("http", "why"),
    [
        ({"url": "https://$(params.gone)/"}, "failed to render URL"),
        ({"headersFrom": [{"name": "A", "secretKeyRef": {"name": "probe", "key": "no"}}]}, 'has no key "no"'),
        ({"headersFrom": [{"name": "A", "secretKeyRef": {"name": "away", "key": "t"}}]}, "no answer"),
    ],
)
async def test_a_request_that_cannot_be_made_up_is_told(http: dict[str, Any], why: str) -> None:
    found, calls = await asked(reply(), **http)
    assert (found.healthy, calls) == (False, [])
    assert why in found.text


async def test_objects_must_all_be_ready() -> None:
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "site"}, "status": {"phase": "Active"}}
    cluster = Cluster(config_map("a"), config_map("b", "other"), web, space)
    assert await looked(cluster, named("a")) == Answer(True, "1 object is ready")
    everything = (named("a"), named("b", namespace="other"), named("site", kind="Namespace"))
    assert await looked(cluster, *everything) == Answer(True, "3 objects are ready")
    found = await looked(cluster, named("a"), named("web", apiVersion="apps/v1", kind="Deployment"))
    assert not found.healthy
    assert found.text.startswith("Deployment default/web is not ready: ")
    ready = {"readyWhen": 'object.metadata.name == "web"', "apiVersion": "apps/v1", "kind": "Deployment"}
    assert (await looked(cluster, named("web", **ready))).healthy


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (named("gone"), "ConfigMap default/gone is not ready: it does not exist"),
        (named("away", namespace="n"), "ConfigMap n/away is not ready: no answer"),
        (named("x", kind="Cluster"), "Cluster x is not ready: no kind Cluster in v1"),
        (named("a", readyWhen="nonsense =="), "ConfigMap a is not ready: invalid readyWhen"),
    ],
)
async def test_what_keeps_an_object_from_being_ready_is_told(resource: dict[str, Any], text: str) -> None:
    found = await looked(Cluster(config_map("a")), resource)
    assert not found.healthy
    assert found.text.startswith(text)


async def test_many_objects_are_read_a_few_at_a_time_and_told_in_short() -> None:
    cluster = Cluster()
    found = await looked(cluster, *(named(f"c{number}") for number in range(50)))
    assert found.text.endswith("; and 47 more")
    assert found.text.count("does not exist") == 3
    assert cluster.most_at_once <= 8
