"""Fixtures for all tests: a real control plane, started on first use."""

import asyncio

pytest_plugins = ["tests.support.cluster", "tests.support.installation"]


def pytest_configure() -> None:
    """Say that there is no event loop: else looptime, asking for it at a plain test, makes one nobody closes."""
    asyncio.set_event_loop(None)
