"""A journal segment is read back entry by entry, whatever texts its events hold."""

from __future__ import annotations

import string
from dataclasses import replace

import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.engine.definition import Address
from app.engine.events import ActionFinished
from app.models.execution import ActionOutputs, HttpResponse
from app.models.phases import Phase
from controller.journal.batch import WRITE_BYTES, parts_of
from controller.journal.format import (
    DAMAGED,
    DATA_KEY,
    MOST,
    UNREADABLE,
    DamagedSegmentError,
    Entry,
    Header,
    Line,
    Segment,
    entries_by_run,
    is_segment_name,
    read_entry,
    read_segment,
    segment_name,
    size_of,
    to_config_map,
)
from tests.property.tries import tries
from tests.unit.engine.runs import START

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@tries(100)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
@example(texts=[("line\u2028separator", "paragraph\u2029separator"), ("next\x85line", "form\x0cfeed\x1c")])
@example(texts=[("a\nb\r\nc", "\r")])
def test_entries_are_read_back(texts: list[tuple[str, str]]) -> None:
    entries = [
        Entry(
            "uid",
            "ns",
            "run",
            number,
            ActionFinished(
                START,
                Address(0, 0, number),
                Phase.SUCCEEDED,
                message,
                ActionOutputs(http_response=HttpResponse(status_code=200, body=body)),
            ),
        )
        for number, (message, body) in enumerate(texts, start=1)
    ]
    lines = [Line(entry.uid, entry.sequence, entry.line()) for entry in entries]
    written = Segment(7, "", Header("leader", 3), lines)
    config_map = to_config_map(written, "drplan-system")
    config_map["metadata"]["resourceVersion"] = "1"
    read = read_segment(config_map)
    assert (read.number, read.header) == (7, Header("leader", 3))
    assert [read_entry(line) for line in read.lines] == entries


def stored(text: str, *, number: int = 7) -> Segment:
    """What is read of a segment with that text."""
    metadata = {"name": segment_name(number), "resourceVersion": "1"}
    return read_segment({"metadata": metadata, "data": {DATA_KEY: text}})


def written(*messages: str) -> str:
    """The text of a segment with one entry for each message."""
    entries = [
        Entry("uid", "ns", "run", number, ActionFinished(START, Address(0, 0, number), Phase.FAILED, message))
        for number, message in enumerate(messages, start=1)
    ]
    lines = [Line(entry.uid, entry.sequence, entry.line()) for entry in entries]
    return str(to_config_map(Segment(7, "", Header("leader", 3), lines), "drplan-system")["data"][DATA_KEY])


SOUND = written("one", "two", "three \N{FIRE}")


@tries(300)
@given(
    start=st.integers(0, len(SOUND)),
    length=st.integers(0, 200),
    put=st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(string.printable),
)
def test_whatever_somebody_does_to_a_segment_is_noticed_and_stops_nobody(start: int, length: int, put: str) -> None:
    text = SOUND[:start] + put + SOUND[start + length :]
    found = stored(text)
    entries_by_run([found])
    sound = stored(SOUND)
    if not found.damage and "digest" not in orjson.loads(text.split("\n")[0]):
        return  # it looks like one of an earlier release
    if not found.damage:
        assert (found.header.epoch, [line.text for line in found.lines]) == (
            orjson.loads(text.split("\n")[0])["epoch"],
            [line.text for line in sound.lines],
        )
        return
    # a leader that dies before it has told anybody leaves it to the next one
    again = stored(to_config_map(replace(found, header=Header("next", 4)), "drplan-system")["data"][DATA_KEY])
    assert again.damage
    assert [line for line in again.lines if line.uid != DAMAGED] == [
        line for line in found.lines if line.uid != DAMAGED
    ]


@tries(50)
@given(st.permutations(SOUND.split("\n")[1:]), st.integers(0, 3))
def test_lines_in_another_order_fewer_or_twice_are_noticed(lines: list[str], number: int) -> None:
    head, *before = SOUND.split("\n")
    for changed in (lines, lines[:number], [*lines, *lines[:number]]):
        assume(changed != before)
        assert stored("\n".join([head, *changed])).damage


@pytest.mark.parametrize(
    "header",
    [
        "", "null", "[]", "7", '"x"', "{}", '{"leader": "x"}', '{"leader": "x", "epoch": "y"}', '{"epoch": 1}',
        '{"leader": "x", "epoch": 0}', '{"leader": "x", "epoch": -3}', f'{{"leader": "x", "epoch": {10**30}}}',
        f'{{"leader": "x", "epoch": {MOST}}}', '{"leader": "x", "epoch": 1e308}', '{"leader": "x", "epoch": null}',
    ],
)  # fmt: skip
def test_a_header_that_nobody_can_have_written_is_unreadable(header: str) -> None:
    found = stored("\n".join([header, *SOUND.split("\n")[1:]]))
    assert found.header == UNREADABLE
    assert found.damage
    assert len(entries_by_run([found])["uid"]) == 3


@pytest.mark.parametrize(
    "name",
    [
        "drplan-journal-00000007-backup", "drplan-journal-7", "drplan-journal-007", "drplan-journal-",
        "drplan-journal--7", "drplan-journal-0000000x", "drplan-journal-00000007.old",
        "copy-of-drplan-journal-00000007", "settings", "drplan-journal-" + "9" * 30, "drplan-journal-000000000000007",
    ],
)  # fmt: skip
def test_a_copy_is_no_segment(name: str) -> None:
    assert not is_segment_name(name)


@pytest.mark.parametrize("number", [1, 7, 99_999_999, 100_000_000, 10**15])
def test_the_name_of_a_segment_is_one(number: int) -> None:
    assert is_segment_name(segment_name(number))


def test_what_a_later_version_wrote_is_not_gone_on_from() -> None:
    text = SOUND.replace("ActionFinished", "ActionDreamt")
    sound = [Line("uid", number, line) for number, line in enumerate(text.split("\n")[1:], start=1)]
    later = to_config_map(Segment(7, "", Header("later", 9), sound), "drplan-system")["data"][DATA_KEY]
    with pytest.raises(DamagedSegmentError, match="run the version that wrote it"):
        entries_by_run([stored(later)])
    assert not entries_by_run([stored(text)])  # without their digest they are somebody's


def test_a_segment_of_an_earlier_release_has_no_digest_and_is_sound() -> None:
    head, *lines = SOUND.split("\n")
    old = {name: value for name, value in orjson.loads(head).items() if name != "digest"}
    assert not stored("\n".join([orjson.dumps(old).decode(), *lines])).damage


@pytest.mark.parametrize("character", ["x", "\u00e9", "\u20ac", "\N{FIRE}"])
def test_sizes_count_bytes_and_not_characters(character: str) -> None:
    lines = [Line("uid", number, character * 10_000) for number in range(1, 60)]
    assert size_of(lines) == 59 * (10_000 * len(character.encode()) + 1)
    for part in parts_of(lines):
        assert sum(len(line.text.encode()) + 1 for line in part) <= WRITE_BYTES
