"""Following a collection through every way a watch can go wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from app.kube import watch
from app.kube.cache import Cache, CacheNotSyncedError
from app.kube.client import KubeClient
from app.kube.errors import (
    ApiUnavailable,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    WatchLineTooLong,
    WatchSilent,
)
from app.kube.resources import CONFIG_MAPS
from app.kube.watch import Ended, Failed, Line, Listed, MustList, MustWatch, Next, State, step
from tests.unit.kube.scripted import (
    Scripted,
    answer,
    bookmark,
    broken,
    config_map,
    event,
    hanging,
    listing,
    refusal,
    scripted,
    stream,
)

AWAY = ApiUnavailable("away", server="http://a", in_doubt=False)
GONE = Gone(410, "Expired", "too old")


@pytest.mark.parametrize(
    ("state", "happened", "expected"),
    [
        (MustList(), Listed("7"), Next(MustWatch("7"))),
        (MustWatch("7"), Line("9"), Next(MustWatch("9"))),
        (MustWatch("7"), Ended(300.0), Next(MustWatch("7"))),
        (MustWatch("7"), Ended(0.1), Next(MustWatch("7"), wait=True)),
        (MustWatch("7"), Failed(GONE, 300.0), Next(MustList())),
        (MustWatch("7"), Failed(GONE, 0.1), Next(MustList(), wait=True)),
        (MustList(), Failed(GONE), Next(MustList(), wait=True)),
        (MustWatch("7"), Failed(AWAY, 0.1), Next(MustWatch("7"), wait=True)),
        (MustWatch("7"), Failed(AWAY, 75.0), Next(MustWatch("7"))),
        (MustWatch("7"), Failed(WatchSilent("x", server="http://a", in_doubt=False), 75.0), Next(MustList())),
        (MustList(), Failed(AWAY), Next(MustList(), wait=True)),
        (MustWatch("7"), Failed(ServerError(503, "", "")), Next(MustWatch("7"), wait=True)),
        (MustWatch("7"), Failed(Forbidden(403, "", ""), 300.0), Next(MustList(), wait=True)),
        (MustList(), Failed(NotFound(404, "", "")), Next(MustList(), wait=True)),
        (MustWatch("7"), Failed(WatchLineTooLong("x"), 300.0), Next(MustList(), wait=True)),
        (
            MustWatch("7"),
            Failed(TooManyRequests(429, "", "", retry_after=4.0), 300.0),
            Next(MustWatch("7"), wait=True, at_least=4.0),
        ),
    ],
)
def test_step(state: State, happened: Listed | Line | Ended | Failed, expected: Next) -> None:
    assert step(state, happened) == expected


async def events_of(kube: KubeClient, **arguments: Any) -> list[tuple[str, str]]:
    async with aclosing(kube.watch(CONFIG_MAPS, resource_version="1", **arguments)) as events:
        return [(e.type, e.object["metadata"]["resourceVersion"]) async for e in events]


async def failure_of(kube: KubeClient, **arguments: Any) -> KubeError:
    with pytest.raises(KubeError) as caught:
        await events_of(kube, **arguments)
    return caught.value


async def test_a_watch_asks_for_bookmarks_and_a_random_end() -> None:
    async with scripted(stream(event("ADDED", config_map("a", 3)), bookmark(9))) as (server, kube):
        assert await events_of(kube, label_selector="x=y") == [("ADDED", "3"), ("BOOKMARK", "9")]
        query = server.requests[0].query
    assert query["allowWatchBookmarks"] == "true"
    assert query["resourceVersion"] == "1"
    assert query["labelSelector"] == "x=y"
    assert 300 <= int(query["timeoutSeconds"]) <= 600


async def test_410_as_http_status_and_as_error_event_are_both_gone() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    async with scripted(refusal(410, "Expired"), stream(event("ERROR", status))) as (_, kube):
        assert isinstance(await failure_of(kube), Gone)
        assert isinstance(await failure_of(kube), Gone)


async def test_another_error_event_is_its_own_error() -> None:
    status = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd is unhappy"}
    async with scripted(stream(event("ERROR", status))) as (_, kube):
        error = await failure_of(kube)
    assert isinstance(error, ServerError)
    assert str(error) == "etcd is unhappy"


async def test_a_silent_stream_is_given_up() -> None:
    async with scripted(stream(bookmark(2), hang=True)) as (_, kube):
        error = await failure_of(kube, inactivity=0.2)
    assert isinstance(error, WatchSilent)
    assert "was silent for 0.2 s" in str(error)


async def test_a_head_that_never_comes_is_given_up() -> None:
    async with scripted(hanging()) as (_, kube):
        assert isinstance(await failure_of(kube, inactivity=0.2), ApiUnavailable)


async def test_drops_of_a_line_are_no_sign_of_life_but_any_line_is() -> None:
    line = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}\n'
    slow = [line[i : i + 8] for i in range(0, len(line), 8)]  # all of it takes longer than a silence may
    async with scripted(stream(*slow, pause=0.35), stream(*[bookmark(5)] * 8, pause=0.35)) as (_, kube):
        assert isinstance(await failure_of(kube, inactivity=2.0), ApiUnavailable)
        assert len(await events_of(kube, inactivity=2.0)) == 8


async def test_a_stream_that_breaks_or_ends_inside_an_event() -> None:
    whole = event("ADDED", config_map("a", 3))
    async with scripted(stream(whole, b'{"type":"ADD', cut=True), stream(whole, b'{"type":"ADD')) as (_, kube):
        assert isinstance(await failure_of(kube), ApiUnavailable)
        error = await failure_of(kube)
    assert "ended inside an event" in str(error)


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", b'{"type":"ADDED"}\n'])
async def test_lines_that_are_no_events(line: bytes) -> None:
    async with scripted(stream(line)) as (_, kube):
        assert isinstance(await failure_of(kube), ApiUnavailable)


async def test_the_largest_object_that_etcd_takes_fits_into_a_line() -> None:
    big = config_map("a", 3, data={"x": "y" * 1_600_000})
    async with scripted(stream(event("ADDED", big))) as (_, kube):
        assert await events_of(kube) == [("ADDED", "3")]


async def test_a_line_beyond_the_buffer_is_its_own_error() -> None:
    huge = config_map("a", 3, data={"x": "y" * 5_000_000})
    async with scripted(stream(event("ADDED", huge))) as (_, kube):
        assert isinstance(await failure_of(kube), WatchLineTooLong)


@asynccontextmanager
async def following(
    monkeypatch: pytest.MonkeyPatch, *handlers: Any, **arguments: Any
) -> AsyncIterator[tuple[Scripted, Cache, list[tuple[str, str]]]]:
    """A cache on a scripted server, its delays made short, and the changes it tells."""
    monkeypatch.setattr(watch, "Backoff", lambda: _Short())
    async with scripted(*handlers) as (server, kube):
        cache = Cache(kube, CONFIG_MAPS, **arguments)
        told: list[tuple[str, str]] = []
        cache.subscribe(lambda type_, old, new: told.append((type_, (new or old or {})["metadata"]["name"])))
        task = asyncio.create_task(cache.run())
        try:
            yield server, cache, told
        finally:
            task.cancel()
            await asyncio.wait({task})


class _Short:
    def next(self) -> float:
        return 0.01


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def paths(server: Scripted) -> list[str]:
    """What was asked: `list`, or `watch` with its resourceVersion."""
    return [f"watch {r.query['resourceVersion']}" if "watch" in r.query else "list" for r in server.requests]


async def test_a_watch_that_ends_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [
        answer(listing(10, config_map("a", 4))),
        stream(event("MODIFIED", config_map("a", 12))),
        stream(bookmark(20)),
        stream(event("DELETED", config_map("a", 25)), hang=True),
    ]
    async with following(monkeypatch, *script) as (server, cache, told):
        await until(lambda: len(told) == 3 and "watch 20" in paths(server))
        assert paths(server) == ["list", "watch 10", "watch 12", "watch 20"]
        assert told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        assert cache.items() == []


@pytest.mark.parametrize(
    "gone",
    [
        refusal(410, "Expired"),
        stream(event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "x"})),
    ],
    ids=["http", "event"],
)
async def test_410_lists_again_and_tells_what_was_missed(monkeypatch: pytest.MonkeyPatch, gone: Any) -> None:
    script = [
        answer(listing(10, config_map("kept", 1), config_map("lost", 2), config_map("changed", 3))),
        gone,
        answer(listing(50, config_map("kept", 1), config_map("changed", 40), config_map("new", 45))),
        stream(bookmark(51), hang=True),
    ]
    async with following(monkeypatch, *script) as (server, _, told):
        await until(lambda: len(server.requests) == 4)
        assert told[3:] == [("MODIFIED", "changed"), ("ADDED", "new"), ("DELETED", "lost")]
        assert paths(server) == ["list", "watch 10", "list", "watch 50"]


def told_apart(lists: list[Any], watches: list[Any]) -> Any:
    """A handler that takes the next answer of lists or watches; the last of each for ever."""

    async def handler(request: Any) -> Any:
        mine = watches if "watch" in request.query else lists
        return await (mine.pop(0) if len(mine) > 1 else mine[0])(request)

    return handler


async def test_a_broken_watch_is_taken_up_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the server was asked whether its history still reaches so far."""
    watches = [
        stream(event("ADDED", config_map("a", 11)), cut=True),
        stream(bookmark(15), cut=True),
        refusal(503, "ServiceUnavailable"),
        broken(),
        stream(event("ADDED", config_map("b", 16)), hang=True),
    ]
    lists = [answer(listing(10)), answer(listing(40))]
    async with following(monkeypatch, told_apart(lists, watches)) as (server, cache, told):
        await until(lambda: cache.get("ns", "b") is not None)
        asked = [request for request in server.requests[1:] if "watch" not in request.query]
        assert {request.query.get("limit") for request in asked} == {"1"}
        assert [path for path in paths(server) if path != "list"] == [
            f"watch {version}" for version in (10, 11, 15, 15, 15)
        ]
        assert told == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_server_whose_history_is_shorter_than_what_is_known_is_listed_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restored = answer(listing(7, config_map("a", 6)))
    lists = [answer(listing(10, config_map("a", 9), config_map("b", 8))), restored]
    watches = [stream(bookmark(20), cut=True), stream(event("ADDED", config_map("c", 8)), hang=True)]
    async with following(monkeypatch, told_apart(lists, watches)) as (server, cache, _):
        await until(lambda: cache.get("ns", "c") is not None and "watch 7" in paths(server))
        assert sorted(obj["metadata"]["resourceVersion"] for obj in cache.items()) == ["6", "8"]
        assert paths(server) == ["list", "watch 10", "list", "list", "list", "watch 7"]


