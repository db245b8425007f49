"""Errors of the API server as the answers of the HTTP API tell them."""

from __future__ import annotations

import pytest

from app.kube.resources import EXECUTIONS
from app.service.api.problems import ProblemError, as_problem


@pytest.mark.parametrize("namespace", ["a.b", "x" * 64, "a" * 253, "a..b"])
def test_a_namespace_that_nothing_can_be_is_not_found_and_no_failure(namespace: str) -> None:
    with pytest.raises(ProblemError) as caught, as_problem("cannot list executions"):
        EXECUTIONS.path(namespace)
    assert caught.value.code == 404
    assert "namespace of a DRPlanExecution must" in str(caught.value)
