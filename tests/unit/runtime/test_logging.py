"""Logs: JSON lines, for our own and for libraries' records."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.runtime.logging import bind, get_logger, setup_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    setup_logging("info", stream=stream)
    get_logger("drplan.test").info("stage started", stage="web", attempts=2, odd={1: object})
    (line,) = lines(stream)
    assert (line["msg"], line["level"], line["logger"]) == ("stage started", "info", "drplan.test")
    assert (line["stage"], line["attempts"]) == ("web", 2)
    assert line["time"].endswith("Z")


def test_a_logger_made_before_the_setup_works(stream: io.StringIO) -> None:
    log = get_logger("early")
    setup_logging("warning", stream=stream)
    log.info("not shown")
    log.warning("shown")
    assert [line["msg"] for line in lines(stream)] == ["shown"]


def test_bound_fields_are_on_every_line_of_the_block(stream: io.StringIO) -> None:
    setup_logging("info", stream=stream)
    log = get_logger("x")
    with bind(execution="prod/run-1"), bind(action="switch"):
        log.info("inside")
    log.info("outside")
    inside, outside = lines(stream)
    assert (inside["execution"], inside["action"]) == ("prod/run-1", "switch")
    assert "execution" not in outside


def test_records_of_libraries_have_the_same_form(stream: io.StringIO) -> None:
    setup_logging("info", stream=stream)
    with bind(execution="prod/run-1"):
        logging.getLogger("some.library").warning("took %d s", 3)
    (line,) = lines(stream)
    assert (line["msg"], line["level"], line["logger"]) == ("took 3 s", "warning", "some.library")
    assert line["execution"] == "prod/run-1"


def test_urls_that_the_http_library_logs_are_kept_out(stream: io.StringIO) -> None:
    """Parameters that came from Secrets may be in them."""
    for level in ("debug", "info"):
        setup_logging(level, stream=stream)
        logging.getLogger("httpx").info("HTTP Request: GET https://site/?token=s3cret")
    assert lines(stream) == []


def test_an_exception_is_one_line(stream: io.StringIO) -> None:
    setup_logging("info", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        get_logger("x").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: broken" in line["exception"]


def test_lines_for_people(stream: io.StringIO) -> None:
    setup_logging("info", json=False, stream=stream)
    get_logger("x").info("stage started", stage="web")
    assert "stage started" in stream.getvalue()
    assert "stage=web" in stream.getvalue()
