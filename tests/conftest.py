"""Fixtures for all tests: a real control plane, started on first use."""

pytest_plugins = ["tests.support.cluster"]
