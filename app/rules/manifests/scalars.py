"""Scalars of YAML as kubectl reads them: those of go-yaml 2, which sigs.k8s.io/yaml reads manifests with.

That is neither YAML 1.1 nor 1.2: `y` and `on` are true, `0644` and `0o644` are 420, `1_000` is a number, dates and
`12:30:45` are texts. Numbers end as the API server has them after they went through JSON: `3.0` is the integer 3, and
what does not fit into 64 bits is a float. A test compares with the Go library. One thing differs: libyaml does not
tell of a `!` alone in front of a number, which makes it a text for kubectl.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from datetime import datetime
from decimal import Decimal
from typing import Final

PREFIX: Final = "tag:yaml.org,2002:"
TEXT: Final = f"{PREFIX}str"
MERGE: Final = f"{PREFIX}merge"
_NULL, _BOOL, _INT, _FLOAT = f"{PREFIX}null", f"{PREFIX}bool", f"{PREFIX}int", f"{PREFIX}float"
_TIMESTAMP, _BINARY = f"{PREFIX}timestamp", f"{PREFIX}binary"

Scalar = str | bool | int | float | None

_WORDS: Final[dict[str, tuple[str, Scalar]]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), (_BOOL, True)),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), (_BOOL, False)),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (_NULL, None)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), (_FLOAT, math.nan)),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (_FLOAT, math.inf)),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (_FLOAT, -math.inf)),
}
_RESOLVED: Final = ("", TEXT, _BOOL, _INT, _FLOAT, _NULL, _TIMESTAMP)
"""Tags whose texts are looked at; a text under any other tag is left as it is."""
_SIGNED: Final = "+-0123456789"
_INTEGER: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))")
_DECIMAL: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FRACTION: Final = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")
_DATE: Final = re.compile(
    r"([0-9]{4}-[0-9]{1,2}-[0-9]{1,2})"
    r"(?:[Tt]([0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2})(?:\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"| ([0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2})(?:\.[0-9]+)?)?"
)
_LONGEST: Final = 4096
"""Characters of a number; a longer one is no number that anybody means, and would take long to compute."""
_SHORTEST_PRECISION: Final = 6
"""Go: exponent from which a float in its shortest form is written with one."""
_EXPONENT_FROM: Final = 1e21
"""Go: size from which a float has an exponent in JSON, so that it is no integer there."""
_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = 2**64


class ScalarError(ValueError):
    """The text does not fit its tag, or has no counterpart in JSON."""


def scalar(tag: str, text: str) -> Scalar:
    """Return the value of a scalar; `tag` is empty for one without quotes and tag.

    Raises `ScalarError` for what kubectl refuses.
    """
    if tag == _BINARY:
        return _decoded(text)
    if tag == TEXT or tag not in _RESOLVED:
        return text
    found, value = _resolved(text)
    if tag == _FLOAT and found == _INT and isinstance(value, int):
        return float(value)
    if tag == _TIMESTAMP and found == TEXT and _is_timestamp(text):
        return text
    if tag in ("", found):
        return value
    raise ScalarError(f"'{text[:40]}' is no {tag.removeprefix(PREFIX)}")


def _resolved(text: str) -> tuple[str, Scalar]:
    word = _WORDS.get(text)
    if word is not None:
        return word
    first = text[0]
    if (first not in _SIGNED and first != ".") or len(text) > _LONGEST:
        return TEXT, text
    if first == "." and not _FRACTION.fullmatch(text):
        return TEXT, text
    plain = text.replace("_", "")
    whole = _integer(plain)
    if whole is not None:
        return _INT, whole
    if _DECIMAL.fullmatch(plain) and math.isfinite(number := float(plain)):
        return _FLOAT, number
    return TEXT, text


def _integer(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, hexadecimal, binary, octal, decimal = match.groups()
    if hexadecimal:
        value = int(hexadecimal, 16)
    elif binary:
        value = int(binary, 2)
    elif octal:
        value = int(octal, 8)
    elif len(decimal) > 20:
        return None
    else:
        value = int(decimal)
    if sign == "-":
        value = -value
    return value if value in _INT64 or (not sign and 0 <= value < _UINT64) else None


def _is_timestamp(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    try:
        datetime.strptime(match[1], "%Y-%m-%d")  # noqa: DTZ007 - only whether there is such a day
        if clock := match[2] or match[3]:
            datetime.strptime(clock, "%H:%M:%S")  # noqa: DTZ007 - only whether there is such a time
    except ValueError:
        return False
    return True


def _decoded(text: str) -> str:
    try:
        data = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise ScalarError("!!binary is followed by text that is no base64") from None
    return data.decode("utf-8", "replace")


def as_json(value: Scalar) -> Scalar:
    """Return a value as it is once it went through JSON and the API server. Raises `ScalarError`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if isinstance(value, int):
        return value if value in _INT64 else float(value)
    if not math.isfinite(value):
        raise ScalarError(f"the number {_float_text(value)} has no counterpart in JSON")
    if not value.is_integer() or abs(value) >= _EXPONENT_FROM:
        return value
    whole = int(Decimal(repr(value)))  # the shortest digits, which Go writes, filled up with zeros
    return whole if whole in _INT64 else value


def as_key(value: Scalar) -> str:
    """Return the text that a scalar becomes as the key of a member. Raises `ScalarError`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise ScalarError("null cannot be a key: put it in quotes")
    if isinstance(value, int):
        if value not in _INT64:
            raise ScalarError(f"the number {value} is too large for a key: put it in quotes")
        return str(value)
    return _float_text(value)


def _float_text(value: float) -> str:
    """Return what Go's `strconv.FormatFloat(value, 'g', -1, 32)` gives, with YAML's words for what is no number."""
    if math.isnan(value):
        return ".nan"
    try:
        single = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return "-.inf" if single < 0 else ".inf"
    packed = struct.pack("f", single)
    text = next(shown for count in range(17) if struct.pack("f", float(shown := f"{single:.{count}e}")) == packed)
    mantissa, _, exponent_text = text.partition("e")
    exponent, digits = int(exponent_text), mantissa.replace(".", "").lstrip("-")
    if exponent < -4 or exponent >= _SHORTEST_PRECISION:
        return f"{mantissa}e{exponent:+03d}"
    return _plain_decimal(single, digits, exponent)


def _plain_decimal(value: float, digits: str, exponent: int) -> str:
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
