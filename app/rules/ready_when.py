"""What is wrong with a `readyWhen`, of an action as of a health check."""

from __future__ import annotations

from app.cel.ready import ReadyWhenError, compile_ready_when
from app.engine.when import shown
from app.rules.actions.templated import placeholders_of
from app.rules.remember import remembered

_SHORT = 256
"""Characters of texts that are remembered."""


@remembered(_SHORT)
def ready_when_problem(text: str) -> str:
    """Return why a `readyWhen` cannot say when an object is ready; empty when it can."""
    try:
        compile_ready_when(text)
    except ReadyWhenError as error:
        return str(error)
    if found := placeholders_of(text):
        why = f"{found[0].text} stays as it is, since conditions take no placeholders: write the value"
        return str(ReadyWhenError(shown(text), why))
    return ""
