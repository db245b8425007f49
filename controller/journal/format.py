"""How a journal segment is written down.

A segment is a ConfigMap `drplan-journal-<n>` whose one data key holds JSON lines: first the header with the leader's
identity and epoch, then entries. An entry is an event of one run under its sequence number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from app.engine.events import Event, decode, encode
from app.models.base import GROUP

NAME_PREFIX = "drplan-journal-"
DATA_KEY = "journal"
COMPONENT_LABEL = f"{GROUP}/component"
COMPONENT = "journal"
SELECTOR = f"{COMPONENT_LABEL}={COMPONENT}"


class DamagedSegmentError(ValueError):
    """A segment that cannot be read; the message names it and the line."""


@dataclass(frozen=True, slots=True)
class Header:
    """Who may append: the fence against a deposed leader."""

    leader: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of one run. `sequence` counts the run's events from 1."""

    uid: str
    namespace: str
    name: str
    sequence: int
    event: Event

    def line(self) -> str:
        """Return the stored form, without the line's end."""
        data = {"u": self.uid, "ns": self.namespace, "n": self.name, "s": self.sequence, **encode(self.event)}
        return orjson.dumps(data).decode()


@dataclass(slots=True)
class Line:
    """An entry's stored form, with what it takes to know when it is no longer needed."""

    uid: str
    sequence: int
    text: str


@dataclass(slots=True)
class Segment:
    """One segment as far as its owner knows: its lines and the resourceVersion of the last write."""

    number: int
    resource_version: str
    header: Header
    lines: list[Line]

    @property
    def name(self) -> str:
        """Name of the ConfigMap."""
        return segment_name(self.number)


def size_of(lines: Iterable[Line]) -> int:
    """Return the bytes that entries take in a segment."""
    return sum(len(line.text) + 1 for line in lines)


def segment_name(number: int) -> str:
    """Return the name of segment `number`; zero-padded, so that listings are in order."""
    return f"{NAME_PREFIX}{number:08d}"


def to_config_map(segment: Segment, namespace: str) -> dict[str, Any]:
    """Return the ConfigMap that stores `segment`; with a resourceVersion, when it has one, as the precondition."""
    metadata: dict[str, Any] = {
        "name": segment.name,
        "namespace": namespace,
        "labels": {COMPONENT_LABEL: COMPONENT},
        "managedFields": [{}],
    }
    if segment.resource_version:
        metadata["resourceVersion"] = segment.resource_version
    header = orjson.dumps({"leader": segment.header.leader, "epoch": segment.header.epoch}).decode()
    text = "\n".join([header, *(line.text for line in segment.lines)])
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {DATA_KEY: text}}


def read_segment(config_map: dict[str, Any]) -> Segment:
    """Read a segment. Raises `DamagedSegmentError`."""
    name = config_map["metadata"]["name"]
    lines = (config_map.get("data") or {}).get(DATA_KEY, "").split("\n")
    try:
        number = int(name.removeprefix(NAME_PREFIX))
        head = orjson.loads(lines[0])
        header = Header(str(head["leader"]), int(head["epoch"]))
        stored = [_line(text) for text in lines[1:] if text]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DamagedSegmentError(
            f"journal segment {name} cannot be read ({type(error).__name__}: {error}); restore it from a backup, or "
            "delete it to go on from the statuses alone"
        ) from error
    return Segment(number, config_map["metadata"]["resourceVersion"], header, stored)


def _line(text: str) -> Line:
    data = orjson.loads(text)
    return Line(data["u"], int(data["s"]), text)


def read_entry(line: Line) -> Entry:
    """Read an entry. Raises ValueError on an event this version does not know."""
    data = orjson.loads(line.text)
    return Entry(data["u"], data["ns"], data["n"], data["s"], decode(data))


def entries_by_run(segments: Iterable[Segment]) -> dict[str, list[Entry]]:
    """Return every run's entries in sequence, each once, however often it was carried forward.

    Raises `DamagedSegmentError` on an entry that this version does not understand.
    """
    found: dict[str, dict[int, Entry]] = {}
    for segment in segments:
        for line in segment.lines:
            try:
                found.setdefault(line.uid, {}).setdefault(line.sequence, read_entry(line))
            except (ValueError, KeyError, TypeError) as error:
                raise DamagedSegmentError(
                    f"journal segment {segment.name} cannot be read, event {line.sequence} of execution {line.uid} "
                    f"({type(error).__name__}: {error}); run the version that wrote it, or delete the segment to go on "
                    "from the statuses alone"
                ) from error
    return {uid: [entries[sequence] for sequence in sorted(entries)] for uid, entries in found.items()}
