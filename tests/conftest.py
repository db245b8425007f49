"""Fixtures for all tests: a real control plane, started on first use."""

import asyncio
import os

import pytest
from _pytest.nodeid import NodeId
from hypothesis import settings

# the same examples in every run, so that a failure is about the change; a busy machine is no finding
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

pytest_plugins = [
    f"tests.support.{module}" for module in ("planes", "cluster", "installation", "oracle", "rights_used")
]


def pytest_configure() -> None:
    """Say that there is no event loop: else looptime, asking for it at a plain test, makes one nobody closes."""
    asyncio.set_event_loop(None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the group of a test into its id, by which `--dist loadgroup` sends a group to one worker.

    xdist 3.8 does so by a member of items that pytest 9.2 no longer reads; without this, groups have no effect.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        groups = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
        if groups and "@" not in item.nodeid:
            item._id = NodeId.parse(f"{item.nodeid}@{'_'.join(groups)}")
