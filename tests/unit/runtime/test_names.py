"""Name look-ups: dead names hold up nobody else, and every look-up ends in time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from app.runtime.names import NameLookupError, NameLookups, is_own, numeric


class Names:
    """getaddrinfo that hangs for names that begin with `dead` until it is let go."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.let_go = threading.Event()

    def __call__(self, host: str, port: None, **_: Any) -> list[Any]:
        self.asked[host] += 1
        if host.startswith("dead"):
            self.let_go.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if host.startswith("no"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))] * 2


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.let_go.set()


async def outcome(lookups: NameLookups, host: str) -> str:
    try:
        return ",".join(await lookups.find(host))
    except NameLookupError as error:
        return str(error)


async def test_many_dead_names_hold_up_no_other(names: Names) -> None:
    lookups = NameLookups("action", seconds=1.5, threads=8)
    dead = [asyncio.create_task(outcome(lookups, f"dead-{n}")) for n in range(4)]
    await asyncio.sleep(0.05)
    assert await outcome(lookups, "alive") == "10.0.0.1"
    assert not any(task.done() for task in dead)
    assert set(await asyncio.gather(*dead)) == {"the name look-up took longer than 1.5s"}
    for alive in ("alive-2", "alive-3"):
        dead = [asyncio.create_task(outcome(lookups, f"dead-{n}")) for n in range(7)]
        await asyncio.sleep(0.05)
        assert await outcome(lookups, alive) == "10.0.0.1"
        assert all("look-up" in text for text in await asyncio.gather(*dead))
    assert [names.asked[f"dead-{n}"] for n in range(7)] == [1] * 7


async def test_slow_names_leave_half_of_the_threads_to_others(names: Names) -> None:
    lookups = NameLookups("action", seconds=1.0, threads=4)
    for _ in range(2):
        dead = [asyncio.create_task(outcome(lookups, f"dead-{n}")) for n in range(3)]
        await asyncio.gather(*dead)
    names.let_go.set()
    await asyncio.sleep(0.1)
    names.let_go.clear()
    dead = [asyncio.create_task(outcome(lookups, f"dead-{n}")) for n in range(3)]
    await asyncio.sleep(0.05)
    assert lookups._running == 2
    assert await outcome(lookups, "alive") == "10.0.0.1"
    assert all("look-up" in text for text in await asyncio.gather(*dead))


async def test_a_full_house_gives_up_in_time_and_recovers(names: Names) -> None:
    lookups = NameLookups("action", seconds=1.0, threads=2)
    dead = [asyncio.create_task(outcome(lookups, f"dead-{n}")) for n in range(4)]
    assert all("look-up" in text for text in await asyncio.gather(*dead))
    assert "look-up" in await outcome(lookups, "alive")
    assert lookups._flights.keys() == {"dead-0", "dead-1"}
    names.let_go.set()
    await asyncio.sleep(0.1)
    assert await outcome(lookups, "alive") == "10.0.0.1"


async def test_one_name_is_asked_for_once_and_kept_for_a_while(names: Names) -> None:
    lookups = NameLookups("action")
    assert set(await asyncio.gather(*(lookups.find("alive") for _ in range(50)))) == {("10.0.0.1",)}
    await lookups.find("alive")
    assert names.asked == {"alive": 1}


async def test_failures_are_told_and_not_kept(names: Names) -> None:
    lookups = NameLookups("action")
    for _ in range(2):
        assert await outcome(lookups, "nowhere") == "the host name cannot be resolved: name or service not known"
    assert names.asked == {"nowhere": 2}


async def test_who_stops_waiting_stops_nobody_else(names: Names) -> None:
    lookups = NameLookups("action", seconds=5)
    one, other = (asyncio.create_task(lookups.find("dead-1")) for _ in range(2))
    await asyncio.sleep(0.05)
    one.cancel()
    names.let_go.set()
    with pytest.raises(NameLookupError, match="temporary failure"):
        await other
    assert one.cancelled()


async def test_no_thread_to_be_had_is_a_failure(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert "no thread" in await outcome(NameLookups("action"), "alive")


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "fe80::1%eth0", "0x7f.1", "2130706433", "0177.0.0.1", "127.1"])
async def test_addresses_are_looked_up_by_nobody(names: Names, host: str) -> None:
    found = await NameLookups("action").find(host)
    assert found in {("127.0.0.1",), (host,)}
    assert not names.asked


@pytest.mark.parametrize("host", ["face.example", "x1", "localhost", "127.0.0.1.example", "1.2.3.4.5", ""])
def test_what_is_no_address(host: str) -> None:
    assert numeric(host) is None


async def test_hosts_of_this_machine_are_found() -> None:
    assert set(await NameLookups("action").find("localhost")) <= {"127.0.0.1", "::1"}
    assert "cannot be resolved" in await outcome(NameLookups("action"), "a" * 70 + ".example")


def test_addresses_of_this_host_are_known_by_their_routes() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no address but loopback")
        own = probe.getsockname()[0]
    assert is_own(ip_address(own))
    assert not is_own(ip_address("192.0.2.1"))
    assert not is_own(ip_address("2001:db8::1"))
