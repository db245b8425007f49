"""A load generator for the admission service, in a process of its own: many reviews over few keep-alive connections.

It is as cheap as Python gets: requests are made beforehand, connections are plain non-blocking TLS sockets, answers are
looked at just enough to know where they end. What it costs itself is measured along, so that one can tell whether it
was the bottleneck. Run as `python -m bench.load`: the order comes as JSON on standard input, the result leaves as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

PATIENCE = 30.0
"""Seconds that one answer may take before the measurement is given up."""

_END_OF_HEADERS = b"\r\n\r\n"


class LoadError(Exception):
    """The service did not answer a review as it should."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to send: the bodies in `bodies` take turns, on `connections` connections, for `seconds`."""

    port: int
    authority: str
    """File of the certificate that the service's is signed with."""
    path: str
    bodies: str
    """File with one JSON review a line."""
    connections: int
    seconds: float
    warm_up: float
    """Seconds before measuring, at the same load."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order. Latencies count from the first byte sent to the last byte received, in seconds."""

    reviews: int
    seconds: float
    latencies: list[float]
    client_cpu: float
    """Seconds of processor time that the generator used itself."""
    allowed: int
    """Answers that said `"allowed":true`."""
    reviews_in_all: int
    """Those before measuring included."""


class _Connection:
    """One keep-alive connection with at most one review on its way."""

    def __init__(self, order: Order, context: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", order.port), timeout=PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.setblocking(False)
        self.sent = 0.0
        self._received = b""

    def send(self, request: bytes) -> None:
        """Send one request; waits when the kernel's buffer is full."""
        self._received = b""
        self.sent = time.perf_counter()
        left = memoryview(request)
        while left:
            try:
                left = left[self.socket.send(left) :]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                select.select([], [self.socket], [], PATIENCE)

    def receive(self) -> bytes | None:
        """The answer, when all of it is there."""
        try:
            while True:
                chunk = self.socket.recv(65536)
                if not chunk:
                    raise LoadError("the service closed the connection")
                self._received += chunk
                if self._complete():
                    return self._received
        except ssl.SSLWantReadError:
            return None

    def _complete(self) -> bool:
        end = self._received.find(_END_OF_HEADERS)
        if end < 0:
            return False
        head = self._received[:end].lower()
        at = head.find(b"content-length:")
        if not head.startswith(b"http/1.1 200") or at < 0:
            raise LoadError(f"unexpected answer: {self._received[:200]!r}")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        return len(self._received) >= end + len(_END_OF_HEADERS) + length


def requests_of(order: Order) -> list[bytes]:
    """The whole HTTP requests, head and body."""
    requests = []
    for body in Path(order.bodies).read_bytes().splitlines():
        head = (
            f"POST {order.path}?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, */*\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def run(order: Order) -> Outcome:
    """Carry out an order. Raises LoadError or OSError."""
    context = ssl.create_default_context(cafile=order.authority)
    requests = deque(requests_of(order))
    connections = [_Connection(order, context) for _ in range(order.connections)]
    try:
        before = _drive(connections, requests, order.warm_up)
        outcome = _drive(connections, requests, order.seconds)
        return replace(outcome, reviews_in_all=outcome.reviews + before.reviews)
    finally:
        for connection in connections:
            connection.socket.close()


def _drive(connections: Sequence[_Connection], requests: deque[bytes], seconds: float) -> Outcome:
    """Keep every connection busy for `seconds`, then wait for what is still on its way."""
    by_number = {connection.socket.fileno(): connection for connection in connections}
    poll = select.epoll()
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    latencies: list[float] = []
    allowed = 0
    cpu, started = time.process_time(), time.perf_counter()
    for connection in connections:
        _send_next(connection, requests)
    busy = len(connections)
    while busy:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise LoadError(f"no answer within {PATIENCE:.0f} s")
        for number, _event in ready:
            connection = by_number[number]
            answer = connection.receive()
            if answer is None:
                continue
            now = time.perf_counter()
            latencies.append(now - connection.sent)
            allowed += b'"allowed":true' in answer
            if now - started < seconds:
                _send_next(connection, requests)
            else:
                busy -= 1
    poll.close()
    took = time.perf_counter() - started
    return Outcome(len(latencies), took, latencies, time.process_time() - cpu, allowed, len(latencies))


def _send_next(connection: _Connection, requests: deque[bytes]) -> None:
    requests.rotate(-1)
    connection.send(requests[0])


def main() -> None:
    """Read an order, carry it out, print what came of it."""
    outcome = run(Order(**json.load(sys.stdin)))
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
