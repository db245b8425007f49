"""Parameters that are given and nothing takes, although the name of one that is taken is near (rule N17).

An execution may bring parameters that nothing takes. But a misspelt one changes nothing: the run goes on with the value
that it was to replace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from app.models.common import Parameter
from app.rules.findings import Spot
from app.rules.needs import Needs
from app.rules.parameters import RESERVED, gives_value


def check_strays(
    spot: Spot, label: str, params: Sequence[Parameter], takers: Iterable[Needs], lower: Iterable[Parameter] = ()
) -> None:
    """Warn about parameters with a name near to one that has its value from a lower level. `spot` is the list.

    `takers` are all the workflows that the parameters are for, `lower` the parameters of the levels between. Names of
    parameters that have no value at all are told where these are missing.
    """
    needs = list(takers) if params else []
    if any(each.any_name for each in needs):
        return
    taken = set[str]().union(*(each.names for each in needs))
    below = chain(lower, *(each.workflow.spec.parameters for each in needs))
    replaceable = taken & {each.name for each in below if gives_value(each)} - {each.name for each in params}
    known = taken | {"", RESERVED}
    for index, parameter in enumerate(params):
        if replaceable and parameter.name not in known:
            hint = spot.meant(parameter.name, sorted(replaceable))
            if hint:
                text = f"{label}[{index}]: no workflow takes parameter '{parameter.name}'{hint}"
                spot.warn("N17", text, f"[{index}].name")
