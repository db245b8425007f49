"""C. An HTTP action tells what the target did."""

from __future__ import annotations

import pytest

from tests.reports.story import Story
from tests.support.site import Answer

pytestmark = pytest.mark.full

CALLS = """
- name: moved
  type: HTTP
  retryPolicy: {limit: 0}
  http: {method: POST, url: "SITE/moved"}
- name: garbled
  type: HTTP
  retryPolicy: {limit: 3, interval: 1s}
  http: {method: POST, url: "SITE/garbled"}
- name: refusing
  type: HTTP
  http: {method: POST, url: "SITE/refusing"}
"""


def test_what_was_done_is_told_as_done_and_nothing_else(story: Story) -> None:
    """8, 10 and the target's words of 29."""
    root = f"/{story.namespace}"
    site = story.drplan.site
    site.script(f"{root}/moved", Answer(302, headers={"Location": f"{story.site}/login"}))
    site.script(f"{root}/garbled", Answer(200, "no gzip at all", {"Content-Encoding": "gzip"}))
    site.script(f"{root}/refusing", Answer(409, '{"error":"pool has no healthy members"}'))
    story.plan("calls", CALLS)
    story.kubectl("patch", "drw", "calls", "--type=merge", "-p", '{"spec": {"failurePolicy": "Continue"}}')
    run = story.start("calls")
    assert story.end(run).startswith("Failed: ")
    moved, garbled, refusing = story.actions(run)
    assert (moved["phase"], f"{story.site}/login" in moved["message"]) == ("Failed", True)
    assert garbled["phase"] == "Succeeded"
    assert refusing["phase"] == "Failed"
    assert "pool has no healthy members" in refusing["message"]
    assert site.count(f"{root}/") == {f"{root}/{name}": 1 for name in ("moved", "garbled", "refusing")}
