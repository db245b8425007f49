"""The HTTP client of actions: sent once, bounded, and silent about secrets."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from app.engine.egress import Egress
from app.runtime import http_client
from app.runtime.http_client import HttpCall, HttpSender
from app.runtime.http_errors import HttpSendError
from tests.unit.runtime.pki import Authority

LOOPBACK = Egress(loopback=True)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    """A little web site and what it was asked."""

    url: str = ""
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    site = Site()

    async def handle(request: web.Request) -> web.StreamResponse:
        site.requests.append(request)
        site.bodies.append(await request.read())
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "https" if tls else "http"
    site.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield site
    finally:
        await runner.cleanup()


async def greet(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="hello", headers={"X-Version": "7"})


async def failure(call: HttpCall) -> HttpSendError:
    async with HttpSender(LOOPBACK) as http:
        with pytest.raises(HttpSendError) as caught:
            await http.send(call)
    return caught.value


async def test_what_is_sent_and_what_comes_back() -> None:
    async with serving(greet) as site, HttpSender(LOOPBACK) as http:
        headers = {"Content-Type": "application/json", "X-Name": "Zürich"}
        reply = await http.send(HttpCall("POST", site.url + "/a?b=c", headers, b'{"x":1}'))
        request = site.requests[0]
        assert (reply.status, reply.body, reply.truncated) == (200, b"hello", False)
        assert reply.headers["x-version"] == "7"
        assert (request.method, request.path_qs, site.bodies) == ("POST", "/a?b=c", [b'{"x":1}'])
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["X-Name"] == "Zürich"
        assert request.headers["User-Agent"].startswith("drplan/")


async def test_a_body_without_content_type_gets_none() -> None:
    async with serving(greet) as site, HttpSender(LOOPBACK) as http:
        await http.send(HttpCall("POST", site.url, body=b"x"))
        assert "Content-Type" not in site.requests[0].headers


async def test_failure_statuses_are_replies() -> None:
    async def unavailable(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="later", status=503, headers={"Retry-After": "3"})

    async with serving(unavailable) as site, HttpSender(LOOPBACK) as http:
        reply = await http.send(HttpCall("GET", site.url))
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (503, b"later", "3")


async def test_bodies_are_bounded_also_when_compressed() -> None:
    async def big(request: web.Request) -> web.StreamResponse:
        if request.path == "/gzip":
            return web.Response(body=gzip.compress(b"x" * 1_000_000), headers={"Content-Encoding": "gzip"})
        return web.Response(body=b"x" * 1_000_000)

    async with serving(big) as site, HttpSender(LOOPBACK) as http:
        for path in ("/", "/gzip"):
            reply = await http.send(HttpCall("GET", site.url + path, max_bytes=1000))
            assert (len(reply.body), reply.truncated) == (1000, True)
        exact = await http.send(HttpCall("GET", site.url, max_bytes=1_000_000))
        assert (len(exact.body), exact.truncated) == (1_000_000, False)


async def test_redirects_are_followed_unless_told_otherwise() -> None:
    async def redirect(request: web.Request) -> web.StreamResponse:
        if request.path == "/from":
            raise web.HTTPTemporaryRedirect("/to")
        return web.Response(text=request.path)

    async with serving(redirect) as site, HttpSender(LOOPBACK) as http:
        assert (await http.send(HttpCall("POST", site.url + "/from", body=b"x"))).body == b"/to"
        assert site.bodies == [b"x", b"x"]
        assert (await http.send(HttpCall("GET", site.url + "/from", follow_redirects=False))).status == 307


async def test_endless_redirects_are_final() -> None:
    async def around(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/")

    async with serving(around) as site:
        error = await failure(HttpCall("GET", site.url))
    assert "more than 10 redirects" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_call_whose_connection_broke_was_sent_once(method: str) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(cut) as site:
        error = await failure(HttpCall(method, site.url))
        assert len(site.requests) == 1
    assert error.retryable
    assert "broke" in str(error)


async def test_a_body_that_breaks_off_leaves_the_status_in_force() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(half) as site, HttpSender(LOOPBACK) as http:
        reply = await http.send(HttpCall("GET", site.url))
    assert (reply.status, reply.body, reply.odd) == (200, b"half", "its body broke off")


async def test_the_timeout_covers_the_whole_call() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(slow) as site:
        error = await failure(HttpCall("GET", site.url, timeout=0.3))
    assert "no answer in time" in str(error)
    assert (error.retryable, error.in_doubt, error.timed_out) == (True, True, True)


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await failure(HttpCall("GET", f"http://127.0.0.1:{free.getsockname()[1]}/"))
    assert "connection refused" in str(error)
    assert error.retryable


async def test_a_host_that_does_not_exist() -> None:
    error = await failure(HttpCall("GET", "http://no-such-host.invalid/"))
    assert "the host name cannot be resolved" in str(error)
    assert error.retryable


@pytest.mark.parametrize("url", ["nope", "http://", "ftp://example.invalid/", "http://a:b:c/", "https://[::1/"])
async def test_urls_that_are_none_are_final(url: str) -> None:
    error = await failure(HttpCall("GET", url))
    assert "the URL is not valid" in str(error)
    assert not error.retryable


async def test_headers_that_http_forbids_are_final() -> None:
    async with serving(greet) as site:
        error = await failure(HttpCall("GET", site.url, {"X-A": "b\r\nInjected: c"}))
        assert site.requests == []
    assert "characters that HTTP forbids" in str(error)
    assert not error.retryable


async def test_secrets_are_not_in_errors() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:hunter2@127.0.0.1:{free.getsockname()[1]}/hook/s3cret?token=t0ken"
        call = HttpCall("POST", url, {"Authorization": "Bearer abc"}, b"b0dy")
        error = await failure(call)
    for secret in ("hunter2", "s3cret", "t0ken", "abc", "b0dy"):
        assert secret not in str(error)
    assert "b0dy" not in repr(call)
    assert "Bearer" not in repr(call)


async def test_a_user_in_the_url_is_basic_auth() -> None:
    async with serving(greet) as site, HttpSender(LOOPBACK) as http:
        await http.send(HttpCall("GET", site.url.replace("//", "//u:p@")))
        assert site.requests[0].headers["Authorization"] == "Basic dTpw"


async def test_cookies_are_not_kept() -> None:
    async def cookie(_request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"Set-Cookie": "session=1"})

    async with serving(cookie) as site, HttpSender(LOOPBACK) as http:
        await http.send(HttpCall("GET", site.url))
        await http.send(HttpCall("GET", site.url))
        assert "Cookie" not in site.requests[1].headers


async def test_certificates_are_verified_against_the_given_authority() -> None:
    authority = Authority()
    async with serving(greet, authority.server_context()) as site, HttpSender(LOOPBACK) as http:
        with pytest.raises(HttpSendError, match="certificate is not trusted") as caught:
            await http.send(HttpCall("GET", site.url))
        assert not caught.value.retryable
        assert (await http.send(HttpCall("GET", site.url, ca_bundle=authority.pem))).status == 200
        commented = f"# Főtanúsítvány\n{authority.pem}"
        assert (await http.send(HttpCall("GET", site.url, ca_bundle=commented))).status == 200
        assert (await http.send(HttpCall("GET", site.url, verify=False))).status == 200


async def test_authorities_of_the_chart_are_trusted_besides_those_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chart mounts `trust.caBundle` and names it by SSL_CERT_FILE; OpenSSL's folder of authorities still counts."""
    ours, systems = Authority("ours"), Authority("the system's")
    (tmp_path / "ca.crt").write_text(ours.pem)
    folder = tmp_path / "system"
    folder.mkdir()
    (folder / systems.file_name).write_text(systems.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    for authority in (ours, systems):
        async with serving(greet, authority.server_context()) as site, HttpSender(LOOPBACK) as http:
            assert (await http.send(HttpCall("GET", site.url))).status == 200


async def test_a_client_certificate_is_shown() -> None:
    authority = Authority()
    seen: list[object] = []

    async def look(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        seen.append(request.transport.get_extra_info("peercert"))
        return web.Response()

    async with serving(look, authority.server_context(client_certificates=True)) as site, HttpSender(LOOPBACK) as http:
        pair = authority.issue("client")
        await http.send(HttpCall("GET", site.url, ca_bundle=authority.pem, client_cert=pair))
        with pytest.raises(HttpSendError):
            await http.send(HttpCall("GET", site.url, ca_bundle=authority.pem))
    assert "client" in str(seen)


async def test_a_bad_ca_bundle_or_pair_is_final() -> None:
    authority = Authority()
    mixed = (authority.issue("a")[0], authority.issue("b")[1])
    for call in (
        HttpCall("GET", "https://127.0.0.1:1", ca_bundle="no pem"),
        HttpCall("GET", "https://127.0.0.1:1", ca_bundle="ő"),
        HttpCall("GET", "https://127.0.0.1:1", client_cert=mixed),
    ):
        error = await failure(call)
        assert "not valid PEM, or the key does not fit" in str(error)
        assert not error.retryable


async def test_clients_are_kept_by_tls_settings_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_CLIENTS", 2)
    authorities = [Authority() for _ in range(3)]
    async with serving(greet, authorities[0].server_context()) as site, HttpSender(LOOPBACK) as http:
        for authority in [*authorities, *authorities]:
            await http.send(HttpCall("GET", site.url, ca_bundle=authority.pem, verify=False))
        assert len(http._transports) == 2


async def test_many_calls_at_once() -> None:
    async with serving(greet) as site, HttpSender(LOOPBACK) as http:
        replies = await asyncio.gather(*(http.send(HttpCall("GET", site.url)) for _ in range(150)))
    assert {reply.status for reply in replies} == {200}


async def test_a_body_that_multiplies_is_left_out_and_the_status_decides() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 20_000_000))

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Encoding": "gzip, gzip"}
        if request.path == "/from":
            return web.Response(status=307, body=bomb, headers={**headers, "Location": "/to"})
        return web.Response(body=bomb, headers=headers)

    async with serving(answer) as site, HttpSender(LOOPBACK) as http:
        tracemalloc.start()
        try:
            for path in ("/from", "/to"):
                reply = await http.send(HttpCall("GET", site.url + path))
                assert (reply.status, reply.body) == (200, b"")
                assert "gzip, gzip" in reply.odd
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()


