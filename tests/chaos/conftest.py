"""The rig of the crash tests, for cases that are run on it."""

from __future__ import annotations

from tests.crash.conftest import pytest_runtest_makereport as pytest_runtest_makereport
from tests.crash.conftest import rig as rig
