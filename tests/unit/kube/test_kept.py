"""What is kept of runs is read within bounds, whoever wrote it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from app.kube import kept
from app.kube.kept import DamagedError, packed, parts_of, read_records, unpacked


def test_what_was_packed_is_unpacked() -> None:
    data = {"a": ["ő" * 1000, 1, None]}
    assert unpacked(packed(data)) == data


@pytest.mark.parametrize(
    ("content", "members"),
    [
        (lambda: b" " * (kept.MOST_UNPACKED + 1), 1),
        (lambda: b"[" + b"1," * kept.MOST_UNPACKED, 1),
        (lambda: b" " * (kept.MOST_UNPACKED // 2), 3),
    ],
    ids=["blanks", "a list", "several members"],
)
def test_little_that_stands_for_much_is_not_decompressed(content: Callable[[], bytes], members: int) -> None:
    with pytest.raises(ValueError, match="more than 64 MiB when it is decompressed"):
        unpacked(gzip.compress(content(), compresslevel=1) * members)


CUT_OFF = gzip.compress(b"{", mtime=0)  # the same in every worker: it is part of the ids


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", CUT_OFF[:-4], CUT_OFF, b"plain"])
def test_what_is_cut_off_or_no_json_raises_what_callers_expect(content: bytes) -> None:
    with pytest.raises((OSError, EOFError, ValueError)):
        unpacked(content)


@pytest.mark.parametrize("parts", ["1000000000", "111", "x"])
def test_an_index_cannot_tell_of_any_number_of_parts(parts: str) -> None:
    index: dict[str, Any] = {"metadata": {"name": "drplan-outcome-u"}, "data": {"parts": parts}}
    with pytest.raises(ValueError, match=r"parts|invalid literal"):
        parts_of(index)
    with pytest.raises(DamagedError, match="outcome record drplan-outcome-u has lost a part"):
        read_records("u", [index])
