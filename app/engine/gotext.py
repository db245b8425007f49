"""Values printed the way Go prints them.

Message texts and jsonPath results of the API were defined by a Go program (`%q`, `fmt.Fprint`, `json.Marshal`).
Users and scripts compare them, so these functions reproduce that output to the byte.
"""

from __future__ import annotations

import json
from decimal import Decimal

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_SHORT_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}
_HTML_ESCAPES = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)


def quote(text: str) -> str:
    """`text` as `%q` prints it: double quotes, escapes for what cannot be printed."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + text.translate({ord(each): _quoted_character(each) for each in set(text)}) + '"'


def _quoted_character(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def scalar(value: object) -> str:
    """Return a JSON value that is no object and no list, as `fmt.Fprint` prints it (`null` for None)."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return number(value) if isinstance(value, int | float) else str(value)


def number(value: int | float) -> str:
    """Return a JSON number as `fmt.Fprint` prints it: whole numbers plain, others shortest, `1e+06` from 10^6 on.

    A whole number outside 64 bits is a float, as in the JSON decoder of Kubernetes.
    """
    if isinstance(value, int) and _INT64_MIN <= value <= _INT64_MAX:
        return str(value)
    sign, digits, point = _shortest(float(value))
    exponent = point - 1
    if not -4 <= exponent < 6:
        return sign + _scientific(digits, exponent)
    return sign + _positional(digits, point)


def compact_json(value: object) -> str:
    """`value` as `json.Marshal` prints it: no blanks, sorted keys, HTML characters escaped."""
    if isinstance(value, dict):
        members = (f"{compact_json(str(key))}:{compact_json(value[key])}" for key in sorted(value))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact_json, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_HTML_ESCAPES)
    if isinstance(value, bool) or value is None:
        return scalar(value)
    if isinstance(value, int) and _INT64_MIN <= value <= _INT64_MAX:
        return str(value)
    return _json_float(float(value)) if isinstance(value, int | float) else compact_json(str(value))


def _json_float(value: float) -> str:
    sign, digits, point = _shortest(value)
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        text = _scientific(digits, point - 1)
        return sign + text.replace("e-0", "e-")
    return sign + _positional(digits, point)


def _shortest(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits that give the same float, and where the decimal point stands in them."""
    negative, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent) if value else 1
    return "-" if negative else "", text, point


def _scientific(digits: str, exponent: int) -> str:
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _positional(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"
