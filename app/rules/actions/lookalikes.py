"""What was probably meant to be a placeholder but is none, and so stays as it is (rule N10)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.engine.templates import Placeholder
from app.rules.actions.templated import SHORT, TemplatedText, placeholders_of
from app.rules.findings import Spot
from app.rules.remember import remembered

_LOOKALIKE = re.compile(r"\$\$?\((?:params?|outputs?|plan_?[nN]ame|execution_?[nN]ame|mode)(?:\.[^()\s]*)?\)")
_ROOTS = ("params", "outputs", "planName", "executionName", "mode")
_MISSPELT = re.compile(r"(?<!\$)\$\((?P<root>[a-zA-Z_]{5,15})(?P<dot>\.)?[^()\s]*\)")

_MOST_OFF = 2
"""Letters that a misspelt root may have too many or too few."""

_PLACEHOLDERS = "; placeholders are $(params.NAME), $(outputs.ACTION.FIELD), $(planName), $(executionName), $(mode)"


def check_lookalikes(spot: Spot, text: TemplatedText, found: Sequence[Placeholder]) -> None:
    """Warn about each once. `found` are the placeholders in the text."""
    if text.text.count("$(") == sum(placeholder.text[0] == "$" for placeholder in found):
        return
    for word in _lookalikes(text.text):
        root, dot, rest = word[2:-1].partition(".")
        meant = spot.meant(root, _ROOTS, f"$({{}}{dot}{rest})") if root not in _ROOTS else ""
        if not meant and not _LOOKALIKE.fullmatch(word):
            continue
        told = f"{word} in {text.path} is no placeholder and stays as it is{meant or _PLACEHOLDERS}"
        spot.warn("N10", told, text.path)


@remembered(SHORT)
def _lookalikes(text: str) -> tuple[str, ...]:
    """What looks like a placeholder and is none, each once."""
    known = {each.text for each in placeholders_of(text)}
    odd = [match[0] for match in _LOOKALIKE.finditer(text) if not match[0].startswith("$$")]
    odd += [match[0] for match in _MISSPELT.finditer(text) if _resembles(match["root"], dotted=bool(match["dot"]))]
    return tuple(word for word in dict.fromkeys(odd) if word not in known)


def _resembles(root: str, *, dotted: bool) -> bool:
    """A first look at whether a word may be a misspelt root: what begins like one and is about as long.

    Others are the business of whoever reads the text, like `$(HOSTNAME)`.
    """
    return any(
        known[0] == root[0].lower() and abs(len(known) - len(root)) <= _MOST_OFF
        for known in (("params", "outputs") if dotted else ("planName", "executionName"))
    )