async def test_a_list_that_is_older_than_what_is_known_replaces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something in between answers with what it was told before; the server's own history goes further."""
    stale, now = answer(listing(7, config_map("a", 6))), answer(listing(30))
    whole = answer(listing(31, config_map("a", 9), config_map("b", 8), config_map("c", 25)))
    lists = [answer(listing(10, config_map("a", 9), config_map("b", 8))), stale, now, stale, now, whole]
    watches = [refusal(410, "Expired"), stream(bookmark(40), hang=True)]
    async with following(monkeypatch, told_apart(lists, watches)) as (server, cache, told):
        await until(lambda: cache.get("ns", "c") is not None and "watch 31" in paths(server))
        assert told == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
        assert paths(server)[:8] == ["list", "watch 10", *["list"] * 5, "watch 31"]


async def test_a_list_that_is_older_than_an_own_write_replaces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [answer(listing(10)), answer(listing(12)), answer(listing(30)), answer(listing(31, config_map("own", 20)))]
    watches = [stream(hang=True)]
    async with following(monkeypatch, told_apart(lists, watches)) as (server, cache, told):
        await until(lambda: "watch 10" in paths(server))
        cache.remember(config_map("own", 20))
        await cache.refresh(asyncio.get_running_loop().time(), 20.0)
        assert told == [("ADDED", "own")]


