"""Which metrics and labels an expression of PromQL names that do not exist."""

from __future__ import annotations

import re

from generate.metrics import entries

SCRAPED = frozenset({"namespace", "pod", "job", "instance", "component", "container"})
"""Labels that Prometheus adds."""
_ENDINGS = {"histogram": ("_bucket", "_sum", "_count")}
_KNOWN = {
    entry.name + ending: frozenset(entry.labels) | ({"le"} if ending == "_bucket" else set())
    for entry in entries()
    for ending in _ENDINGS.get(entry.kind, ("",))
}


def unknown(expression: str) -> list[str]:
    """The metrics of `expression` that no process has, and labels in a selector that the metric does not have."""
    wrong = []
    for name, selector in re.findall(r"\b(drplan_\w+)(?:\{([^}]*)\})?", expression):
        if name not in _KNOWN:
            wrong.append(name)
            continue
        used = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', selector)
        wrong += [f"{name}: {label}" for label in used if label not in _KNOWN[name] | SCRAPED]
    return wrong
