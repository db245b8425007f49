"""Durations in Go's notation, the form the API uses for every time span.

Texts such as `1h30m` come from users (time-outs, retry intervals) and go into statuses. The grammar and the
error texts are those of Go's `time.ParseDuration`, the printed form is that of `Duration.String` after rounding
to milliseconds.
"""

from __future__ import annotations

import re
from datetime import timedelta

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LONGEST = 256
"""Characters that a duration may have. Go knows no limit, and no duration needs as many."""
_LIMIT = 2**63
_MOST_DIGITS = len(str(_LIMIT))
_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?")
_UNIT = re.compile(r"[^.0-9]+")


def parse_duration(text: str) -> timedelta:
    """Return the time span that `text` names; `0` needs no unit, everything else does.

    Nanoseconds are rounded to whole microseconds, the resolution of `timedelta`.
    Raises ValueError with Go's own text, for example `time: missing unit in duration "5"`.
    """
    nanoseconds = parse_nanoseconds(text)
    rounded = (abs(nanoseconds) + 500) // 1_000
    return timedelta(microseconds=-rounded if nanoseconds < 0 else rounded)


def parse_nanoseconds(text: str) -> int:
    """Like `parse_duration`, in the nanoseconds Go counts in."""
    negative = text.startswith("-")
    position = 1 if text[:1] in ("-", "+") else 0
    if text[position:] == "0":
        return 0
    if position == len(text) or len(text) > _LONGEST:
        raise _error("invalid duration", text)
    total = 0
    while position < len(text):
        amount, position = _amount_at(text, position)
        total += amount
        if total > _LIMIT:
            raise _error("invalid duration", text)
    if negative:
        return -total
    if total >= _LIMIT:
        raise _error("invalid duration", text)
    return total


def _amount_at(text: str, position: int) -> tuple[int, int]:
    """Return the number and unit at a position in nanoseconds, and the position after them."""
    term = _TERM.match(text, position)
    whole, fraction = (term[1].lstrip("0"), term[2] or "") if term else ("", "")
    if term is None or not (term[1] or fraction) or len(whole) > _MOST_DIGITS:
        raise _error("invalid duration", text)
    name = _UNIT.match(text, term.end())
    if name is None:
        raise _error("missing unit in duration", text)
    unit = _NANOSECONDS.get(name[0])
    if unit is None:
        raise _error(f"unknown unit {_quote(name[0])} in duration", text)
    digits, scale = _bounded_fraction(fraction)
    amount = int(whole or "0") * unit + int(float(digits) * (float(unit) / scale))
    if amount > _LIMIT:
        raise _error("invalid duration", text)
    return amount, name.end()


def _bounded_fraction(fraction: str) -> tuple[int, float]:
    """Return the digits after the point as a 63-bit number and its scale; digits beyond that are dropped, as in Go."""
    digits, scale = 0, 1.0
    for digit in fraction:
        longer = digits * 10 + int(digit)
        if digits > (_LIMIT - 1) // 10 or longer > _LIMIT:
            break
        digits, scale = longer, scale * 10
    return digits, scale


def format_duration(duration: timedelta | float) -> str:
    """`duration` (a float counts seconds) as Go prints it after rounding to ms: `1m30s`, `850ms`, `0s`."""
    span = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
    microseconds = span // timedelta(microseconds=1)
    milliseconds = (abs(microseconds) + 500) // 1_000
    sign = "-" if microseconds < 0 < milliseconds else ""
    if 0 < milliseconds < 1_000:
        return f"{sign}{milliseconds}ms"
    seconds, fraction = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{seconds}.{fraction:03d}".rstrip("0").rstrip(".") if fraction else str(seconds)
    if hours:
        return f"{sign}{hours}h{minutes}m{text}s"
    return f"{sign}{minutes}m{text}s" if minutes else f"{sign}{text}s"


def _error(problem: str, text: str) -> ValueError:
    return ValueError(f"time: {problem} {_quote(text)}")


def _quote(text: str) -> str:
    """Quotes like package time, which escapes every byte that is not plain ASCII text."""
    quoted = []
    for character in text:
        if character in '"\\':
            quoted.append("\\" + character)
        elif " " <= character < "\x80":
            quoted.append(character)
        else:
            quoted.extend(f"\\x{byte:02x}" for byte in character.encode("utf-8", "replace"))
    return '"' + "".join(quoted) + '"'
