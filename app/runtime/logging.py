"""Structured logs: one JSON object a line, for our own lines and for those of libraries alike.

Bind what a piece of work is about once (`bind(execution="ns/name", action="switch")`) and every line of
that task carries it. Values of parameters, bodies and tokens are never logged; that is the caller's duty.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, FilteringBoundLogger, Processor, WrappedLogger

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""Names of log levels that settings accept."""

_NAME = "_logger_name"

_QUIET = {
    "asyncio": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "httpx": logging.WARNING,
    "uvicorn.error": logging.WARNING,
}
"""Libraries that say at info, whatever our level, what is too much or must not be said: httpx logs whole URLs."""


def setup_logging(level: str = "info", json: bool = True, *, stream: TextIO | None = None) -> None:
    """Send all logs of the process to `stream` (standard error by default).

    `level` is a key of LEVELS; `json` false gives lines for people. Call it once, first thing in main.
    """
    number = LEVELS[level]
    target = stream or sys.stderr
    shared: list[Processor] = [
        merge_contextvars,
        _name_logger,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    render: Processor = _render_json if json else structlog.dev.ConsoleRenderer(colors=target.isatty())
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(number, floor))


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of a module; its lines carry `logger=name`."""
    return cast("FilteringBoundLogger", structlog.get_logger(**{_NAME: name}))


@contextmanager
def bind(**fields: Any) -> Iterator[None]:  # noqa: ANN401  (any loggable value)
    """Add fields to every line logged inside the block by this task and the tasks it starts."""
    with bound_contextvars(**fields):
        yield


def _name_logger(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    event["logger"] = record.name if record is not None else event.pop(_NAME, None)
    return event


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    ordered = {"time": event.pop("time", None), "level": event.pop("level", None), "msg": event.pop("event", "")}
    return orjson.dumps({**ordered, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
