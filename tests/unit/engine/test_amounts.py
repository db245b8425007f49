"""What an action may make: as much as a journal entry and a ConfigMap have room for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.engine.amounts import MOST_OBJECTS, REFERENCE_BYTES, too_long, too_many
from app.engine.definition import Address
from app.engine.events import ActionFinished, AttemptFailed, CancelRequested, Event, RunSuspended
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, HttpResponse
from app.models.phases import Phase
from controller.actions.manifests import parse_manifest
from controller.journal import Entry
from controller.journal.writer import LARGE_SEGMENT_BYTES

CONFIG_MAP_BYTES = 1024 * 1024
AT = datetime(2030, 1, 1, tzinfo=UTC)
UID = "u" * 36
WORST_TEXT = '"\x01\n' * 10_000
"""Control characters take six bytes each in JSON."""


def made(count: int, name: str, namespace: str) -> list[dict[str, Any]]:
    metadata = {"name": name, "namespace": namespace}
    return [{"apiVersion": "apps.example.com/v1alpha1", "kind": "StatefulThing", "metadata": metadata}] * count


def outputs_of(objects: list[dict[str, Any]]) -> ActionOutputs:
    refs = tuple(CoreReference(api_version=o["apiVersion"], kind=o["kind"], uid=UID, **o["metadata"]) for o in objects)
    response = HttpResponse(status_code=200, body=WORST_TEXT[:1000])
    return ActionOutputs(resource_ref=refs[0], resource_refs=refs, http_response=response)


def line_of(event: Event) -> str:
    return Entry(UID, "n" * 63, "e" * 253, 10**9, event).line()


@pytest.mark.parametrize(
    ("count", "name", "namespace"),
    [(MOST_OBJECTS, "n" * 40, "s" * 20), (MOST_OBJECTS, "n" * 253, "s" * 63), (900, "n" * 253, "s" * 63), (1, "n", "")],
)
def test_what_is_let_through_always_fits_into_a_segment(count: int, name: str, namespace: str) -> None:
    objects = made(count, name, namespace)
    outputs = outputs_of(objects)
    refs = "".join(ref.model_dump_json(by_alias=True) for ref in outputs.resource_refs)
    if too_many(count) or too_long(objects, "default"):
        assert len(refs) > REFERENCE_BYTES * 0.9, "refused although it is small"
        return
    for event in (
        ActionFinished(AT, Address(0, 0, 0), Phase.FAILED, WORST_TEXT, outputs),
        AttemptFailed(AT, Address(0, 0, 0), WORST_TEXT, AT, outputs),
    ):
        assert len(line_of(event).encode()) + LARGE_SEGMENT_BYTES < CONFIG_MAP_BYTES


def test_long_names_are_refused_by_their_bytes() -> None:
    objects = made(MOST_OBJECTS, "n" * 253, "s" * 253)
    assert too_many(len(objects)) == ""
    assert "of one action at most 512 KiB can be recorded" in too_long(objects, "default")


@pytest.mark.parametrize("event", [CancelRequested(AT, WORST_TEXT), RunSuspended(AT, WORST_TEXT)])
def test_messages_are_cut_when_they_are_recorded(event: Event) -> None:
    assert len(line_of(event)) < 8 * 1024


@pytest.mark.parametrize("as_list", [True, False])
def test_a_rendered_manifest_with_too_many_objects_is_refused(as_list: bool) -> None:
    body = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}"
    most = MOST_OBJECTS + 1

    def text(count: int) -> str:
        if as_list:
            return "apiVersion: v1\nkind: List\nitems:\n" + f"- {body}\n" * count
        return "\n---\n".join([body] * count)

    with pytest.raises(ValueError, match=f"the manifest has {most} objects, of one action at most {MOST_OBJECTS} can"):
        parse_manifest(text(most))
    assert len(parse_manifest(text(MOST_OBJECTS))) == MOST_OBJECTS
