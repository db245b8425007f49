"""A reverse proxy in front of the API server that fails on purpose: it kills, loses, refuses or holds single requests.

The controller under test connects to it by plain HTTP with its own token; requests go on to the API server unchanged,
watches are streamed. Because it sees every request before and after the API server does, a test can end a process at
an exact point without any test code in the product, and without sleeping.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

JOURNAL = "drplan-journal-"
WAIT_SECONDS = 60.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client: `client` is the name in its kubeconfig, `path` is without the query."""

    client: str
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def writes_journal(self) -> bool:
        """Whether this stores a journal segment."""
        return self.method in ("PUT", "POST") and JOURNAL.encode() in self.body and "/configmaps" in self.path

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Every journal entry in the segment that this stores, those of earlier writes included."""
        if not self.writes_journal:
            return []
        text = self.json.get("data", {}).get("journal", "")
        return [json.loads(line) for line in text.splitlines()[1:] if line]


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Exchange:
    """A request, the status of its answer (0: there is none) and when that came, on the monotonic clock."""

    request: Request
    status: int = 0
    answered: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether the API server did what was asked."""
        return 200 <= self.status < 300


Match = Callable[[Request], bool]
Forward = Callable[[], Awaitable[Answer]]
Act = Callable[["Rule", Forward], Awaitable[Answer | None]]
"""What to do with a request instead of just forwarding it; without an answer the connection is cut."""


@dataclass(slots=True)
class Rule:
    """What happens to matching requests, from the `nth` on, `times` times (None: for ever)."""

    match: Match
    act: Act
    nth: int = 1
    times: int | None = 1
    seen: int = 0
    fired: int = 0
    _done: threading.Condition = field(default_factory=threading.Condition)
    _released: threading.Event = field(default_factory=threading.Event)

    def takes(self, request: Request) -> bool:
        """Count a request; tell whether this rule decides about it."""
        if not self.match(request):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)

    def done(self) -> None:
        """Say that the rule has done what it does to one request."""
        with self._done:
            self.fired += 1
            self._done.notify_all()

    def wait(self, times: int = 1, timeout: float = WAIT_SECONDS) -> None:
        """Wait until the rule has fired so often."""
        with self._done:
            if not self._done.wait_for(lambda: self.fired >= times, timeout):
                raise AssertionError(f"the rule fired {self.fired} times in {timeout} s, expected {times}")

    def release(self) -> None:
        """Let the requests go that the rule holds, and all later ones."""
        self._released.set()

    async def held(self) -> None:
        """Wait for `release`."""
        while not self._released.is_set():
            await asyncio.sleep(0.01)