async def test_a_user_in_the_url_stays_on_its_origin() -> None:
    async def away(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(other.url + "/y")

    async def near(request: web.Request) -> web.StreamResponse:
        if request.path == "/x":
            raise web.HTTPFound("/y")
        return web.Response()

    async with serving(greet) as other, serving(near) as same, serving(away) as leaving, HttpSender(LOOPBACK) as http:
        for site in (same, leaving):
            await http.send(HttpCall("GET", site.url.replace("//", "//u:p@") + "/x"))
    assert [request.headers.get("Authorization") for request in same.requests] == ["Basic dTpw"] * 2
    assert leaving.requests[0].headers["Authorization"] == "Basic dTpw"
    assert "Authorization" not in other.requests[0].headers


async def test_a_client_certificate_is_not_shown_to_another_origin() -> None:
    authority = Authority()

    async def away(request: web.Request) -> web.StreamResponse:
        if request.path == "/same":
            raise web.HTTPFound("/here")
        raise web.HTTPFound(other.url) if request.path == "/away" else web.HTTPNoContent

    demanding = authority.server_context(client_certificates=True)
    async with serving(greet, demanding) as other, serving(away, demanding) as site, HttpSender(LOOPBACK) as http:
        shown = {"ca_bundle": authority.pem, "client_cert": authority.issue("client")}
        assert (await http.send(HttpCall("GET", site.url + "/same", **shown))).status == 204
        with pytest.raises(HttpSendError):
            await http.send(HttpCall("GET", site.url + "/away", **shown))
        assert (await http.send(HttpCall("GET", other.url, **shown))).status == 200
    assert len(other.requests) == 1


async def test_a_name_is_looked_up_once_and_only_checked_addresses_are_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        found = ["169.254.169.254", "::ffff:169.254.169.254", "127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    async with serving(greet) as site, HttpSender(LOOPBACK) as http:
        port = site.url.rpartition(":")[2]
        monkeypatch.setattr(socket, "getaddrinfo", look)
        assert (await http.send(HttpCall("GET", f"http://rebinding.example:{port}/"))).status == 200
        assert asked == ["rebinding.example"]
        with pytest.raises(
            HttpSendError, match=r"169\.254\.169\.254, which other\.example stands for, is always refused"
        ):
            await http.send(HttpCall("GET", f"http://other.example:{port}/"))
