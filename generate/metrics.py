"""``python -m generate.metrics --write docs/metrics.md``: every metric as a page, or the check of that page.

The page comes from the registry of a process that has done nothing yet, so it lists the label values that exist from
the start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from app.runtime import metrics
from controller.execution_gauges import HELP, LABELS
from generate.files import page_command

_INTRODUCTION: Final = """\
# Metrics

Generated from `app/runtime/metrics.py` and `controller/execution_gauges.py` by `make docs`; do not
edit.

Both processes serve `/metrics` on port 8080 without authentication, in the text format of
Prometheus, or as OpenMetrics when the header `Accept` asks for it. Each shows its own metrics and
those of the last section. Names of objects are never labels; the objects, their conditions, Events
and the logs have them. Metrics of `process_` and `python_` come from the Prometheus client. A
histogram `x` is read as `x_bucket`, `x_sum` and `x_count`.

Where all values of a label are listed, each exists with the value 0 from the start, so that
`increase` sees the first event; "..." stands for values that appear when they occur. What to alert
on: [alerts.md](alerts.md).
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A metric as the page lists it; `labels` has the known values of each label."""

    name: str
    kind: str
    text: str
    labels: dict[str, tuple[str, ...]]

    def belongs_to(self, component: metrics.Component) -> bool:
        """Whether only `component` shows it."""
        others = [item for item in metrics.Component if item is not component]
        return all(self.name.startswith(item.foreign) for item in others)


def entries() -> list[Entry]:
    """Every metric of both processes, by name."""
    wrapped = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    stored = [Entry(name, "gauge", text, dict.fromkeys(LABELS[name], ())) for name, text in HELP.items()]
    return sorted([*stored, *(_entry(item) for item in wrapped)], key=lambda entry: entry.name)


def _entry(wrapped: MetricWrapperBase) -> Entry:
    [family] = wrapped.describe()
    names, children = wrapped._labelnames, getattr(wrapped, "_metrics", {})
    known = {name: tuple(dict.fromkeys(str(values[at]) for values in children)) for at, name in enumerate(names)}
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return Entry(family.name + suffix, family.type, family.documentation, known)


def metrics_page() -> str:
    """Return the text of docs/metrics.md."""
    found = entries()
    sections = {component.value.capitalize(): component for component in metrics.Component}
    parts = [_INTRODUCTION]
    for title, component in sections.items():
        parts.append(f"## {title}\n\n{_table([entry for entry in found if entry.belongs_to(component)])}")
    shared = [entry for entry in found if not any(entry.belongs_to(component) for component in metrics.Component)]
    parts.append(f"## Both\n\n{_table(shared)}")
    return "\n".join(parts)


def _table(found: Sequence[Entry]) -> str:
    rows = [f"| `{entry.name}` | {entry.kind} | {'<br>'.join(_labels(entry))} | {entry.text} |" for entry in found]
    return "\n".join(["| Metric | Type | Labels | Meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"


def _labels(entry: Entry) -> Iterator[str]:
    for name, known in entry.labels.items():
        yield f"`{name}`: {', '.join(known) or '...'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the page is written or up to date, 1 when `--check` found it different."""
    return page_command("generate.metrics", metrics_page, arguments)


if __name__ == "__main__":
    sys.exit(main())
