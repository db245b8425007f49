"""HTTP actions against servers on the loopback interface."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.engine.egress import Egress
from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.kube.client import KubeClient
from app.kube.errors import ApiUnavailable, NotFound
from app.kube.resources import SECRETS, Resource
from app.models.actions import ActionBody
from app.models.execution import ActionOutputs, HttpResponse
from app.runtime.http_client import HttpSender
from controller.actions.base import ActionContext
from controller.actions.http import HttpExecutor, first_bytes
from tests.unit.actions.support import action, context

EXECUTOR = HttpExecutor()


class SecretsOnly:
    """The part of the API server that HTTP actions need."""

    def __init__(self, **secrets: dict[str, str]) -> None:
        self.secrets = secrets
        self.reads = 0

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        assert resource is SECRETS
        self.reads += 1
        if name == "away":
            raise ApiUnavailable("no answer", server="https://127.0.0.1:1", in_doubt=False)
        if namespace != "workflows" or name not in self.secrets:
            raise NotFound(404, "NotFound", f'secrets "{name}" not found')
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.secrets[name].items()}
        return {"kind": "Secret", "data": data}


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Site:
    """A server that remembers what it was asked."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)


LOOPBACK = Egress(loopback=True)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    site = Site()

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.text()
        headers = {name.lower(): value for name, value in request.headers.items()}
        site.requests.append(Request(request.method, request.path_qs, headers, body))
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await tcp.start()
    site.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield site
    finally:
        await runner.cleanup()


def answering(status: int = 200, body: str | bytes = "ok", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        content = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=content, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler


@pytest_asyncio.fixture
async def http() -> AsyncIterator[HttpSender]:
    async with HttpSender(LOOPBACK) as sender:
        yield sender


def at(http: HttpSender, kube: SecretsOnly | None = None, **others: Any) -> ActionContext:
    return context(cast("KubeClient", kube), http=http, workflow_namespace="workflows", **others)


def call(url: str, **block: Any) -> ActionBody:
    return action("HTTP", http={"url": url, **block})


def response_of(outcome: Outcome) -> HttpResponse:
    assert not isinstance(outcome, NothingToDo)
    assert outcome.outputs is not None
    assert outcome.outputs.http_response is not None
    return outcome.outputs.http_response


async def test_everything_is_rendered_and_sent(http: HttpSender) -> None:
    async with serving(answering(201, "made")) as site:
        body = call(
            f"{site.url}/switch/$(params.region)?from=$(planName)",
            method="POST",
            headers={"X-Region": "$(params.region)"},
            body='{"to":"$(params.region)","run":"$(executionName)"}',
        )
        outcome = await EXECUTOR.execute(body, at(http, params={"region": "b"}))
    assert outcome == Succeeded(
        "HTTP POST succeeded with status 201",
        ActionOutputs(http_response=HttpResponse(status_code=201, body="made")),
    )
    (request,) = site.requests
    assert (request.method, request.path) == ("POST", "/switch/b?from=plan")
    assert request.body == '{"to":"b","run":"failover"}'
    assert request.headers["x-region"] == "b"
    assert request.headers["idempotency-key"] == "run-1/first/0/step"
    assert "content-type" not in request.headers


async def test_own_idempotency_key_wins_in_any_letter_case(http: HttpSender) -> None:
    async with serving(answering()) as site:
        await EXECUTOR.execute(call(site.url, headers={"idempotency-KEY": "mine"}), at(http))
    assert site.requests[0].headers["idempotency-key"] == "mine"


async def test_the_target_is_told_no_trace_that_nobody_records(http: HttpSender) -> None:
    async with serving(answering()) as site:
        await EXECUTOR.execute(call(site.url), at(http))
    assert "traceparent" not in site.requests[0].headers


async def test_an_author_s_own_traceparent_wins_in_any_letter_case(http: HttpSender) -> None:
    async with serving(answering()) as site:
        await EXECUTOR.execute(call(site.url, headers={"TraceParent": "mine"}), at(http))
    assert site.requests[0].headers["traceparent"] == "mine"


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (404, False), (408, True), (409, False), (425, True), (429, True), (500, True), (503, True)],
)
async def test_failed_status_and_whether_it_is_worth_repeating(http: HttpSender, status: int, retryable: bool) -> None:
    async with serving(answering(status, "why")) as site:
        outcome = await EXECUTOR.execute(call(site.url), at(http))
    assert isinstance(outcome, Failed)
    assert outcome.message == f"unexpected status code: {status}: why"
    assert outcome.retryable is retryable
    assert outcome.retry_after is None
    assert response_of(outcome) == HttpResponse(status_code=status, body="why")


async def test_success_codes_replace_the_default_range(http: HttpSender) -> None:
    async with serving(answering(204, "")) as site:
        accepted = await EXECUTOR.execute(call(site.url, successCodes=[200, 204]), at(http))
        refused = await EXECUTOR.execute(call(site.url, successCodes=[200]), at(http))
    assert isinstance(accepted, Succeeded)
    assert isinstance(refused, Failed)
    assert refused.message == "status code 204 not in success codes"
    assert not refused.retryable