class Proxy:
    """Serves in a thread of its own. `log` has every exchange in order of arrival, watches left out."""

    def __init__(self, server: str, ca: Path) -> None:
        self._server = server
        self._ca = ca
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._away = False
        self._streams: set[asyncio.Transport] = set()
        self._silent: list[Match] = []
        self._dropped: list[Callable[[Request, dict[str, Any]], bool]] = []
        self.log: list[Exchange] = []
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[Proxy]:
        """Serve until the end of the block."""
        self._thread.start()
        self._call(self._open())
        try:
            yield self
        finally:
            self.clear()
            self._call(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
            self._loop.close()

    def kubeconfig(self, client: str, token: str | None, folder: Path) -> Path:
        """Write the kubeconfig of a client and return its path. `client` is how its requests are known here."""
        assert token
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": f"{self.url}/{client}"}}],
            "users": [{"name": client, "user": {"token": token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": client}}],
        }
        path = folder / f"{client}.proxy.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def on(self, match: Match, act: Act, *, nth: int = 1, times: int | None = 1) -> Rule:
        """Add a rule; the first one that takes a request decides about it."""
        rule = Rule(match, act, nth, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Remove one rule and let go of what it holds."""
        with self._lock:
            self._rules = [other for other in self._rules if other is not rule]
        rule.release()

    def forget(self) -> None:
        """Empty `log`, which else keeps every request of a long run; nobody may hold an index into it."""
        with self._lock:
            self.log.clear()

    def clear(self) -> None:
        """Remove all rules and let go of what they hold."""
        with self._lock:
            rules, self._rules = self._rules, []
            self._away = False
        for rule in rules:
            rule.release()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Cut every connection, watches too, and every new one, until the end of the block."""
        with self._lock:
            self._away = True
        self._loop.call_soon_threadsafe(self._cut_streams)
        try:
            yield
        finally:
            with self._lock:
                self._away = False

    @contextmanager
    def silent(self, match: Match) -> Iterator[None]:
        """Swallow what watches that match would say, bookmarks too, until the end of the block; they stay open."""
        with self._lock:
            self._silent.append(match)
        try:
            yield
        finally:
            with self._lock:
                self._silent.remove(match)

    @contextmanager
    def dropping(self, match: Callable[[Request, dict[str, Any]], bool]) -> Iterator[None]:
        """Swallow single events of watches, given as they are on the wire; the rest is told as ever."""
        with self._lock:
            self._dropped.append(match)
        try:
            yield
        finally:
            with self._lock:
                self._dropped.remove(match)

    def exchanges(self, match: Match, *, since: int = 0) -> list[Exchange]:
        """Return what matched so far; `since` is an earlier length of `log`."""
        with self._lock:
            return [exchange for exchange in self.log[since:] if match(exchange.request)]

    def accepted(self, match: Match, *, since: int = 0) -> list[Request]:
        """Return the requests that matched and that the API server accepted."""
        return [exchange.request for exchange in self.exchanges(match, since=since) if exchange.accepted]

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    async def _open(self) -> None:
        context = ssl.create_default_context(cafile=str(self._ca))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{client}/{tail:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _close(self) -> None:
        self._cut_streams()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()
        # what was cut off ends by itself, but a little later
        for task in [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _cut_streams(self) -> None:
        for transport in self._streams:
            transport.abort()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        client = incoming.match_info["client"]
        path = urlsplit(incoming.raw_path).path.removeprefix(f"/{client}")
        request = Request(client, incoming.method, path, dict(incoming.query), await incoming.read())
        if self._away:
            with self._lock:
                self.log.append(Exchange(request))
            return _cut(incoming)
        try:
            if request.query.get("watch") == "true":
                return await self._stream(incoming, request)
            answer = await self._answer(incoming, request)
        except (aiohttp.ClientError, OSError):
            return _cut(incoming)
        if answer is None or self._away:
            return _cut(incoming)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _answer(self, incoming: web.Request, request: Request) -> Answer | None:
        exchange = Exchange(request)
        with self._lock:
            self.log.append(exchange)
            takers = [rule for rule in self._rules if rule.takes(request)]

        async def forward() -> Answer:
            answer = await self._forward(incoming, request)
            exchange.status, exchange.answered = answer.status, time.monotonic()
            return answer

        return await (takers[0].act(takers[0], forward) if takers else forward())

    async def _forward(self, incoming: web.Request, request: Request) -> Answer:
        assert self._session is not None
        async with self._session.request(
            request.method,
            self._upstream(incoming),
            headers=_passed_on(incoming.headers),
            data=request.body or None,
            skip_auto_headers=("Content-Type", "Accept-Encoding", "User-Agent"),
        ) as response:
            return Answer(response.status, _passed_on(response.headers), await response.read())

    async def _stream(self, incoming: web.Request, request: Request) -> web.StreamResponse:
        transport = incoming.transport
        assert self._session is not None
        assert transport is not None
        self._streams.add(transport)
        try:
            async with self._session.get(self._upstream(incoming), headers=_passed_on(incoming.headers)) as response:
                outgoing = web.StreamResponse(status=response.status, headers=_passed_on(response.headers))
                await outgoing.prepare(incoming)
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    told = b"".join(line + b"\n" for line in lines if not self._is_swallowed(request, line))
                    if told:
                        await outgoing.write(told)
                return outgoing
        finally:
            self._streams.discard(transport)

    def _is_swallowed(self, request: Request, line: bytes) -> bool:
        if any(match(request) for match in self._silent):
            return True
        return bool(self._dropped) and any(match(request, json.loads(line)) for match in self._dropped)

    def _upstream(self, incoming: web.Request) -> URL:
        client = incoming.match_info["client"]
        return URL(self._server + incoming.raw_path.removeprefix(f"/{client}"), encoded=True)


def _cut(incoming: web.Request) -> web.Response:
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response(status=502)


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() not in _HOP_BY_HOP and k.lower() != "content-length"}


# what rules do


def before(action: Callable[[], object]) -> Act:
    """Run `action` (a kill, mostly) before the request is sent on; the request is lost."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await asyncio.to_thread(action)
        rule.done()
        return None

    return act


def after(action: Callable[[], object]) -> Act:
    """Send the request on, and run `action` before the answer, which is lost."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await forward()
        await asyncio.to_thread(action)
        rule.done()
        return None

    return act


def meanwhile(action: Callable[[], object]) -> Act:
    """Run `action`, then send the request on as if nothing had been."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await asyncio.to_thread(action)
        answer = await forward()
        rule.done()
        return answer

    return act


async def lose_answer(rule: Rule, forward: Forward) -> Answer | None:
    """Send the request on and cut the connection instead of answering."""
    await forward()
    rule.done()
    return None


async def lose_request(rule: Rule, forward: Forward) -> Answer | None:
    """Cut the connection without sending the request on."""
    rule.done()
    return None


async def hold(rule: Rule, forward: Forward) -> Answer | None:
    """Keep the request until the rule is released, then send it on."""
    rule.done()
    await rule.held()
    return await forward()


async def hold_answer(rule: Rule, forward: Forward) -> Answer | None:
    """Send the request on and keep the answer until the rule is released."""
    answer = await forward()
    rule.done()
    await rule.held()
    return answer


def refuse(status: int, reason: str = "InternalError", message: str = "refused by the test") -> Act:
    """Answer with a Status instead of sending the request on."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        body = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status, "reason": reason}
        rule.done()
        text = json.dumps({**body, "message": message}).encode()
        return Answer(status, {"Content-Type": "application/json"}, text)

    return act


def say(body: bytes) -> Act:
    """Answer 200 with JSON of the test's instead of sending the request on."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        rule.done()
        return Answer(200, {"Content-Type": "application/json"}, body)

    return act


# which requests


def entry(namespace: str, event: str, execution: str, *at: int) -> Match:
    """A journal write that holds such an entry; `at` are stage, workflow and action."""

    def match(request: Request) -> bool:
        return any(
            (found["e"], found["ns"], found["n"]) == (event, namespace, execution)
            and (not at or found.get("at") == list(at))
            for found in request.entries
        )

    return match


def status_of(
    namespace: str, kind: str, name: str, test: Callable[[dict[str, Any]], bool] = lambda status: True
) -> Match:
    """A write of the status of `drplans` or `drplanexecutions` `name`; `test` sees the new status."""

    def match(request: Request) -> bool:
        is_it = request.method == "PUT" and request.path.endswith(f"/{namespace}/{kind}/{name}/status")
        return is_it and test(request.json.get("status") or {})

    return match


def request_to(method: str, end: str, text: str = "") -> Match:
    """A request whose path ends with `end` and whose body contains `text`."""

    def match(request: Request) -> bool:
        return request.method == method and request.path.endswith(end) and text.encode() in request.body

    return match
