"""A journal segment is read back entry by entry, whatever texts its events hold."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from app.engine.definition import Address
from app.engine.events import ActionFinished
from app.models.execution import ActionOutputs, HttpResponse
from app.models.phases import Phase
from controller.journal.format import Entry, Header, Line, Segment, read_entry, read_segment, to_config_map
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
