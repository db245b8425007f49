"""Clients that drag out or pile up: each connection ends, none of it keeps others out."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.runtime import metrics
from app.service.limits import peer_of
from tests.unit.service.hostile import OK, PATIENCE, SHORT, Echo, chunks, drip, serving

pytestmark = pytest.mark.slow

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def open_connections() -> float | None:
    return metrics.REGISTRY.get_sample_value("drplan_connections", {"server": "hostile"})


def ended(reason: str) -> float:
    labels = {"server": "hostile", "reason": reason}
    return metrics.REGISTRY.get_sample_value("drplan_connections_ended_total", labels) or 0.0


SLOW: dict[str, tuple[bytes, Callable[[int], bytes] | None, str, bytes]] = {
    "half a request line": (b"POST /x", None, "head", b"408"),
    "half a head": (HEAD, None, "head", b"408"),
    "a head byte by byte": (b"P", lambda n: (b"OST / HTTP/1.1\r\nx: " + b"y" * 9999)[n : n + 1], "head", b"408"),
    "a header line at a time": (HEAD, lambda n: b"" if n % 10 else b"a%d: b\r\n" % n, "head", b"408"),
    "half a body": (HEAD + b"content-length: 100\r\n\r\nabc", None, "body", b"408"),
    "no body at all": (HEAD + b"content-length: 100\r\n\r\n", None, "body", b"408"),
    "a body byte by byte": (HEAD + b"content-length: 9999\r\n\r\n", lambda n: b"x", "body", b"408"),
    "chunks without end": (CHUNKED, lambda n: chunks([b"x"]), "body", b"408"),
    "half a chunk": (CHUNKED + b"5\r\nab", None, "body", b"408"),
    "a chunk size byte by byte": (CHUNKED, lambda n: b"0", "body", b"408"),
    "a chunk extension without end": (CHUNKED + b"1;", lambda n: b"x", "body", b"408"),
    "trailers without end": (CHUNKED + b"0\r\n", lambda n: b"" if n % 10 else b"a%d: b\r\n" % n, "body", b"408"),
    "a body that waits for 100": (HEAD + b"content-length: 9\r\nexpect: 100-continue\r\n\r\n", None, "body", b"100"),
    "nothing": (b"", None, "idle", b""),
    "empty lines": (b"", lambda n: b"\r\n", "idle", b""),
}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_whatever_is_dragged_out_ends_at_its_limit(tls: bool) -> None:
    """All at once, one after the other would take a minute; the port holds them all."""
    async with serving(replace(SHORT, connections=64, per_peer=64), tls=tls) as target:
        before = {reason: ended(reason) for reason in ("head", "body", "idle")}
        found = await asyncio.gather(*(drip(target, start, endless) for start, endless, _, _ in SLOW.values()))
        for (name, (_, _, reason, status)), (answer, took) in zip(SLOW.items(), found, strict=True):
            assert status in answer.split(b"\r\n", 1)[0], (name, answer)
            if status == b"408":
                assert f"the {reason} did not arrive in time".encode() in answer, name
            assert took < 6.0, name
        for reason, count in before.items():
            assert ended(reason) - count == sum(reason == each[2] for each in SLOW.values()), reason
        assert await target.ask() == OK


LARGE: dict[str, tuple[bytes, bytes]] = {
    "one header": (HEAD + b"x: " + b"y" * 5000 + b"\r\n\r\n", b"431"),
    "one header without end": (HEAD + b"x: " + b"y" * 50_000, b"431"),
    "a name of a header": (HEAD + b"y" * 50_000, b"431"),
    "a request line": (b"GET /" + b"y" * 50_000, b"431"),
    "a query": (b"GET /?" + b"y" * 3000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", b"431"),
    "header lines": (HEAD + b"a: b\r\n" * 30 + b"\r\n", b"431"),
    "header lines without end": (HEAD + b"a: b\r\n" * 5000, b"431"),
    "trailers": (CHUNKED + b"0\r\n" + b"a: b\r\n" * 30, b"431"),
    "one trailer": (CHUNKED + b"0\r\na: " + b"y" * 50_000, b"413"),
    "a body": (HEAD + b"content-length: 99999999\r\n\r\n" + b"x" * 50_000, b"413"),
    "chunks": (CHUNKED + chunks([b"x"] * 9000), b"413"),
    "a chunk extension": (CHUNKED + b"1;" + b"x" * 50_000, b"413"),
}


@pytest.mark.parametrize("name", LARGE)
async def test_what_is_too_large_is_refused(name: str) -> None:
    sent, status = LARGE[name]
    async with serving() as target:
        before = ended("too-large")
        answer, _ = await drip(target, sent)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert b"connection: close" in answer
        assert ended("too-large") == before + 1
        assert await target.ask() == OK


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
        HEAD + b"content-length: -1\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"ffffffffffffffffff\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(sent: bytes) -> None:
    async with serving() as target:
        before = ended("malformed")
        answer, took = await drip(target, sent)
        assert not answer or answer.startswith(b"HTTP/1.1 400"), answer
        assert took < 5.0
        assert ended("malformed") == before + 1
        assert await target.ask() == OK


async def test_an_upgrade_is_answered_as_what_it_is_and_the_connection_ends() -> None:
    async with serving() as target:
        sent = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: %b\r\n\r\n"
        for what in (b"websocket", b"h2c"):
            answer, took = await drip(target, sent % what, lambda n: b"\x00" * 100)
            assert answer.startswith(OK)
            assert took < 2.5


async def test_pipelined_requests_are_answered_in_order_up_to_a_limit() -> None:
    async with serving() as target:
        reader, writer = await target.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
        for _ in range(3):
            assert (await reader.readuntil(b"done")).startswith(OK)
        writer.close()
        answer, _ = await drip(target, b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n" * 2000)
        assert answer == b""
        assert target.app.calls < 10
        target.app.hold.set()
        assert await target.ask() == OK


async def test_an_answer_without_its_body_lets_the_rest_come_for_a_while() -> None:
    async with serving(app=Echo(reads=False)) as target:
        reader, writer = await target.connect()
        writer.write(HEAD + b"content-length: 10\r\n\r\n12345")
        assert (await reader.readuntil(b"done")).startswith(OK)
        writer.write(b"67890GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"done")).startswith(OK)
        writer.close()
        answer, took = await drip(target, HEAD + b"content-length: 9999\r\n\r\n", lambda n: b"x")
        assert answer.startswith(OK)
        assert took < 3.0


@pytest.mark.parametrize("rest", [b"x" * 60_000, b"zz\r\n"], ids=["too much", "no chunk"])
async def test_what_follows_an_early_answer_gets_no_second_one(rest: bytes) -> None:
    async with serving(app=Echo(reads=False)) as target:
        start = CHUNKED if rest.startswith(b"z") else HEAD + b"content-length: 99999999\r\n\r\n"
        reader, writer = await target.connect()
        writer.write(start)
        answer = await reader.readuntil(b"done")
        writer.write(rest)
        with contextlib.suppress(ConnectionError):
            answer += await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        assert answer.count(b"HTTP/1.1") == 1


async def test_it_works_by_ipv6() -> None:
    async with serving(host="::1") as target:
        reader, writer = await asyncio.open_connection("::1", target.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readline()).strip() == OK
        writer.close()


async def test_a_client_that_takes_no_answer_is_ended() -> None:
    async with serving(app=Echo(answer=b"x" * 64_000_000)) as target:
        before = ended("answer") + ended("idle")
        reader, writer = await target.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while ended("answer") + ended("idle") == before:
                await asyncio.sleep(0.05)
            while open_connections():
                await asyncio.sleep(0.05)
        got = bytearray()
        with contextlib.suppress(ConnectionError):
            while part := await asyncio.wait_for(reader.read(1_000_000), PATIENCE):
                got += part
        assert 0 < len(got) < 64_000_000
        writer.close()


async def test_handshakes_that_never_finish_end() -> None:
    async with serving(tls=True) as target:
        before = ended("handshake")
        for sent in (b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            writer.write(sent)
            await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
        assert ended("handshake") >= before + 3
        assert await target.ask() == OK


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"content-length: 99\r\n\r\nabc", b"\x16\x03\x01\x02"])
async def test_many_idle_connections_do_not_keep_others_out(tls: bool, sent: bytes) -> None:
    """Far more than the limit, all from one peer, the honest client's too; none ends because its time is over."""
    patient = replace(SHORT, handshake=PATIENCE, first_byte=PATIENCE, head=PATIENCE, body=PATIENCE, idle=PATIENCE)
    async with serving(patient, tls=tls) as target:
        before = ended("evicted")
        held = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(60)]
        for _, writer in held:
            writer.write(sent)
        for _ in range(5):
            assert await target.ask() == OK
        async with asyncio.timeout(PATIENCE):
            while (open_connections() or 0) > SHORT.per_peer or ended("evicted") < before + 52:
                await asyncio.sleep(0.05)
        for _, writer in held:
            writer.close()


async def test_an_answer_under_way_is_not_ended_to_make_room() -> None:
    async with serving() as target:
        first = asyncio.create_task(target.ask(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n"))
        while not target.app.calls:
            await asyncio.sleep(0.01)
        held = [await target.connect() for _ in range(40)]
        target.app.hold.set()
        assert await first == OK
        for _, writer in held:
            writer.close()


async def test_a_greeting_gives_a_connection_another_application() -> None:
    other = Echo(answer=b"other")
    async with serving(greet=lambda transport: other) as target:
        assert await target.ask() == OK
        assert (other.calls, target.app.calls) == (1, 0)


async def test_a_client_certificate_can_be_demanded() -> None:
    async with serving(tls=True) as target:
        assert target.trust is not None
        assert (await target.ask()) == OK
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", target.port, ssl=ssl.create_default_context())


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
    ],
)
def test_a_peer_is_an_address_or_a_network_of_ipv6(host: str, peer: str) -> None:
    assert peer_of(host) == peer
