"""A thread beside the event loop that ends the process when the loop does not.

A leader that lost its lease, or a process that was told to stop, ends by cancelling its tasks. Should one of them not
end, or the loop be blocked, nobody inside the loop can tell. The watchdog can: it looks at named conditions four times
a second, and one that holds for too long ends the process at once, with a line that says why and where every thread
stood. It also takes the signals that ask the process to stop, so that these are obeyed whatever the loop does.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

EXIT_OVERDUE = 70
"""Exit code of a process that the watchdog ended (EX_SOFTWARE)."""
TICK_SECONDS = 0.25
PAUSE_SECONDS = 2.0
"""Between two looks: more than that, and the process was stopped meanwhile."""
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})

Reason = Callable[[], str]
"""Says why the process must end, or nothing. Called from the watchdog's thread: quick, no locks, no event loop."""


@dataclass(slots=True)
class _Condition:
    name: str
    reason: Reason
    seconds: float
    since: float | None = None


@dataclass(slots=True)
class Watchdog:
    """Ends the process when a condition has held for its seconds. `end` does it, and gets the line to write.

    Only time in which the process ran counts: after SIGSTOP or a long pause of the machine all conditions begin anew,
    so that the loop gets its chance first.
    """

    end: Callable[[str], None] = field(default_factory=lambda: end_now)
    clock: Callable[[], float] = time.monotonic
    _conditions: list[_Condition] = field(default_factory=list)
    _last_look: float | None = None
    _signalled: int = 0
    _notify: Callable[[], None] | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def watch(self, name: str, reason: Reason, seconds: float) -> None:
        """Add a condition that may hold for at most `seconds` on end."""
        self._conditions.append(_Condition(name, reason, seconds))

    def start(self, shutdown_seconds: float) -> None:
        """Take the stop signals over and begin to watch; after such a signal the process has `shutdown_seconds`.

        Call it in the main thread before any other thread exists, because the signals are blocked in all of them.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self.watch("shutdown", self._told_to_stop, shutdown_seconds)
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer, and let the signals have their usual effect."""
        self._stopped.set()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def on_signal(self, notify: Callable[[], None]) -> None:
        """Have `notify` called from the watchdog's thread at a stop signal; at once when one has come already."""
        self._notify = notify
        if self._signalled:
            notify()

    def look(self) -> None:
        """Look at all conditions once, and end the process when one has held for too long."""
        now = self.clock()
        paused = self._last_look is not None and now - self._last_look > PAUSE_SECONDS
        self._last_look = now
        for condition in self._conditions:
            reason = condition.reason()
            if not reason:
                condition.since = None
            elif condition.since is None or paused:
                condition.since = now
            elif now - condition.since >= condition.seconds:
                self.end(f"{condition.name}: {reason}, and it has not ended within {condition.seconds:g} s")

    def signalled(self, number: int) -> None:
        """Note a stop signal."""
        self._signalled = self._signalled or number
        if self._notify is not None:
            self._notify()

    def _told_to_stop(self) -> str:
        return f"told to stop by {signal.Signals(self._signalled).name}" if self._signalled else ""

    def _run(self) -> None:
        while not self._stopped.is_set():
            # sigtimedwait would do it, but returns nonsense when the process was stopped meanwhile (CPython 3.11)
            time.sleep(TICK_SECONDS)
            for number in signal.sigpending() & STOP_SIGNALS:
                signal.sigwait({number})
                self.signalled(number)
            self.look()


def end_now(text: str) -> None:
    """Write a log line and where every thread stands, and end the process without any more ado."""
    line = {"event": "process ended by its watchdog", "error": text, "level": "error", "exit_code": EXIT_OVERDUE}
    os.write(2, orjson.dumps({**line, "time": datetime.now(UTC).isoformat()}) + b"\n")
    faulthandler.dump_traceback(file=2, all_threads=True)
    os._exit(EXIT_OVERDUE)
