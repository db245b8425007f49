"""What people ask of an execution by its annotations: to cancel it, to let it go on, to start it although restored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from app.engine.gotext import quote
from app.engine.graph import closest
from app.engine.question import AGAIN, DONE
from app.engine.text import short
from app.models.base import GROUP
from app.models.names import (
    ADOPTED_ANNOTATION,
    CANCEL_ANNOTATION,
    RESUME_ANNOTATION,
    START_RESTORED_ANNOTATION,
    UNRECORDED_ANNOTATION,
)

YES: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
"""Values that mean yes, in any case: what people write who use kubectl every day."""
NO: Final = frozenset({"false", "f", "no", "n", "off", "0", ""})
"""Values that mean that nothing is asked."""

_WISHES: Final = (CANCEL_ANNOTATION, RESUME_ANNOTATION, START_RESTORED_ANNOTATION)
_OURS: Final = (*_WISHES, ADOPTED_ANNOTATION, UNRECORDED_ANNOTATION)


def asks(annotations: Mapping[str, str], name: str) -> bool:
    """Tell whether the annotation `name` says yes."""
    return _word(annotations.get(name, "")) in YES


def resume_answer(annotations: Mapping[str, str]) -> str:
    """Return what the annotation to resume answers: `true`, `done`, or empty text for nothing."""
    word = _word(annotations.get(RESUME_ANNOTATION, ""))
    return AGAIN if word in YES else DONE if word == DONE else ""


def misunderstood(new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name and problem of each annotation of ours, new or changed, that would have no effect."""
    for name, value in sorted(new.items()):
        if not name.startswith(f"{GROUP}/") or old.get(name) == value:
            continue
        if name not in _OURS:
            hint = closest(name, _OURS[:3])
            yield name, "is not known and has no effect" + (f"; did you mean {hint}?" if hint else "")
        elif name in _WISHES and not _is_understood(name, value):
            accepted = f'write "{AGAIN}"' + (f' or "{DONE}"' if name == RESUME_ANNOTATION else "")
            yield name, f"has the value {quote(short(value))}, which has no effect: {accepted}"


def _is_understood(name: str, value: str) -> bool:
    word = _word(value)
    return word in YES or word in NO or (name == RESUME_ANNOTATION and word == DONE)


def _word(value: object) -> str:
    return str(value).strip().lower()
