"""The rule table, what only files show: S1 to S7."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import yaml

from tests.unit.rules.builders import http, plan_json, stage, workflow_json
from tests.unit.rules.rule_table import Case, create

Json = dict[str, Any]


def text(*objects: Json) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False)


PERFECT = text(workflow_json(), plan_json())
TWICE = "apiVersion: dr.bkbcs.tencent.com/v1alpha1\nkind: DRWorkflow\nmetadata: {name: w}\nspec:\n  actions:\n  - {name: a, type: HTTP, http: {url: 'http://x'}, timeout: 5s, timeout: 6s}\n"
SWITCH = workflow_json(name="switch-over")

CASES = [
    Case("S1", "spec.stages[0].parallel must be true or false, found 'yes please'", create(plan_json(stage(parallel="yes please"))), create(plan_json(), stored_workflows=[workflow_json()])),
    Case("S1", "must be true or false, found 'yes please'", text(plan_json(stage(parallel="yes please"))), PERFECT),
    Case("S2", "unknown field, the API server drops it; did you mean 'dependsOn'?", text(workflow_json(http(dependson=[]))), text(workflow_json(http(dependsOn=[])))),
    Case("S3", "key 'timeout' is repeated, only its last value counts", TWICE, TWICE.replace(", timeout: 6s", "")),
    Case("S4", "kind 'DRPlam' is not known in dr.bkbcs.tencent.com/v1alpha1; did you mean 'DRPlan'?", text({**plan_json(), "kind": "DRPlam"}), PERFECT),
    Case("S5", "name 'Site Failover' must consist of lower case letters, digits, '-' and '.', begin and end with a letter or digit, and have at most 253 characters", text(workflow_json(name="Site Failover")), text(workflow_json(name="site-failover"))),
    Case("S6", "DRWorkflow default/w is also at <stdin>:1:1, the last one counts", text(workflow_json(), workflow_json()), text(workflow_json(), workflow_json(name="v"))),
    Case("S7", 'workflow default/switch-ovr is not among the files; did you mean default/switch-over?', text(SWITCH, plan_json(stage("s", "switch-ovr"))), text(SWITCH, plan_json(stage("s", "switch-over")))),
]  # fmt: skip
