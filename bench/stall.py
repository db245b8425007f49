"""How long the event loop of a process is held up: `python -m bench.stall PORT PID`, until standard input ends.

Asks for a page that the process does not have, again and again. Prints the longest answer in ms; then the longest
without the time in which the process's loop was ready and had to wait for a processor, which is the machine's matter,
and of that no more than the processor time that all threads of the process used meanwhile: what holds the loop, by
itself or through the interpreter's lock, computes. Then when that was asked (seconds since the epoch). A process of its
own, because the one that sends the load is itself held up by that.
"""

from __future__ import annotations

import http.client
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

PAUSE = 0.005


def main() -> None:
    """Measure the process that listens on the port."""
    port, process = int(sys.argv[1]), sys.argv[2]
    longest = own = when = 0.0
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
        started, asked, waited, used = time.perf_counter(), time.time(), _waited(process), _used(process)
        connection.request("GET", "/nothing")
        connection.getresponse().read()
        seconds = time.perf_counter() - started
        longest = max(longest, seconds)
        busy = min(seconds - (_waited(process) - waited), _used(process) - used)
        own, when = max((own, when), (busy, asked))
        connection.close()
    print(longest * 1000, own * 1000, when)


def _waited(process: str) -> float:
    """Seconds that the first thread of a process, which has its event loop, has waited for a processor."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9


def _used(process: str) -> float:
    """Seconds of a processor that all threads of a process have used; threads come and go."""
    total = 0
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


if __name__ == "__main__":
    main()
