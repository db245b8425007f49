"""E. Nothing is done twice."""

from __future__ import annotations

import pytest

from app.models.names import FINALIZER
from tests.reports.story import Story

pytestmark = pytest.mark.full

CALL = """
- name: call
  type: HTTP
  http: {method: POST, url: "SITE/call"}
"""
RESTORED = f"""
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlanExecution
metadata: {{name: NAME, finalizers: [{FINALIZER}]}}
spec: {{planRef: failover, operationType: Execute}}
"""


def test_executions_from_a_backup_wait_and_the_next_failover_starts(story: Story) -> None:
    """19: both old ones are let in and parked, told apart at a glance, and hold nothing."""
    story.plan("failover", CALL)
    for name in ("old-1", "old-2"):
        assert "(N4)" in story.kubectl("create", "-f", "-", stdin=RESTORED.replace("NAME", name))
    path = 'jsonpath={.items[*].status.conditions[?(@.type=="Suspended")].reason}'
    parked = "RestoredFromBackup RestoredFromBackup"
    story.drplan.wait(lambda: story.kubectl("get", "drpe", "old-1", "old-2", "-o", path) == parked)
    assert story.run("failover") == "Succeeded: All stages completed successfully"
    assert story.drplan.site.count(f"/{story.namespace}/") == {f"/{story.namespace}/call": 1}
    story.kubectl("annotate", "drpe", "old-1", "dr.bkbcs.tencent.com/cancel=yes")
    assert story.end("old-1").startswith("Cancelled: ")
