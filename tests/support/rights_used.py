"""Pytest plugin: at the end of a run, no right of the two processes is unused and none was missing.

Each control plane writes down what its audit log shows when it ends; the process that began the run adds it up.
Refusals, and what only the rights of development allowed, count in every run; unused rights only when the whole suite
ran and passed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest

from devcluster import ControlPlane
from tests.support.rights import Ledger, product_grants

_FOLDER = "DRPLAN_TEST_RIGHTS"
"""Environment variable that tells workers where to write."""
_PROBLEMS = pytest.StashKey[list[str]]()


def _write_down(plane: ControlPlane) -> None:
    Ledger.of(plane.audit, product_grants()).write(Path(os.environ[_FOLDER]) / f"{uuid.uuid4().hex}.yaml")


def _began_the_run(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Listen to control planes."""
    if _began_the_run(config):
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="drplan-rights-")
    ControlPlane.observers.append(_write_down)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    if _write_down in ControlPlane.observers:
        ControlPlane.observers.remove(_write_down)
    if _began_the_run(config):
        shutil.rmtree(os.environ.pop(_FOLDER, ""), ignore_errors=True)


def _whole_suite(config: pytest.Config) -> bool:
    chosen = ("keyword", "markexpr", "deselect", "lf", "stepwise", "collectonly", "ignore", "ignore_glob")
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return whole and not any(getattr(config.option, name, None) for name in chosen)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Add up, and fail the run when a right is unused or missing."""
    if not _began_the_run(session.config):
        return
    ledger = Ledger.read(Path(os.environ[_FOLDER]))
    problems = [f"refused, and not meant: {line}" for line in sorted(ledger.refused)]
    problems += [f"allowed by development rights only: {line}" for line in sorted(ledger.ungranted)]
    if exitstatus == pytest.ExitCode.OK and _whole_suite(session.config):
        problems += [f"granted, but used by no test: {line}" for line in ledger.unused(product_grants())]
    session.config.stash[_PROBLEMS] = problems
    if problems and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the problems."""
    if problems := config.stash.get(_PROBLEMS, []):
        terminalreporter.section("rights of the two processes", red=True)
        for problem in problems:
            terminalreporter.line(problem)
        terminalreporter.line("see tests/support/rights.py and charts/drplan/templates/rbac-*.yaml")
