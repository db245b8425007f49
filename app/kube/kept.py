"""What is kept of runs in ConfigMaps of the controller's namespace: how it is written down and read (pure).

Content is compressed. What is too large for one ConfigMap is split: parts first, the index last, so that what has an
index is complete and what has none is nothing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from app.kube.resources import CONFIG_MAPS
from app.models.base import GROUP
from app.models.names import EXECUTION_UID_LABEL
from app.models.record import OutcomeRecord, TakenBack
from app.runtime.parts import decoded_in_thread

PART_BYTES = 600 * 1024
"""Compressed bytes in one ConfigMap: base64 makes a third more of it, and an object may have about 1 MiB."""
MOST_UNPACKED = 64 * 1024 * 1024
"""Bytes of what is kept, decompressed: a plan with all its workflows, which admission limits to half of that, and room.
A few kilobytes of gzip can stand for gigabytes."""
COMPONENT_LABEL = f"{GROUP}/component"
OWNER_ANNOTATION = f"{GROUP}/execution"
SNAPSHOT = "snapshot"
PRIOR = "prior-state"
OUTCOME = "outcome"
TAKEN_BACK = "taken-back"
RECORD_LABEL = f"{GROUP}/record-of"
"""The uid of the run that a record is about; what a run needs while it goes on has the label of its execution."""
SELECTOR = f"{COMPONENT_LABEL} in ({SNAPSHOT},{PRIOR},{OUTCOME},{TAKEN_BACK})"

Object = dict[str, Any]


class DamagedError(Exception):
    """Something kept is there and cannot be used; the message names the ConfigMap and what to do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The execution that something kept belongs to."""

    uid: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is kept, what it is and whose."""

    namespace: str
    name: str
    component: str
    owner: Owner


def packed(data: Mapping[str, Any], level: int = 6) -> bytes:
    """Return compressed JSON; the same data always gives the same bytes."""
    return gzip.compress(orjson.dumps(data), compresslevel=level, mtime=0)


def unpacked(content: bytes) -> Any:  # noqa: ANN401  (any JSON value)
    """Read compressed JSON. Raises OSError, EOFError or ValueError, the last also for what would be too large."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        text = file.read(MOST_UNPACKED + 1)
    if len(text) > MOST_UNPACKED:
        raise ValueError(f"it has more than {MOST_UNPACKED // 2**20} MiB when it is decompressed")
    return orjson.loads(text)


def parts_of(index: Mapping[str, Any]) -> int:
    """Return how many further parts an index tells of. Raises ValueError, also for more than there can be."""
    number = int((index.get("data") or {}).get("parts", 0))
    if number > MOST_UNPACKED // PART_BYTES:
        raise ValueError(f"it tells of {number} parts, more than there can be")
    return number


def digest_of(content: bytes) -> str:
    """Return the checksum that an index carries."""
    return hashlib.sha256(content).hexdigest()


def index_of(place: Place, content: bytes, version: int) -> tuple[list[Object], Object]:
    """Return the ConfigMaps that hold `content`: the further parts, and the index, which is to be written last."""
    chunks = [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]
    data = {"format": str(version), "parts": str(len(chunks) - 1), "sha256": digest_of(content)}
    parts = [config_map(place, {}, chunk, number) for number, chunk in enumerate(chunks[1:], start=1)]
    return parts, config_map(place, data, chunks[0])


def label_for(component: str) -> str:
    """Return the label that tells the run that something is kept of."""
    return RECORD_LABEL if component in (OUTCOME, TAKEN_BACK) else EXECUTION_UID_LABEL


def owner_of(item: Mapping[str, Any]) -> Owner | None:
    """Return the run that something is kept of; None when it does not tell."""
    labels = item["metadata"].get("labels") or {}
    uid = labels.get(label_for(labels.get(COMPONENT_LABEL, "")), "")
    namespace, _, name = (item["metadata"].get("annotations") or {}).get(OWNER_ANNOTATION, "").partition("/")
    return Owner(uid, namespace, name) if uid and name else None


def part_name(name: str, number: int) -> str:
    """Return the name of a further part of what is kept under `name`."""
    return f"{name}-{number}"


def config_map(place: Place, data: dict[str, str], content: bytes, number: int = 0) -> Object:
    """Return one ConfigMap; `number` 0 is the index, or all there is."""
    owner = place.owner
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {
            "name": part_name(place.name, number) if number else place.name,
            "namespace": place.namespace,
            "labels": {COMPONENT_LABEL: place.component, label_for(place.component): owner.uid},
            "annotations": {OWNER_ANNOTATION: f"{owner.namespace}/{owner.name}"},
        },
        "immutable": True,
        "data": data,
        "binaryData": {"content": base64.b64encode(content).decode()},
    }


def content_of(item: Mapping[str, Any]) -> bytes:
    """Return what one ConfigMap holds."""
    return base64.b64decode(item["binaryData"]["content"])


def joined(what: str, index: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the content of an index and its parts. Raises `DamagedError`, in whose text `what` is its kind."""
    where = f"{what} {index['metadata'].get('namespace', '')}/{index['metadata']['name']}"
    try:
        content = b"".join(content_of(item) for item in (index, *parts))
        expected = (index.get("data") or {}).get("sha256")
        is_whole = expected in (None, digest_of(content))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{where} cannot be read: {type(error).__name__}: {error}") from error
    if not is_whole:
        raise DamagedError(f"{where} was changed: its checksum does not match")
    return content