async def test_retry_after_in_seconds_and_as_date(http: HttpSender) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    async with serving(answering(503, Retry_After="17")) as one, serving(answering(429, Retry_After=date)) as other:
        seconds = await EXECUTOR.execute(call(one.url), at(http))
        until = await EXECUTOR.execute(call(other.url), at(http))
    assert isinstance(seconds, Failed)
    assert seconds.retry_after == 17.0
    assert isinstance(until, Failed)
    assert until.retry_after is not None
    assert 7000 < until.retry_after <= 7200


async def test_redirects_are_followed_unless_asked_otherwise(http: HttpSender) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/old":
            return web.Response(status=302, headers={"Location": "/new"})
        return web.Response(text="here")

    async with serving(handler) as site:
        followed = await EXECUTOR.execute(call(f"{site.url}/old"), at(http))
        block = {"followRedirects": False, "successCodes": [302]}
        stopped = await EXECUTOR.execute(call(f"{site.url}/old", **block), at(http))
    assert response_of(followed) == HttpResponse(status_code=200, body="here")
    assert isinstance(stopped, Succeeded)
    assert response_of(stopped).status_code == 302
    assert [request.path for request in site.requests] == ["/old", "/new", "/old"]


async def test_endless_redirects_fail_for_good(http: HttpSender) -> None:
    async with serving(answering(302, Location="/again")) as site:
        outcome = await EXECUTOR.execute(call(site.url), at(http))
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("HTTP request failed: GET ")
    assert not outcome.retryable


async def test_endless_body_is_not_read_to_the_end(http: HttpSender) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with serving(handler) as site:
        outcome = await EXECUTOR.execute(call(site.url), at(http))
    assert isinstance(outcome, Succeeded)
    assert response_of(outcome).body == "x" * 1000


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a" * 999 + "é", "a" * 999), ("a" * 998 + "é!", "a" * 998 + "é"), ("€" * 400, "€" * 333), ("short", "short")],
)
def test_text_is_never_cut_inside_a_character(text: str, kept: str) -> None:
    assert first_bytes(text) == kept


async def test_binary_body_is_kept_as_text(http: HttpSender) -> None:
    async with serving(answering(200, b"\xff\xfe" * 600)) as site:
        outcome = await EXECUTOR.execute(call(site.url), at(http))
    body = response_of(outcome).body
    assert set(body) == {"\ufffd"}
    assert len(body.encode()) <= 1000


async def test_broken_and_refused_connections_are_worth_repeating(http: HttpSender) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(handler) as site:
        reset = await EXECUTOR.execute(call(f"{site.url}/secret?token=t0ken"), at(http))
    refused = await EXECUTOR.execute(call(site.url), at(http))
    for outcome in (reset, refused):
        assert isinstance(outcome, Failed)
        assert outcome.retryable
        assert outcome.message.startswith(f"HTTP request failed: GET {site.url}")
        assert "t0ken" not in outcome.message
    assert len(site.requests) == 1


async def test_running_out_of_time_is_not_repeated(http: HttpSender) -> None:
    release = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with serving(handler) as site:
        outcome = await EXECUTOR.execute(call(site.url), at(http, seconds=0.3))
        release.set()
        expired = await EXECUTOR.execute(call(site.url), at(http, seconds=0.0))
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert outcome.message.startswith("timed out after 0.3s: HTTP request failed: GET ")
    assert expired == Failed("timed out after 0s", timed_out=True)
    assert len(site.requests) == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "nonsense", "http://"])
async def test_unusable_urls_fail_for_good(http: HttpSender, url: str) -> None:
    outcome = await EXECUTOR.execute(call(url), at(http))
    assert isinstance(outcome, Failed)
    assert not outcome.retryable


async def test_all_placeholders_without_value_are_told_and_nothing_is_sent(http: HttpSender) -> None:
    async with serving(answering()) as site:
        body = call(f"{site.url}/$(params.a)", headers={"X": "$(params.b)"}, body="$(params.c)")
        outcome = await EXECUTOR.execute(body, at(http))
    assert outcome == Failed(
        'failed to render URL: failed to resolve "$(params.a)": key "a" not found; '
        'failed to render body: failed to resolve "$(params.c)": key "c" not found; '
        'failed to render header "X": failed to resolve "$(params.b)": key "b" not found'
    )
    assert site.requests == []


