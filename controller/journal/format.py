"""How a journal segment is written down.

A segment is a ConfigMap `drplan-journal-<n>` whose one data key holds JSON lines: first the header with the leader's
identity and epoch and a digest of the rest, then entries. An entry is an event of one run under its sequence number.

Reading never fails at what somebody has made of a segment: it is told as damage, because one that stops the reader
would stop every run.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from app.engine.events import Event, decode, encode
from app.models.base import GROUP

NAME_PREFIX = "drplan-journal-"
DATA_KEY = "journal"
COMPONENT_LABEL = f"{GROUP}/component"
COMPONENT = "journal"
SELECTOR = f"{COMPONENT_LABEL}={COMPONENT}"
MOST: Final = 2**53
"""The highest number that is believed: JSON keeps no larger ones, and no journal gets there."""
DAMAGED: Final = ""
"""The uid under which it is kept what of a segment cannot be read."""
_NAME = re.compile(rf"{NAME_PREFIX}(\d{{8,16}})")


class DamagedSegmentError(ValueError):
    """A segment that this version cannot go on from; the message names it and the line."""


@dataclass(frozen=True, slots=True)
class Header:
    """Who may append: the fence against a deposed leader."""

    leader: str
    epoch: int


UNREADABLE: Final = Header("", 0)
"""Stands for a header that cannot be read. The epochs of leaders begin at 1."""


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
    size: int = field(init=False)
    """Bytes that it takes, its end included: a text may have four for a character."""

    def __post_init__(self) -> None:
        self.size = len(self.text.encode()) + 1


@dataclass(slots=True)
class Segment:
    """One segment as far as its owner knows: its lines and the resourceVersion of the last write."""

    number: int
    resource_version: str
    header: Header
    lines: list[Line]
    damage: str = ""
    """What is wrong with it as it was read; empty when nothing is."""
    immutable: bool = False
    """Whether somebody has made it so that it can only be deleted."""

    @property
    def name(self) -> str:
        """Name of the ConfigMap."""
        return segment_name(self.number)


def size_of(lines: Iterable[Line]) -> int:
    """Return the bytes that entries take in a segment."""
    return sum(line.size for line in lines)


def segment_name(number: int) -> str:
    """Return the name of segment `number`; zero-padded, so that listings are in order."""
    return f"{NAME_PREFIX}{number:08d}"


def is_segment_name(name: str) -> bool:
    """Tell whether a ConfigMap of this name is a segment. A copy that somebody made beside it is none."""
    found = _NAME.fullmatch(name)
    return found is not None and segment_name(int(found[1])) == name


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
    header = {"leader": segment.header.leader, "epoch": segment.header.epoch, "digest": _digest(segment.lines)}
    text = "\n".join([orjson.dumps(header).decode(), *(line.text for line in segment.lines)])
    kept = {"immutable": True} if segment.immutable else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {DATA_KEY: text}, **kept}


def read_segment(config_map: dict[str, Any]) -> Segment:
    """Read a segment, whose name is one (see `is_segment_name`).

    What cannot be read is kept as a line that is nobody's, so that whoever reads it next is told too.
    """
    metadata = config_map["metadata"]
    text = (config_map.get("data") or {}).get(DATA_KEY, "")
    first, *rest = text.split("\n")
    lines = [_line(each) for each in rest if each.strip()]
    damage = "lines of it cannot be read" if any(line.uid == DAMAGED for line in lines) else ""
    try:
        header, digest = _header(first)
    except (ValueError, KeyError, TypeError, OverflowError):
        header, damage = UNREADABLE, "its first line cannot be read"
        lines.insert(0, _damaged(first))
    else:
        if not damage and digest is not None and digest != _digest(lines):
            damage = "lines of it were changed, added or removed"
            lines.append(_damaged(damage))
    return Segment(
        number=int(metadata["name"].removeprefix(NAME_PREFIX)),
        resource_version=metadata["resourceVersion"],
        header=header,
        lines=lines,
        damage=damage,
        immutable=bool(config_map.get("immutable")),
    )


def demand_sound(segments: Iterable[Segment]) -> None:
    """Raise `DamagedSegmentError` at a segment that somebody has changed: for whoever ends the journal, not goes on."""
    for segment in segments:
        if segment.damage:
            raise DamagedSegmentError(
                f"journal segment {segment.name} was changed by somebody: {segment.damage}; restore it from a backup, "
                "or delete it to go on from the statuses alone"
            )


def _digest(lines: Iterable[Line]) -> str:
    """Return what tells that lines are those that were written; it is no signature, and guards against no forger."""
    return f"{zlib.crc32(chr(10).join(line.text for line in lines).encode()):08x}"


def _header(text: str) -> tuple[Header, object]:
    """Read the first line; with the digest, None in a segment of an earlier release."""
    data = orjson.loads(text)
    header = Header(str(data["leader"]), int(data["epoch"]))
    if not 0 < header.epoch < MOST:
        raise ValueError(f"no epoch is {header.epoch}")
    return header, data.get("digest")


def _line(text: str) -> Line:
    try:
        data = orjson.loads(text)
        uid, sequence = data["u"], int(data["s"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return _damaged(text)
    if uid == DAMAGED:
        return Line(DAMAGED, 1, text)
    return Line(uid, sequence, text) if isinstance(uid, str) and 0 < sequence < MOST else _damaged(text)


def _damaged(text: str) -> Line:
    """Return a line that is nobody's, that is read as one again, and keeps what was found."""
    kept = {"u": DAMAGED, "ns": "", "n": "", "s": 1, "e": "Damaged", "t": 0, "found": text}
    return Line(DAMAGED, 1, orjson.dumps(kept).decode())


def read_entry(line: Line) -> Entry:
    """Read an entry. Raises ValueError on an event this version does not know, others on one that is spoiled."""
    data = orjson.loads(line.text)
    return Entry(line.uid, str(data["ns"]), str(data["n"]), line.sequence, decode(data))


def entries_by_run(segments: Iterable[Segment]) -> dict[str, list[Entry]]:
    """Return every run's entries in sequence, each once, however often it was carried forward.

    Of a damaged segment those that can be read. Raises `DamagedSegmentError` on an entry of a sound one that this
    version does not understand: a later version wrote it.
    """
    found: dict[str, dict[int, Entry]] = {}
    for segment in segments:
        for line in segment.lines:
            if line.uid == DAMAGED:
                continue
            try:
                found.setdefault(line.uid, {}).setdefault(line.sequence, read_entry(line))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                if segment.damage:
                    continue
                raise DamagedSegmentError(
                    f"journal segment {segment.name} cannot be read, event {line.sequence} of execution {line.uid} "
                    f"({type(error).__name__}: {error}); run the version that wrote it, or delete the segment to go on "
                    "from the statuses alone"
                ) from error
    return {uid: [entries[sequence] for sequence in sorted(entries)] for uid, entries in found.items() if entries}