async def test_a_silent_watch_is_listed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch from a version in the future says nothing for ever, and that is no error."""
    lists = [answer(listing(100)), answer(listing(50, config_map("a", 40)))]
    watches = [stream(hang=True), stream(event("ADDED", config_map("b", 51)), hang=True)]
    async with following(monkeypatch, told_apart(lists, watches), inactivity=0.2) as (server, cache, _):
        await until(lambda: cache.get("ns", "b") is not None and "watch 50" in paths(server))
        assert paths(server) == ["list", "watch 100", "list", "list", "watch 50"]
        assert cache.get("ns", "a") is not None


async def test_silence_that_hid_nothing_is_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []

    async def hanging_watch(request: Any) -> Any:
        times.append(asyncio.get_running_loop().time())
        return await stream(hang=True)(request)

    handler = told_apart([answer(listing(10))], [hanging_watch])
    async with following(monkeypatch, handler, inactivity=0.3):
        await until(lambda: len(times) >= 4)
    first, second, third = (later - earlier for earlier, later in itertools.pairwise(times))
    assert 0.3 <= first < second
    assert second >= 0.6
    assert 0.6 <= third < 20, "it does not grow for ever"


async def test_a_quiet_collection_is_not_a_stale_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends no bookmarks for a type without changes: accepting the watch is the sign of life."""
    handler = told_apart([answer(listing(10))], [stream(hang=True)])
    async with following(monkeypatch, handler, inactivity=0.2) as (server, cache, told):
        await until(lambda: len(server.requests) >= 6)
        assert cache.seconds_since_last_line < 0.8
        assert told == []


