"""How long the event loop of a process is held up: `python -m bench.stall PORT`, until standard input ends.

Asks for a page that the process does not have, again and again, and prints the longest answer in ms. A process of its
own, because the one that sends the load is itself held up by that.
"""

from __future__ import annotations

import http.client
import select
import sys
import time

PAUSE = 0.005


def main() -> None:
    """Measure the process that listens on the port."""
    port, longest = int(sys.argv[1]), 0.0
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
        started = time.perf_counter()
        connection.request("GET", "/nothing")
        connection.getresponse().read()
        longest = max(longest, time.perf_counter() - started)
        connection.close()
    print(longest * 1000)


if __name__ == "__main__":
    main()
