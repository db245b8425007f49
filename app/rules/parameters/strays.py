"""Parameters that are given and nothing takes, although the name of one that is taken is near (rule N17).

An execution may bring parameters that nothing takes. But a misspelt one changes nothing: the run goes on with the value
that it was to replace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.rules.findings import Spot
from app.rules.parameters.declared import RESERVED, Level
from app.rules.parameters.needs import Needs


def check_strays(
    spot: Spot, label: str, level: Level, takers: Iterable[Needs], lower: Sequence[Level], others: Iterable[Level] = ()
) -> None:
    """Warn about parameters with a name near to one that has its value from a lower level. `spot` is the list.

    `takers` are all the workflows that the parameters are for, `lower` the levels between, `others` the levels above
    whose references may take them. Names of parameters that have no value at all are told where these are missing.
    """
    needs = list(takers)
    if not level.params:
        return
    taken = {"", RESERVED}.union(*(each.names for each in needs))
    taken.update(*(each.taken_names for each in (level, *lower, *others)))
    if level.names <= taken or any(each.any_name for each in needs):
        return
    below = [*lower, *(each.level for each in needs)]
    replaceable = sorted(name for name in taken - level.names if any(name in each.values for each in below))
    for index, parameter in enumerate(level.params):
        hint = spot.meant(parameter.name, replaceable) if parameter.name not in taken else ""
        if hint:
            text = f"{label}[{index}]: no workflow takes parameter '{parameter.name}'{hint}"
            spot.warn("N17", text, f"[{index}].name")
