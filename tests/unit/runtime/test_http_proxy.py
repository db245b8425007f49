"""Calls through a proxy: which are, what is checked, and that a proxy's own answer is never taken for the target's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.engine.egress import Egress
from app.runtime.http_client import HttpCall, HttpReply, HttpSender
from app.runtime.http_errors import HttpSendError
from tests.unit.runtime.pki import Authority
from tests.unit.runtime.test_http_client import greet, serving

Answering = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def proxying(answer: Answering) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy, its address, and the heads of the requests that it got."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(heads[-1], reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


def saying(data: bytes) -> Answering:
    async def answer(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def tunnel_to(port: int) -> Answering:
    async def answer(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        await asyncio.gather(copy(reader, onward), copy(there, writer))

    return answer


async def ask(url: str, egress: Egress | None = None, **more: object) -> HttpReply:
    async with HttpSender(egress) as http:
        return await http.send(HttpCall("POST", url, body=b"x", timeout=5.0, **more))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def test_http_goes_to_the_proxy_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxying(saying(b"HTTP/1.1 204 No\r\n\r\n")) as (proxy, heads):
        monkeypatch.setenv("http_proxy", proxy.replace("//", "//me:s3cret@"))
        assert (await ask("http://shop.example:8080/x")).status == 204
    assert heads[0].startswith(b"POST http://shop.example:8080/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6czNjcmV0" in heads[0]


async def test_exceptions_are_called_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,.inside.example:80")
    async with serving(greet) as site:
        assert (await ask(site.url, Egress(loopback=True))).status == 200
    with pytest.raises(HttpSendError, match="cannot connect to the proxy: connection refused"):
        await ask("http://a.inside.example:81/")
    with pytest.raises(HttpSendError, match="cannot be resolved"):
        await ask("http://a.inside.example/")


async def test_https_goes_through_a_tunnel_and_the_target_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    async with serving(greet, authority.server_context()) as site:
        port = int(site.url.rpartition(":")[2])
        async with proxying(tunnel_to(port)) as (proxy, heads):
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            reply = await ask("https://shop.example/", verify=False)
            assert (reply.status, len(site.requests)) == (200, 1)
            with pytest.raises(HttpSendError, match="not trusted"):
                await ask("https://shop.example/")
        assert heads[0].startswith(b"CONNECT shop.example:443 HTTP/1.1\r\n")
        assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("answer", "text", "retryable"),
    [
        (b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", "proxy refused the connection with status 407", False),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "proxy refused the connection with status 502", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", "shop.example", True),
        (b"HTTP/1.1 200 OK\r\n\r\nthis is no TLS at all, but long enough to be read", "shop.example", True),
        (b"nonsense\r\n\r\n", "shop.example", True),
        (b"", "shop.example", True),
    ],
)
async def test_a_tunnel_that_does_not_come_means_that_nothing_was_sent(
    answer: bytes, text: str, retryable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxying(saying(answer)) as (proxy, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(HttpSendError, match=text) as caught:
            await ask("https://shop.example/", verify=False)
    assert (caught.value.in_doubt, caught.value.retryable) == (False, retryable)
    assert "(nothing was sent)" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://metadata.google.internal/",
        "http://metadata.google.internal./",
        "http://metadata。google。internal/",
        "http://169.254.169.254./",
        "http://0251.254.43518/",
        "http://[fd20:ce::254]/",
        "http://[fd00::1%25eth0]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://user@169.254.169.254:80/",
        "http://10.1.1.1/",
        "http://a.denied.example/",
    ],
)
async def test_names_and_literals_are_checked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxying(saying(b"HTTP/1.1 204 No\r\n\r\n")) as (proxy, heads):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(HttpSendError, match="egress policy refuses this call"):
            await ask(url, Egress.parse(deny="10.0.0.0/8, denied.example"))
        assert heads == []


@pytest.mark.parametrize(
    "host",
    [
        "%31%36%39.254.169.254",
        "metadata%2egoogle%2einternal",
        "169.254.169.254%00.x",
        "a%20b",
        "\uff11\uff16\uff19.254.169.254",
        "a,b",
    ],
)
async def test_what_a_proxy_might_read_as_another_host_is_no_host(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxying(saying(b"HTTP/1.1 204 No\r\n\r\n")) as (proxy, heads):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(HttpSendError, match="the URL is not valid"):
            await ask(f"http://{host}/")
        assert heads == []


async def test_a_redirect_through_a_proxy_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxying(saying(b"HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/\r\n\r\n")) as (proxy, heads):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with HttpSender() as http:
            with pytest.raises(HttpSendError, match="always refused"):
                await http.send(HttpCall("GET", "http://shop.example/"))
        assert len(heads) == 1


async def test_a_proxy_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(HttpSendError, match="HTTP_PROXY names a proxy of kind socks5"):
        await ask("http://shop.example/")
