"""The status of an HTTP answer, read before anything else about the answer can be wrong.

A parser gives up on the first thing that it does not like. But once a status line has arrived, the call was done or
refused, whatever the rest looks like.
"""

from __future__ import annotations

import re

MOST_INTERIM = 64 * 1024
"""Bytes of interim answers (1xx) and of a status line that are looked through; more is no answer."""
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?:[ \t][^\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_SWITCHING = 101


class AnswerHead:
    """Fed with the bytes of one connection. `status` is that of the final answer once its status line is complete.

    `hopeless` tells that no status line can be found any more: what came is no HTTP, or nothing but interim answers.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.hopeless = False
        self.flooded = False
        self._unread = b""
        self._passed = 0

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing more to look for."""
        return self.status is not None or self.hopeless

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self.is_complete:
            return
        self._unread = self._unread + data if self._unread else data.lstrip(b"\r\n")
        while self._next():
            pass
        if self._passed + len(self._unread) > MOST_INTERIM and self.status is None:
            self.hopeless = self.flooded = True
        if self.is_complete:
            self._unread = b""

    def _next(self) -> bool:
        """Read one head; False when more bytes are needed."""
        line = _STATUS_LINE.match(self._unread)
        if line is None:
            self.hopeless = b"\n" in self._unread or not b"HTTP/".startswith(self._unread[:5])
            return False
        status = int(line[1])
        if not 100 <= status < 200 or status == _SWITCHING:
            self.status = status
            return False
        end = _END_OF_HEAD.search(self._unread, line.end() - 2)
        if end is None:
            return False
        self._passed += end.end()
        self._unread = self._unread[end.end() :]
        return bool(self._unread)