async def test_a_refresh_lists_anew_while_a_watch_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [answer(listing(10)), answer(listing(20, config_map("missed", 15)))]
    async with following(monkeypatch, told_apart(lists, [stream(hang=True)])) as (server, cache, _):
        await until(lambda: len(server.requests) == 2)
        clock = asyncio.get_running_loop().time
        await cache.refresh(clock() - 60, 10)
        assert paths(server) == ["list", "watch 10"]  # the first list is young enough
        await asyncio.gather(*(cache.refresh(clock(), 10) for _ in range(3)))
        assert cache.get("ns", "missed") is not None
        await until(lambda: paths(server)[-1] == "watch 20")
        assert paths(server).count("list") == 2


async def test_a_refresh_does_not_wait_for_a_delay_and_tells_why_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Long:
        def next(self) -> float:
            return 1000.0

    async with scripted(refusal(403, "Forbidden", "may not list")) as (server, kube):
        monkeypatch.setattr(watch, "Backoff", Long)
        cache = Cache(kube, CONFIG_MAPS)
        task = asyncio.create_task(cache.run())
        await until(lambda: len(server.requests) == 1)
        with pytest.raises(CacheNotSyncedError, match="may not list"):
            await cache.refresh(asyncio.get_running_loop().time(), 0.3)
        assert len(server.requests) == 2
        task.cancel()
        await asyncio.wait({task})


async def test_a_refusal_is_listed_again_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [refusal(403, "Forbidden", "may not list"), refusal(404, "NotFound")]
    script = [*refusals, answer(listing(3)), stream(hang=True)]
    async with following(monkeypatch, *script) as (server, cache, _):
        await cache.wait_synced(10)
        await until(lambda: len(server.requests) == 4)
        assert paths(server) == ["list", "list", "list", "watch 3"]


async def test_a_list_that_expires_between_pages_starts_over_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [
        answer(listing(10, config_map("stale", 1), token="next")),
        refusal(410, "Expired"),
        answer(listing(30, config_map("a", 2), token="more")),
        answer(listing(30, config_map("b", 3))),
        stream(hang=True),
    ]
    async with following(monkeypatch, *script) as (server, cache, told):
        await cache.wait_synced(10)
        assert told == [("ADDED", "a"), ("ADDED", "b")]
        lists = [request.query for request in server.requests if "watch" not in request.query]
        assert all("limit" in query for query in lists)
        assert [query.get("continue", "") for query in lists] == ["", "next", "", "more"]


async def test_whoever_reads_a_whole_collection_reads_it_in_pages_too() -> None:
    expiring = [answer(listing(10, config_map("stale", 1), token="next")), refusal(410, "Expired")]
    whole = [answer(listing(30, config_map("a", 2), token="more")), answer(listing(30, config_map("b", 3)))]
    async with scripted(*expiring, *whole) as (server, kube):
        assert [found["metadata"]["name"] for found in await kube.list_all(CONFIG_MAPS)] == ["a", "b"]
        assert all("limit" in request.query for request in server.requests)
    async with scripted(*expiring, *expiring, *expiring, *whole) as (_, kube):
        with pytest.raises(Gone):
            await kube.list_all(CONFIG_MAPS)


def slowly(handler: Any, seconds: float) -> Any:
    """A handler that takes its time."""

    async def slow(request: Any) -> Any:
        await asyncio.sleep(seconds)
        return await handler(request)

    return slow


async def test_a_long_list_is_waited_for_as_long_as_its_pages_come(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [slowly(answer(listing(10, config_map(f"c{n}", 1), token=f"t{n}")), 0.3) for n in range(6)]
    script = [*pages, answer(listing(10, config_map("last", 1))), stream(hang=True)]
    async with following(monkeypatch, *script) as (_, cache, _told):
        await cache.wait_synced(0.7)  # the whole list takes more than twice as long
        assert len(cache) == 7
    async with following(monkeypatch, pages[0], hanging()) as (_, cache, _told):
        with pytest.raises(CacheNotSyncedError, match=r"no page of a list of configmaps within 0\.7 s"):
            await cache.wait_synced(0.7)


async def test_a_list_that_comes_to_no_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_PATIENCE", 3)
    endless = slowly(answer(listing(10, config_map("a", 1), token="next")), 0.05)
    async with following(monkeypatch, endless) as (_, cache, _told):
        with pytest.raises(CacheNotSyncedError):
            await cache.wait_synced(0.2)


async def test_closed_at_once_again_and_again_the_delay_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    class Recording(_Short):
        def next(self) -> float:
            asked.append(0.0)
            return 0.001

    async with scripted(answer(listing(10)), stream()) as (server, kube):
        monkeypatch.setattr(watch, "Backoff", Recording)
        task = asyncio.create_task(Cache(kube, CONFIG_MAPS).run())
        await until(lambda: len(server.requests) >= 6)
        task.cancel()
        await asyncio.wait({task})
    assert len(asked) >= len(server.requests) - 2