def outcome_name(uid: str) -> str:
    """Return the name of the outcome record of the run `uid`."""
    return f"drplan-outcome-{uid}"


def taken_back_name(uid: str, revert_uid: str) -> str:
    """Return the name of the record of what a Revert took back of the run `uid`."""
    return f"drplan-taken-back-{uid}-{digest_of(revert_uid.encode())[:16]}"


@dataclass(frozen=True, slots=True)
class Records:
    """What is recorded of a run that has ended."""

    outcome: OutcomeRecord | None
    taken_back: tuple[TakenBack, ...] = ()
    """By the Reverts of the run, in no order."""


def records_selector(uid: str) -> str:
    """Return the label selector of the records of the run `uid`."""
    return f"{RECORD_LABEL}={uid}"


def read_records(uid: str, items: Iterable[Mapping[str, Any]]) -> Records:
    """Read the records of the run `uid` from the ConfigMaps that `records_selector` finds. Raises `DamagedError`."""
    found = {item["metadata"]["name"]: item for item in items}
    index = found.pop(outcome_name(uid), None)
    marks = [item for item in found.values() if item["metadata"]["labels"].get(COMPONENT_LABEL) == TAKEN_BACK]
    return Records(
        None if index is None else _outcome(uid, index, found),
        tuple(_decoded(TakenBack, "record", item, content_of(item)) for item in marks),
    )


def _outcome(uid: str, index: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> OutcomeRecord:
    name = outcome_name(uid)
    try:
        names = [part_name(name, number) for number in range(1, parts_of(index) + 1)]
        parts = [found[part] for part in names]
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"outcome record {name} has lost a part ({error}); {_ADVICE}") from error
    record: OutcomeRecord = _decoded(OutcomeRecord, "outcome record", index, joined("outcome record", index, parts))
    if record.execution_uid != uid:
        raise DamagedError(f"outcome record {name} is that of another execution; {_ADVICE}")
    return record


_ADVICE = "restore it from a backup, or delete it: the run then counts as unrecorded"


def _decoded(model: Any, what: str, item: Mapping[str, Any], content: bytes) -> Any:  # noqa: ANN401  (one of two models)
    try:
        return decoded_in_thread(model, unpacked(content))
    except (ValidationError, OSError, EOFError, ValueError) as error:
        raise DamagedError(f"{what} {item['metadata']['name']} cannot be read: {error}; {_ADVICE}") from error
