"""What an author of workflows cannot reach or smuggle by an HTTP action, on a real installation."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from devcluster import ControlPlane, register_webhooks, start_controller, start_webhook
from tests.e2e.support import action_of
from tests.security.chart_rights import read_references_in
from tests.security.conftest import as_installed
from tests.support.cluster import Cluster
from tests.support.installation import (
    CRDS,
    STEADY_LEASE,
    Installation,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.planes import plane_fixture
from tests.support.site import Answer, Site

pytestmark = pytest.mark.xdist_group("egress")


DEAD_NAMES = """
import socket, time
look_up = socket.getaddrinfo

def hang(host, *arguments, **options):
    if str(host).endswith(".dead.example"):
        time.sleep(120)
    return look_up(host, *arguments, **options)

socket.getaddrinfo = hang
"""
"""Makes name servers of a domain as dead as those of a failed site."""


@plane_fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Site, Site]]:
    """An installation that may call one port of this host; that site, and one that it may not call."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "sitecustomize.py").write_text(DEAD_NAMES)
    with Site().serving() as site, Site().serving() as other, ControlPlane("minimal") as plane:
        plane.api.install_crds(CRDS)
        plane.install_clusternet()
        as_installed(plane.api)
        register_webhooks(plane, start_webhook(plane))
        port = site.url.rpartition(":")[2]
        rules = (f"--egress-allow=127.0.0.1:{port}, *:1-100, 10.0.0.0/8", "--egress-deny=10.1.0.0/16, .denied.example")
        flags = (*STEADY_LEASE, "--egress-loopback=false", *rules)
        start_controller(plane, arguments=flags, env={"PYTHONPATH": str(folder)})
        yield Cluster(plane), site, other


ALWAYS = [
    "http://169.254.169.254/latest/meta-data",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://0.0.0.0:80/",
    "http://[::]:80/",
    "http://2852039166/",
    "http://0xa9.254.0xa9.254/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[fe80::1%25lo]/",
    "http://metadata.google.internal/",
    "http://METADATA.google.internal./",
    "http://169.254.43518/",
    "http://0251.0376.0251.0376/",
    "http://169.254.169.254./",
    "http://%31%36%39.254.169.254/",
    "http://x:y@169.254.170.23:80/",
    "http://[fd20:ce::254]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2001:0:a9fe:a9fe::1]/",
]
BY_RULE = {
    "http://10.1.2.3:80/": "rule 10.1.0.0/16 of egress.deny",
    "http://[::ffff:10.1.2.3]:80/": "rule 10.1.0.0/16 of egress.deny",
    "http://a.denied.example/": "egress.deny has the rule .denied.example",
    "http://11.1.2.3:8080/": "no rule of egress.allow holds for 11.1.2.3 with port 8080",
    "http://127.0.0.2:80/": "egress.loopback is off",
    "http://[::1]:80/": "egress.loopback is off",
    "http://localhost:80/": "egress.loopback is off",
}


