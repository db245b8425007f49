"""How hard the properties are tried.

`HYPOTHESIS_PROFILE=long` tries thirty times as many examples as a run in CI has time for.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_FACTOR = {"ci": 1, "long": 30}[os.environ.get("HYPOTHESIS_PROFILE", "ci")]
_NO_FINDINGS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


def tries(examples: int, *, steps: int = 50) -> settings:
    """Settings of a property that is tried with `examples` examples in CI; a busy machine is no finding."""
    return settings(
        max_examples=examples * _FACTOR,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=_NO_FINDINGS,
    )
