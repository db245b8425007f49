"""What a process is working on just now, in a small file that outlives it: the next one learns what ended this one.

Only computing counts. Work that waits is not what ends a process, so the file names an object exactly while its code
runs: in the event loop one at a time, in threads a few. That costs two writes to memory for each step, and no request.
The file belongs where a restarted container finds it again, such as an `emptyDir`.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import orjson

from app.runtime.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

_HEAD: Final = struct.Struct("<IIH")
"""Number of the step, ticks of the watchdog that it has lasted, length of the text. No length: no work."""
_SLOT_BYTES: Final = 2048
_SLOTS: Final = 17
"""One of the event loop, the rest of threads."""
LONG_TICKS: Final = 3
"""Ticks of the watchdog (four a second) after which a step is no accident any more."""


@dataclass(frozen=True, slots=True)
class Work:
    """An object that is worked on."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int

    def to_bytes(self) -> bytes:
        """Return the form in the file."""
        return orjson.dumps([self.kind, self.namespace, self.name, self.uid, self.generation])


@dataclass(frozen=True, slots=True)
class Left:
    """What was being worked on when the process before ended. `long`: for so long that this is why it ended."""

    work: Work
    long: bool


class LastWork:
    """The file. Without a path nothing is noted.

    One that cannot be opened is told in the log, and nothing is noted: no run may depend on it.
    """

    def __init__(self, path: str = "") -> None:
        self.left: tuple[Left, ...] = ()
        self._memory: mmap.mmap | bytearray | None = None
        self._free = list(range(_SLOTS - 1, 0, -1))
        self._steps = 0
        self._seen = [0] * _SLOTS
        if not path:
            return
        try:
            self.left = tuple(_left_in(Path(path)))
            self._memory = _opened(Path(path))
        except (OSError, ValueError) as error:
            log.warning("what ends this process will not be known to the next one", path=path, error=str(error))

    def begin(self, work: Work, slot: int = 0) -> None:
        """Note that an object is worked on."""
        if self._memory is None:
            return
        text = work.to_bytes()
        if len(text) > _SLOT_BYTES - _HEAD.size:
            return
        self._steps = self._steps % 0xFFFFFFFF + 1
        at = slot * _SLOT_BYTES
        self._memory[at + _HEAD.size : at + _HEAD.size + len(text)] = text
        self._memory[at : at + _HEAD.size] = _HEAD.pack(self._steps, 0, len(text))

    def end(self, slot: int = 0) -> None:
        """Note that it is not any more."""
        if self._memory is not None:
            at = slot * _SLOT_BYTES
            self._memory[at : at + _HEAD.size] = _HEAD.pack(0, 0, 0)

    def tick(self) -> str:
        """Note what goes on for long; for the watchdog, which calls it from its thread. Returns no reason to end."""
        if self._memory is None:
            return ""
        for slot in range(_SLOTS):
            at = slot * _SLOT_BYTES
            step, ticks, length = _HEAD.unpack(self._memory[at : at + _HEAD.size])
            if step and step == self._seen[slot]:
                self._memory[at + 4 : at + 8] = struct.pack("<I", ticks + 1)
            self._seen[slot] = step if length else 0
        return ""

    async def watched(self, work: Work, coroutine: Awaitable[T]) -> T:
        """Run a coroutine, and note the object while it computes, in the tasks of its groups and its threads too."""
        if self._memory is None:
            return await coroutine
        token = _current.set((self, work))
        try:
            return await _Steps(self, work, _awaiting(coroutine))
        finally:
            _current.reset(token)

    def in_thread(self, work: Work, call: Callable[[], T]) -> T:
        """Call something in a thread, and note the object meanwhile."""
        try:
            slot = self._free.pop()
        except IndexError:
            return call()
        self.begin(work, slot)
        try:
            return call()
        finally:
            self.end(slot)
            self._free.append(slot)


_current: ContextVar[tuple[LastWork, Work] | None] = ContextVar("current_work", default=None)


def child(coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """Return what a task of a group runs: the same, noted as the work of the one who made it."""
    current = _current.get()
    if current is None:
        return coroutine
    return _awaiting(_Steps(*current, coroutine))


async def to_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `asyncio.to_thread`, noted as the work of whoever calls it."""
    current = _current.get()
    if current is None:
        return await asyncio.to_thread(function, *args, **kwargs)
    last, work = current
    return await asyncio.to_thread(last.in_thread, work, lambda: function(*args, **kwargs))


async def _awaiting(work: Awaitable[T]) -> T:
    return await work


class _Steps(Awaitable[T]):
    """Drives a coroutine, and notes its object in each step."""

    def __init__(self, last: LastWork, work: Work, coroutine: Coroutine[Any, Any, T]) -> None:
        self._last = last
        self._work = work
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        value: Any = None
        error: BaseException | None = None
        try:
            while True:
                self._last.begin(self._work)
                try:
                    yielded = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                finally:
                    self._last.end()
                value, error = None, None
                try:
                    value = yield yielded
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    error = thrown
        finally:
            self._coroutine.close()


def _left_in(path: Path) -> list[Left]:
    """Return what a file names; an object on which the loop and threads worked is one."""
    if not path.exists():
        return []
    content = path.read_bytes()
    found: dict[Work, bool] = {}
    for at in range(0, min(len(content), _SLOTS * _SLOT_BYTES) - _SLOT_BYTES + 1, _SLOT_BYTES):
        _, ticks, length = _HEAD.unpack_from(content, at)
        text = content[at + _HEAD.size : at + _HEAD.size + length]
        if not length or len(text) < length:
            continue
        try:
            kind, namespace, name, uid, generation = orjson.loads(text)
            work = Work(str(kind), str(namespace), str(name), str(uid), int(generation))
        except (ValueError, TypeError):
            continue  # it ended in the middle of a write
        found[work] = found.get(work, False) or ticks >= LONG_TICKS
    return [Left(work, long) for work, long in found.items()]


def _opened(path: Path) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w+b") as file:
        file.truncate(_SLOTS * _SLOT_BYTES)
        return mmap.mmap(file.fileno(), _SLOTS * _SLOT_BYTES)
