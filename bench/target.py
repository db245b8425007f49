"""The HTTP target of the benchmark, a process of its own: answers when it is told to and notes when.

`POST /<run>/<action>?ms=100` is answered after 100 ms, without `ms` at once. `GET /-/calls` gives what came so far as
JSON lines `[path, arrival, answer]`, on the clock of `time.perf_counter`, which all processes of a machine share.
Run as `python -m bench.target`: the first line of its output is its URL; it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop

from bench.client import Client

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_CALLS = "/-/calls"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: when it came and when it was answered, in seconds of `time.perf_counter`."""

    path: str
    arrived: float
    answered: float


class _Connection(asyncio.Protocol):
    """Answers the requests of one connection, one after another, as HTTP clients send them."""

    def __init__(self, calls: list[tuple[str, float, float]]) -> None:
        self._calls = calls
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end or len(rest) < _content_length(head):
            return
        self._received = b""
        url = urlsplit(head.split(b" ", 2)[1].decode())
        if url.path == _CALLS:
            self._write_calls()
            return
        delay = float(parse_qs(url.query).get("ms", ["0"])[0]) / 1e3
        if delay:
            asyncio.get_running_loop().call_later(delay, self._answer, url.path, now)
        else:
            self._answer(url.path, now)

    def _answer(self, path: str, arrived: float) -> None:
        self._calls.append((path, arrived, time.perf_counter()))
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_ANSWER)

    def _write_calls(self) -> None:
        body = "\n".join(json.dumps(call) for call in self._calls).encode()
        assert self._transport is not None
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Target:
    """A running target process."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid

    def calls(self, prefix: str = "/") -> list[Call]:
        """The calls so far whose path begins with `prefix`, in the order of their answers."""
        with Client(self.url) as client:
            lines = client.send("GET", _CALLS).splitlines()
        return [call for line in lines if (call := Call(*json.loads(line))).path.startswith(prefix)]


@contextmanager
def serving() -> Iterator[Target]:
    """Run a target until the end of the block."""
    command = [sys.executable, "-m", "bench.target"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Target(process.stdout.readline().strip(), process.pid)
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve() -> None:
    calls: list[tuple[str, float, float]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(calls), "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve())