async def test_secret_headers_are_sent_and_never_shown(http: HttpSender) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=403, text=f"{'x' * 980} denied: {request.headers['Authorization']}")

    kube = SecretsOnly(token={"value": "s3cr3t\n"})
    source = {"name": "authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "token", "key": "value"}}
    async with serving(echo) as site:
        body = call(site.url, headers={"Authorization": "placeholder"}, headersFrom=[source])
        outcome = await EXECUTOR.execute(body, at(http, kube))
    assert site.requests[0].headers["authorization"] == "Bearer s3cr3t"
    assert "s3cr3t" not in repr(outcome)
    assert response_of(outcome).body.endswith("denied: ***")


async def test_values_of_secret_parameters_are_masked_in_the_answer(http: HttpSender) -> None:
    async with serving(answering(200, "your token is s3cr3t")) as site:
        where = at(http, params={"token": "s3cr3t"}, secrets=frozenset({"token"}))
        outcome = await EXECUTOR.execute(call(site.url, body="$(params.token)"), where)
    assert site.requests[0].body == "s3cr3t"
    assert response_of(outcome).body == "your token is ***"


async def test_a_secret_that_is_longer_than_what_is_read_of_an_answer_is_masked(http: HttpSender) -> None:
    secret = "kubeconfig of " + "ü0123456789" * 10_000
    async with serving(answering(200, f"you said {secret}")) as site:
        where = at(http, params={"token": secret}, secrets=frozenset({"token"}))
        outcome = await EXECUTOR.execute(call(site.url, body="$(params.token)"), where)
    assert response_of(outcome).body == "you said ***"


@pytest.mark.parametrize(
    ("secret", "key", "message", "retryable"),
    [
        ("none", "x", 'Secret workflows/none: secrets "none" not found; create it in', False),
        ("token", "x", 'Secret workflows/token: it has no key "x", only value', False),
        ("away", "x", "Secret workflows/away: no answer", True),
    ],
)
async def test_missing_secrets(http: HttpSender, secret: str, key: str, message: str, retryable: bool) -> None:
    source = {"name": "X-Token", "secretKeyRef": {"name": secret, "key": key}}
    outcome = await EXECUTOR.execute(
        call("http://127.0.0.1:1/", headersFrom=[source]), at(http, SecretsOnly(token={"value": "s3cr3t"}))
    )
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith('failed to read header "X-Token" from ')
    assert message in outcome.message
    assert outcome.retryable is retryable


@dataclass
class Authority:
    """A certificate authority of one test."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    pem: str

    @classmethod
    def make(cls) -> "Authority":
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        key = ec.generate_private_key(ec.SECP256R1())
        unsigned = _unsigned(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        unsigned = unsigned.add_extension(usage, True)
        unsigned = unsigned.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        return cls(name, key, _pem(unsigned.sign(key, hashes.SHA256())))

    def issue(self, name: str) -> tuple[str, str]:
        """Certificate and key for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        unsigned = _unsigned(subject, self.name, key).add_extension(names, False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = unsigned.add_extension(identifier, False).sign(self.key, hashes.SHA256())
        encoding, format_ = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return _pem(certificate), key.private_bytes(encoding, format_, serialization.NoEncryption()).decode()


def _unsigned(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def server_tls(authority: Authority, directory: Path, *, client_certificates: bool = False) -> ssl.SSLContext:
    certificate, key = authority.issue("site")
    (directory / "tls.pem").write_text(certificate + key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(directory / "tls.pem")
    if client_certificates:
        tls.load_verify_locations(cadata=authority.pem)
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


async def test_server_certificate_is_checked(http: HttpSender, tmp_path: Path) -> None:
    authority = Authority.make()
    async with serving(answering(), server_tls(authority, tmp_path)) as site:
        unknown = await EXECUTOR.execute(call(site.url), at(http))
        known = await EXECUTOR.execute(call(site.url, caBundle=authority.pem), at(http))
        unchecked = await EXECUTOR.execute(call(site.url, insecureSkipVerify=True), at(http))
    assert isinstance(unknown, Failed)
    assert "certificate is not trusted" in unknown.message
    assert not unknown.retryable
    assert isinstance(known, Succeeded)
    assert isinstance(unchecked, Succeeded)


async def test_client_certificate_comes_from_a_secret(http: HttpSender, tmp_path: Path) -> None:
    authority = Authority.make()
    certificate, key = authority.issue("controller")
    kube = SecretsOnly(pair={"tls.crt": certificate, "tls.key": key})

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert")
        return web.Response(text=peer["subject"][0][0][1])

    async with serving(who, server_tls(authority, tmp_path, client_certificates=True)) as site:
        block = {"caBundle": authority.pem, "clientCertificateSecretRef": {"name": "pair"}}
        with_pair = await EXECUTOR.execute(call(site.url, **block), at(http, kube))
        without = await EXECUTOR.execute(call(site.url, caBundle=authority.pem), at(http, kube))
    assert response_of(with_pair).body == "controller"
    assert kube.reads == 1
    assert isinstance(without, Failed)


async def test_missing_block_and_rollback(http: HttpSender) -> None:
    assert await EXECUTOR.execute(ActionBody(), at(http)) == Failed("HTTP configuration is required")
    undone = await EXECUTOR.rollback(call("http://127.0.0.1"), ActionOutputs(), at(http))
    assert undone == NothingToDo("No rollback defined for HTTP action")
