"""What an HTTP action makes of answers, times and doubts."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from app.engine.egress import Egress
from app.engine.outcome import Failed, Outcome, Succeeded
from app.runtime.http_client import HttpSender
from tests.unit.actions.test_http import (
    EXECUTOR,
    SecretsOnly,
    answering,
    at,
    call,
    response_of,
    serving,
)

LOOPBACK = Egress(loopback=True)
AT_MOST_ONCE = {"delivery": "AtMostOnce", "method": "POST"}


async def hang(_: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def run(url: str, kube: SecretsOnly | None = None, *, egress: Egress = LOOPBACK, **block: object) -> Outcome:
    others = {key: block.pop(key) for key in ("seconds", "in_doubt", "params", "secrets") if key in block}
    async with HttpSender(egress) as http:
        return await EXECUTOR.execute(call(url, **block), at(http, kube, **others))


def failure(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed)
    return outcome


async def test_the_time_of_the_action_has_one_text_however_it_passes() -> None:
    async with serving(hang) as site, HttpSender(LOOPBACK) as http:
        await EXECUTOR.execute(call("http://127.0.0.1:1/"), at(http))
        outcomes = await asyncio.gather(*(EXECUTOR.execute(call(site.url), at(http, seconds=3.0)) for _ in range(20)))
    texts = {failure(outcome).message for outcome in outcomes}
    assert f"timed out after 3s: HTTP request failed: GET {site.url}: no answer in time" in texts
    assert {text.partition(":")[0] for text in texts} == {"timed out after 3s"}
    assert not any(failure(outcome).retryable for outcome in outcomes)


async def test_a_time_for_the_request_alone_is_told_and_may_be_repeated() -> None:
    async with serving(hang) as site:
        outcome = failure(await run(site.url, requestTimeout="800ms"))
        longer = failure(await run(site.url, requestTimeout="1m", seconds=0.8))
    assert outcome.message.endswith("no answer in time (requestTimeout: 800ms)")
    assert outcome.retryable
    assert longer.message.startswith("timed out after 0.8s")


async def test_a_slow_answer_within_the_time_is_waited_for() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.4)
        return web.Response()

    async with serving(slow) as site:
        assert isinstance(await run(site.url, method="POST", seconds=5.0), Succeeded)
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error":"pool has no healthy members"}', ': {"error":"pool has no healthy members"}'),
        ("a\n\tb\x00c", ": a b c"),
        ("x" * 500, ": " + "x" * 200 + "…"),
        ("", ""),
        (b"\xff\xfe" * 100, ""),
    ],
)
async def test_the_target_s_own_words_are_in_the_message(body: str | bytes, words: str) -> None:
    async with serving(answering(503, body)) as site:
        assert failure(await run(site.url)).message == f"unexpected status code: 503{words}"
        refused = failure(await run(site.url, successCodes=[200]))
    assert refused.message == f"status code 503 not in success codes{words}"


async def test_secrets_in_the_target_s_words_are_masked_before_they_are_cut() -> None:
    kube = SecretsOnly(token={"value": "s3cr3t-word"})
    source = {"name": "X-Token", "secretKeyRef": {"name": "token", "key": "value"}}
    async with serving(answering(403, "y" * 190 + " s3cr3t-word is wrong")) as site:
        outcome = failure(await run(site.url, kube, headersFrom=[source]))
    assert "s3cr3t" not in outcome.message
    assert "***" in outcome.message


async def test_what_was_certainly_not_sent_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        refused = failure(await run(url, **AT_MOST_ONCE))
    assert refused.message.endswith("connection refused (nothing was sent)")
    assert (refused.retryable, refused.undecided) == (True, False)
    nowhere = failure(await run("http://no-such-host.invalid/", **AT_MOST_ONCE))
    assert nowhere.message.endswith("(nothing was sent)")
    assert (nowhere.retryable, nowhere.undecided) == (True, False)
    policy = failure(await run(url, egress=Egress(), **AT_MOST_ONCE))
    assert "egress policy refuses this call: 127.0.0.1 is an address of the controller itself" in policy.message
    assert (policy.retryable, policy.undecided) == (False, False)


async def test_at_most_once_asks_where_an_answer_was_lost() -> None:
    async with serving(cut) as site:
        lost = failure(await run(site.url, **AT_MOST_ONCE))
        assert (await_sent := len(site.requests)) == 1
        usual = failure(await run(site.url, method="POST"))
    assert (lost.undecided, lost.retryable, await_sent) == (True, False, 1)
    assert (usual.undecided, usual.retryable) == (False, True)
    async with serving(hang) as site:
        late = failure(await run(site.url, seconds=0.8, **AT_MOST_ONCE))
        impatient = failure(await run(site.url, requestTimeout="800ms", **AT_MOST_ONCE))
    assert late.undecided
    assert impatient.undecided


async def test_at_most_once_sends_nothing_after_a_crash() -> None:
    async with serving(answering()) as site:
        outcome = failure(await run(site.url, in_doubt=True, **AT_MOST_ONCE))
        assert outcome.undecided
        assert site.requests == []
        assert isinstance(await run(site.url, in_doubt=True, method="POST"), Succeeded)


@pytest.mark.parametrize(
    ("status", "once", "usual"),
    [(500, False, True), (503, False, True), (408, False, True), (425, True, True), (429, True, True)],
)
async def test_at_most_once_repeats_only_what_was_not_taken(status: int, once: bool, usual: bool) -> None:
    async with serving(answering(status)) as site:
        assert failure(await run(site.url, **AT_MOST_ONCE)).retryable is once
        assert failure(await run(site.url, method="POST")).retryable is usual


async def test_a_post_answered_302_fails_and_is_not_sent_as_get() -> None:
    async with serving(answering(302, "", Location="/new?token=t0ken")) as site:
        outcome = failure(await run(f"{site.url}/old", method="POST", body="x"))
    assert f"redirect to {site.url}/new?…" in outcome.message
    assert "t0ken" not in outcome.message
    assert (outcome.retryable, response_of(outcome).status_code) == (False, 302)
    assert [request.method for request in site.requests] == ["POST"]


async def test_a_post_answered_302_is_followed_as_get_where_that_is_meant() -> None:
    async def handler(request: web.Request) -> web.Response:
        return (
            web.Response(text="here")
            if request.path == "/new"
            else web.Response(status=302, headers={"Location": "/new"})
        )

    async with serving(handler) as site:
        outcome = await run(f"{site.url}/old", method="POST", body="x", followRedirects="AsGet")
    assert isinstance(outcome, Succeeded)
    assert [(request.method, request.body) for request in site.requests] == [("POST", "x"), ("GET", "")]


@pytest.mark.parametrize(("result", "succeeds"), [(200, True), (500, False), (404, False)])
async def test_work_answered_303_is_never_done_again(result: int, succeeds: bool) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.Response(status=303, headers={"Location": "/result"})
        return web.Response(status=result, text="result")

    async with serving(handler) as site:
        outcome = await run(site.url, method="POST", body="x")
    assert isinstance(outcome, Succeeded) is succeeds
    assert response_of(outcome) == response_of(outcome).model_copy(update={"status_code": result, "body": "result"})
    assert isinstance(outcome, Succeeded) or not failure(outcome).retryable


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/", "http://169.254.169.254/", "ftp://x/", "/loop"])
async def test_work_answered_303_is_done_when_its_result_cannot_be_read(location: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        where = location if request.method == "POST" else "/loop"
        return web.Response(status=303, headers={"Location": where})

    async with serving(handler) as site:
        outcome = await run(site.url, method="POST", body="x")
        strict = failure(await run(site.url, method="POST", body="x", successCodes=[200]))
    assert isinstance(outcome, Succeeded)
    assert outcome.message.startswith("HTTP POST succeeded with status 303; its result was not read: ")
    assert not strict.retryable


async def test_nothing_secret_reaches_another_origin() -> None:
    kube = SecretsOnly(token={"value": "s3cr3t"})
    source = {"name": "X-Api-Key", "secretKeyRef": {"name": "token", "key": "value"}}
    async with serving(answering()) as other, serving(answering(307, "", Location=f"{other.url}/y")) as site:
        headers = {
            "Accept": "text/$(params.word)",
            "X-Own": "a",
            "Cookie": "b",
            "Authorization": "c",
            "User-Agent": "d",
        }
        block = {"headers": headers, "headersFrom": [source], "method": "DELETE"}
        outcome = await run(site.url, kube, params={"word": "w0rd"}, secrets=frozenset({"word"}), **block)
        body = failure(await run(site.url, kube, method="PUT", body="x"))
    assert isinstance(outcome, Succeeded)
    assert site.requests[0].headers["x-api-key"] == "s3cr3t"
    (arrived,) = other.requests
    assert arrived.headers.keys() - {"host", "connection", "accept-encoding", "content-length"} == {
        "accept",
        "idempotency-key",
        "user-agent",
    }
    assert (arrived.headers["accept"], arrived.headers["user-agent"], arrived.method) == ("*/*", "d", "DELETE")
    assert "the body does not travel there" in body.message


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "http://[fe80::1%25lo]/", "//0.0.0.0/"],
)
async def test_a_redirect_leads_nowhere_that_is_refused(code: int, target: str) -> None:
    async with serving(answering(code, "", Location=target)) as site:
        outcome = failure(await run(site.url))
    assert "refuse" in outcome.message or "cannot be called" in outcome.message or "not valid" in outcome.message
    assert not outcome.retryable


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://0/",
        "http://[::]/",
        "http://169.254.169.254/",
        "http://169.254.169.254.:80/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://metadata.google.internal/",
        "http://u:p@127.0.0.1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
    ],
)
async def test_no_spelling_gets_past_the_policy(url: str) -> None:
    outcome = failure(await run(url, egress=Egress(), seconds=3.0))
    assert "refuse" in outcome.message or "not valid" in outcome.message or "cannot be resolved" in outcome.message
    assert "(nothing was sent)" in outcome.message
    assert not outcome.undecided


@pytest.mark.parametrize("name", [":authority", "Ho st", "X\x00", "X:Transfer-Encoding", "H\u00f6st", ""])
async def test_what_is_no_name_of_a_header_is_not_sent(name: str) -> None:
    async with serving(answering()) as site:
        outcome = failure(await run(site.url, headers={name: "x"}))
        assert site.requests == []
    assert "is no name of a header" in outcome.message
    assert not outcome.retryable


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
    ],
)
async def test_headers_of_the_connection_are_refused_when_a_stored_workflow_has_them(name: str) -> None:
    kube = SecretsOnly(token={"value": "x"})
    async with serving(answering()) as site:
        plain = failure(await run(site.url, headers={name: "x"}))
        source = {"name": name, "secretKeyRef": {"name": "token", "key": "value"}}
        secret = failure(await run(site.url, kube, headersFrom=[source]))
        assert site.requests == []
    for outcome in (plain, secret):
        assert (
            outcome.message == f"the header {name} belongs to the connection, which the controller makes: leave it out"
        )
        assert not outcome.retryable


ODD_REDIRECTS = {
    "300 with an address": ("GET", 300, "/there", {}, "unexpected status code: 300"),
    "304": ("GET", 304, "/there", {}, "unexpected status code: 304"),
    "305": ("GET", 305, "/there", {}, "unexpected status code: 305"),
    "306": ("POST", 306, "/there", {}, "unexpected status code: 306"),
    "302 without an address": ("POST", 302, None, {}, "unexpected status code: 302"),
    "307 without an address": ("POST", 307, None, {}, "unexpected status code: 307"),
    "303 without an address": ("DELETE", 303, None, {}, ""),
    "303 of a question without an address": ("GET", 303, None, {}, "unexpected status code: 303"),
    "302 to no address": ("POST", 302, "http://[::1", {}, "an address that cannot be called"),
    "302 to another scheme": ("POST", 302, "ftp://a/", {}, "an address that cannot be called"),
    "302 to a port that is none": ("PUT", 302, "http://a:99999/", {}, "an address that cannot be called"),
    "302 that is wanted": ("POST", 302, "/there", {"successCodes": [302]}, ""),
    "301 to no address that is wanted": ("PATCH", 301, "http://[", {"successCodes": [200, 301]}, ""),
    "303 that is wanted": ("POST", 303, "/there", {"successCodes": [303]}, ""),
    "303 whose result is not wanted": (
        "POST",
        303,
        "/there",
        {"successCodes": [201]},
        "status code 200 not in success",
    ),
    "307 relative to the path": ("POST", 307, "there", {}, ""),
    "308 by query alone": ("DELETE", 308, "?there", {}, ""),
    "307 in blanks": ("PUT", 307, "  /there  ", {}, ""),
}


@pytest.mark.parametrize("name", ODD_REDIRECTS)
async def test_redirects_of_every_kind(name: str) -> None:
    method, status, location, block, problem = ODD_REDIRECTS[name]

    async def handler(request: web.Request) -> web.Response:
        if "there" in request.path_qs:
            return web.Response()
        return web.Response(status=status, headers={} if location is None else {"Location": location})

    async with serving(handler) as site:
        outcome = await run(site.url + "/x", method=method, **block)
    assert isinstance(outcome, Failed if problem else Succeeded), outcome
    if problem:
        assert problem in failure(outcome).message
        assert not failure(outcome).retryable
    with_effect = [request for request in site.requests if request.method == method != "GET"]
    assert len(with_effect) <= (2 if status in (307, 308) else 1)
