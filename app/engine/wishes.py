"""What people ask of an execution by its annotations: to cancel it, to let it go on, to start it although restored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
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
_WORDS: Final = {name.partition("/")[2]: name for name in _WISHES}
_ALIKE: Final = 0.75
"""How near to ours the domain of an annotation is that was probably meant to be ours."""
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
        if old.get(name) == value:
            continue
        if meant := _meant(name):
            yield name, f"is not known and has no effect; did you mean {meant}?"
        elif not name.startswith(f"{GROUP}/"):
            continue
        elif name not in _OURS:
            hint = closest(name, _OURS[:3])
            yield name, "is not known and has no effect" + (f"; did you mean {hint}?" if hint else "")
        elif name in _WISHES and not _is_understood(name, value):
            accepted = f'write "{AGAIN}"' + (f' or "{DONE}"' if name == RESUME_ANNOTATION else "")
            yield name, f"has the value {quote(short(value))}, which has no effect: {accepted}"


def misplaced(new: Iterable[str], old: Iterable[str], what: str) -> Iterator[tuple[str, str]]:
    """Yield name and problem of each wish that is new where none is read. `what` says what it is there."""
    for name in sorted(set(new) & set(_WISHES) - set(old)):
        word = name.partition("/")[2]
        told = f'kubectl annotate drpe NAME {name}="{AGAIN}"'
        yield name, f"is {what} and has no effect; to {word.replace('-', ' ')}, annotate the execution: {told}"


def _meant(name: str) -> str:
    """Return the annotation of ours that one of nearly our domain, or of none, was probably meant to be."""
    domain, _, word = name.rpartition("/")
    if domain == GROUP or word.lower() not in _WORDS:
        return ""
    alike = SequenceMatcher(None, domain.lower()[: 2 * len(GROUP)], GROUP).ratio() >= _ALIKE
    return _WORDS[word.lower()] if alike or not domain else ""


def _is_understood(name: str, value: str) -> bool:
    word = _word(value)
    return word in YES or word in NO or (name == RESUME_ANNOTATION and word == DONE)


def _word(value: object) -> str:
    return str(value).strip().lower()
