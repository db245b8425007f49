"""One installation for all stories, shared with the other tests of the full profile."""

from __future__ import annotations

import pytest

from tests.reports.story import Story
from tests.support.installation import Installation


@pytest.fixture
def story(full_drplan: Installation) -> Story:
    """A user in a namespace of their own."""
    return Story(full_drplan)
