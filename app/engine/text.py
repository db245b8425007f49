"""Message texts made fit for a status: short, on one line, without secrets.

Order matters: `redact` before `single_line` before `cut`, because the later steps can break a secret into a form that
is no longer recognised.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MESSAGE_LIMIT = 1024
"""Bytes of UTF-8 that a stored message may have."""
MASK = "***"
"""What stands in the place of a secret value."""

_ELLIPSIS = "…"
_LONGEST_NAME = 253
"""Characters of a name, as of most names in Kubernetes."""
_SHORTEST_LINE = 6
"""Fewer characters of a line, such as a bracket, tell nothing of the secret."""
_TELLING = 8
"""Characters of a secret's start that may stay at the end of a text that was cut."""
_MOST_STARTS = 1_000
"""Places that are looked at for the start of a secret; beyond that the next one counts as one."""
_SHORTEST_DECODED = 4
"""Fewer characters would be found in texts that have nothing to do with the secret."""


def cut(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text` in at most `limit` bytes of UTF-8, cut between characters; an ellipsis shows that it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode("utf-8")
    mark = _ELLIPSIS if limit >= len(_ELLIPSIS.encode("utf-8")) else ""
    kept = encoded[: max(limit, 0) - len(mark.encode("utf-8"))]
    return kept.decode("utf-8", "ignore") + mark


def short(name: str) -> str:
    """Return a name as messages tell it: names may be as long as an object, and many messages may tell the same."""
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + _ELLIPSIS


def single_line(text: str) -> str:
    """`text` on one line: each run of blanks, line ends and control characters becomes one blank."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret value replaced by `***`.

    Also found are the forms a value takes on its way through an action: trimmed, percent-encoded in a URL, in lower
    case as the host of one, escaped in JSON, base64 in a header; and what it stands for, as a Secret's `data` holds
    base64. Overlapping occurrences are covered as a whole, so no part of one stays. Of a value of several lines each
    line that stands alone on one is masked too.
    """
    secrets = list(secrets)
    result, position = [], 0
    for start, end in _merged(_occurrences(text, secrets)):
        result += [text[position:start], MASK]
        position = end
    return _without_lines("".join(result) + text[position:], secrets)


def redact_start(text: str, secrets: Iterable[str]) -> str:
    """`redact` for a text that is only the start of a longer one: what may be the start of a secret is masked too."""
    secrets = list(secrets)
    starts = [start for secret in secrets for form in _forms(secret) if (start := _broken_off(text, form)) >= 0]
    cut_at = min(starts, default=len(text))
    return redact(text[:cut_at], secrets) + (MASK if cut_at < len(text) else "")


def _broken_off(text: str, form: str) -> int:
    """Where the end of `text` is the start of `form`; -1 when it is not, or so short a part that it tells nothing."""
    head = form[:_TELLING]
    if len(head) < _TELLING:
        return -1
    start = text.find(head, max(0, len(text) - len(form) + 1))
    for _ in range(_MOST_STARTS):
        if start < 0 or form.startswith(text[start:]):
            return start
        start = text.find(head, start + 1)
    return start


def _without_lines(text: str, secrets: Iterable[str]) -> str:
    """`text` without lines that are a line of a secret."""
    several = (form for secret in secrets for form in (secret, _decoded(secret.strip())) if "\n" in form.strip())
    hidden = {line for form in several for one in form.splitlines() if len(line := one.strip()) >= _SHORTEST_LINE}
    if not hidden:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(line.replace(line.strip(), MASK) if line.strip() in hidden else line for line in lines)


def _occurrences(text: str, secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Where forms of secrets stand, overlapping ones included: one search for each form.

    A form that repeats itself overlaps at every step. What follows within it then goes on at its shortest period, so
    that the time grows with the text alone.
    """
    for form in {form for secret in secrets for form in _forms(secret)}:
        start = text.find(form)
        while start >= 0:
            end = start + len(form)
            if (again := text.find(form, start + 1)) < 0 or again >= end:
                yield start, end
                start = again
                continue
            step = again - start
            unit = form[-step:]
            while text.startswith(unit, end):
                end += step
            yield start, end
            start = text.find(form, end - len(form) + 1)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """`spans` in text order with overlapping ones joined; spans that only touch stay apart."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _forms(secret: str) -> set[str]:
    forms: set[str] = set()
    decoded = _decoded(secret.strip())
    for value in (secret, secret.strip(), decoded, decoded.strip()):
        encoded = value.encode("utf-8", "replace")
        forms |= {
            value,
            quote(encoded, safe=""),
            quote(encoded),
            quote_plus(encoded),
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            base64.b64encode(encoded).decode("ascii"),
        }
    return (forms | {form.lower() for form in forms}) - {""}


def _decoded(secret: str) -> str:
    """Return the text that `secret` is the base64 of; empty when it is none, or one too short to tell."""
    try:
        text = base64.b64decode(secret, validate=True).decode("utf-8")
    except ValueError:
        return ""
    is_text = all(c.isprintable() or c in "\t\r\n" for c in text)
    return text if is_text and len(text.strip()) >= _SHORTEST_DECODED else ""
