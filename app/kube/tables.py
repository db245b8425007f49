"""Tables: what the API server makes of a collection for `kubectl get`, here used to read few fields of many objects.

Measured on 5,000 finished executions of 20 actions: a Table is 6 MB and costs this process 0.24 s of CPU, the list
of whole objects is 42 MB and costs 1.2 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class MissingColumnsError(Exception):
    """The installed CRD does not print what is to be read; the text says which columns and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One object: its metadata, and the cells that were asked for, by column name; empty ones are empty text."""

    metadata: Mapping[str, Any]
    cells: Mapping[str, str]


def table_rows(table: Mapping[str, Any], columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a Table with the cells of `columns`; raises MissingColumnsError."""
    names = [str(definition.get("name")) for definition in table.get("columnDefinitions") or ()]
    missing = [name for name in columns if name not in names]
    if missing:
        raise MissingColumnsError(
            f"the installed CRD does not print the columns {', '.join(missing)}: apply the CRDs of this version"
        )
    places = [(name, names.index(name)) for name in columns]
    for row in table.get("rows") or ():
        cells = row["cells"]
        yield Row(row["object"]["metadata"], {name: str(cells[place] or "") for name, place in places})