def own_addresses() -> list[str]:
    """Where the controller is reached from elsewhere; none on a host without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [f"http://{probe.getsockname()[0]}:80/"]


def test_no_address_gets_past_the_policy(closed: tuple[Cluster, Site, Site]) -> None:
    cluster, site, other = closed
    drplan = Installation(cluster, site, cluster.namespace())
    targets = [*ALWAYS, *BY_RULE, *own_addresses(), other.url]
    actions = []
    for index, target in enumerate(targets):
        actions.append(http_action(f"direct-{index}", target, retryPolicy={"limit": 0}))
        path = f"/{drplan.namespace}/{index}"
        site.script(path, Answer(status=302, headers={"Location": target}))
        actions.append(http_action(f"redirect-{index}", site.url + path, "GET", retryPolicy={"limit": 0}))
    good = http_action("good", f"{site.url}/{drplan.namespace}/good")
    run = [workflow("w", [*actions, good], failurePolicy="Continue"), plan("p", [stage("s", "w")]), execution("e", "p")]
    cluster.apply(run, namespace=drplan.namespace)
    status = drplan.wait_phase("e", "Failed", timeout=60)
    phases = phases_of(status)
    assert phases.pop("good") == "Succeeded"
    assert set(phases.values()) == {"Failed"}
    for index, target in enumerate(targets):
        for way in ("direct", "redirect"):
            message = action_of(status, f"{way}-{index}")["message"]
            assert "(nothing was sent)" in message, (target, way)
            if target in BY_RULE:
                assert "egress policy refuses this call" in message, (target, way)
                assert BY_RULE[target] in message, (target, way)
            elif target in own_addresses():
                assert "egress policy refuses this call" in message, (target, way)
            elif target in ALWAYS:
                assert "is always refused" in message or "the URL is not valid" in message, (target, way, message)
    assert other.count("/") == {}


def test_redirects_take_neither_method_nor_secret_elsewhere(closed: tuple[Cluster, Site, Site]) -> None:
    cluster, site, _ = closed
    drplan = Installation(cluster, site, cluster.namespace())
    root = f"/{drplan.namespace}"
    read_references_in(cluster.api, drplan.namespace)
    cluster.kubectl("create", "secret", "generic", "token", "--from-literal=key=t0ps3cret", namespace=drplan.namespace)
    foreign = site.url.replace("127.0.0.1", "10.255.255.1")
    source = [{"name": "X-Api-Key", "secretKeyRef": {"name": "token", "key": "key"}}]
    site.script(f"{root}/moved", Answer(status=301, headers={"Location": f"{root}/new?secret=t0ken"}))
    site.script(f"{root}/see", Answer(status=303, headers={"Location": f"{root}/result"}))
    site.script(f"{root}/result", Answer(status=500, body='{"error":"no such result"}'))
    site.script(f"{root}/away", Answer(status=307, headers={"Location": f"{foreign}/x"}))
    post = {"method": "POST", "body": "x", "headersFrom": source}
    names = {"moved": post, "see": post, "away": post, "as-get": {**post, "followRedirects": "AsGet"}}
    actions = [
        http_action(
            name,
            f"{site.url}{root}/{'moved' if name == 'as-get' else name}",
            http=http,
            retryPolicy={"interval": "10ms"},
        )
        for name, http in names.items()
    ]
    run = [workflow("w", actions, failurePolicy="Continue"), plan("p", [stage("s", "w")]), execution("e", "p")]
    cluster.apply(run, namespace=drplan.namespace)
    status = drplan.wait_phase("e", "Failed", timeout=60)
    told = {name: action_of(status, name)["message"] for name in names}
    assert phases_of(status) == {"moved": "Failed", "see": "Failed", "away": "Failed", "as-get": "Succeeded"}
    assert f"a redirect to {site.url}{root}/new?…: following it would turn POST into GET" in told["moved"]
    assert "t0ken" not in str(status)
    assert told["see"] == 'unexpected status code: 500: {"error":"no such result"}'
    assert "the body does not travel there" in told["away"]
    calls = [(call.method, call.path.removeprefix(root)) for call in site.calls(prefix=root)]
    assert sorted(calls) == [
        ("GET", "/new?secret=t0ken"),
        ("GET", "/result"),
        ("POST", "/away"),
        ("POST", "/moved"),
        ("POST", "/moved"),
        ("POST", "/see"),
    ]


def test_headers_of_the_connection_are_refused_at_admission(closed: tuple[Cluster, Site, Site]) -> None:
    cluster, site, _ = closed
    namespace = cluster.namespace()

    def refusal(**http: Any) -> str:
        made = workflow("w", [http_action("a", site.url, http=http)])
        return cluster.kubectl("apply", "-f", "-", stdin=made, namespace=namespace, check=False).stderr

    for name in ("Host", "content-length", "Transfer-Encoding", "Proxy-Connection", "TE", "Upgrade"):
        assert f"HTTP.Headers: '{name}' belongs to the connection" in refusal(headers={name: "x"})
    source = [{"name": "Connection", "secretKeyRef": {"name": "s", "key": "k"}}]
    assert "HTTP.HeadersFrom[0].name: 'Connection' belongs to the connection" in refusal(headersFrom=source)
    assert "Unsupported value" in refusal(followRedirects="AsPost")
    assert "Unsupported value" in refusal(followRedirects="true")
    assert "Unsupported value" in refusal(delivery="Once")
    assert "HTTP.RequestTimeout: invalid value 5" in refusal(requestTimeout="5")
    for good in (True, False, "AsGet"):
        assert refusal(followRedirects=good, delivery="AtMostOnce", requestTimeout="5s") == ""


def test_dead_names_hold_up_no_other_run(closed: tuple[Cluster, Site, Site]) -> None:
    cluster, site, _ = closed
    drplan = Installation(cluster, site, cluster.namespace())
    port = site.url.rpartition(":")[2]
    dead = [
        http_action(f"a-{n}", f"http://db-{n}.dead.example/", timeout="9s", retryPolicy={"limit": 0}, dependsOn=[])
        for n in range(20)
    ]
    dead.append(http_action("after", f"{site.url}/{drplan.namespace}/after", dependsOn=["a-0"]))
    alive = http_action("call", f"http://localhost:{port}/{drplan.namespace}/alive")
    cluster.apply(
        [
            workflow("dead", dead, failurePolicy="Continue"),
            workflow("alive", [alive]),
            plan("dead", [stage("s", "dead")]),
            plan("alive", [stage("s", "alive")]),
        ],
        namespace=drplan.namespace,
    )
    cluster.apply(execution("dead", "dead"), namespace=drplan.namespace)
    drplan.wait(lambda: list(phases_of(drplan.status("dead")).values()).count("Running") == 20)
    cluster.apply(execution("alive", "alive"), namespace=drplan.namespace)
    call = action_of(drplan.wait_phase("alive", "Succeeded", timeout=30), "call")
    took = datetime.fromisoformat(call["completionTime"]) - datetime.fromisoformat(call["startTime"])
    assert took.total_seconds() < 9
    ended = drplan.wait_phase("dead", "Failed", timeout=60)
    message = action_of(ended, "a-7")["message"]
    assert message.startswith("timed out after 9s: HTTP request failed: POST http://db-7.dead.example: ")
    assert message.endswith("the name look-up took too long (nothing was sent)")
