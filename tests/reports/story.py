"""What a story takes: manifests as text, kubectl, and what it prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from tests.support.installation import Installation

_WORKFLOW = """\
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRWorkflow
metadata: {name: NAME}
spec:
  actions:
"""
_PLAN = """\
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlan
metadata: {name: NAME}
spec:
  stages:
  - name: s
    workflows:
    - workflowRef: {name: NAME}
"""
_RUN = """\
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlanExecution
metadata: {generateName: PLAN-}
spec: {planRef: PLAN, operationType: Execute}
"""
_ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME}
rules: [RULE]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAME}
subjects: [{kind: ServiceAccount, name: drplan-controller, namespace: drplan-system}]
"""
ENDED = "jsonpath={.status.phase}: {.status.message}"


class Story:
    """A user with kubectl, in a namespace of their own."""

    def __init__(self, drplan: Installation) -> None:
        self.drplan = drplan
        self.namespace = drplan.namespace
        self.site = f"{drplan.site.url}/{drplan.namespace}"

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What a command prints, which has to work."""
        return str(self.drplan.kubectl(*words, stdin=self._filled(stdin)).text)

    def refused(self, *words: str, stdin: str | None = None) -> str:
        """What a command prints that has to fail."""
        answer = self.drplan.kubectl(*words, stdin=self._filled(stdin), check=False)
        assert answer.rc != 0, answer.text
        return str(answer.stderr)

    def _filled(self, text: str | None) -> str | None:
        return None if text is None else text.replace("NS", self.namespace).replace("SITE", self.site)

    def grant(self, group: str, resources: str) -> None:
        """Let the controller touch kinds, as the administrator does by `rbac.extraRules`."""
        name = f"{self.namespace}-{resources}"
        rule = f"{{apiGroups: [{group}], resources: [{resources}], verbs: [get, list, watch, create, patch, delete]}}"
        self.kubectl("apply", "-f", "-", stdin=_ROLE.replace("NAME", name).replace("RULE", rule))

    def plan(self, name: str, actions: str) -> str:
        """Apply a plan of one workflow with these actions; return what kubectl says."""
        workflow = _WORKFLOW + textwrap.indent(textwrap.dedent(actions).strip("\n"), "  ") + "\n"
        return self.kubectl("apply", "-f", "-", stdin=(workflow + "---\n" + _PLAN).replace("NAME", name))

    def start(self, plan: str) -> str:
        """Create an execution; return its name."""
        return self.kubectl("create", "-f", "-", stdin=_RUN.replace("PLAN", plan)).split()[0].partition("/")[2]

    def end(self, name: str) -> str:
        """Wait until an execution has ended; return its phase and message."""
        self.kubectl("wait", f"drpe/{name}", "--for=condition=Completed", "--timeout=60s")
        return self.kubectl("get", "drpe", name, "-o", ENDED)

    def run(self, plan: str) -> str:
        """Run a plan; return phase and message."""
        return self.end(self.start(plan))

    def undo(self, run: str, plan: str) -> str:
        """Take a run back; return phase and message."""
        spec = f"{{planRef: {plan}, operationType: Revert, revertExecutionRef: {run}}}"
        manifest = _RUN.replace("PLAN", plan).replace(f"{{planRef: {plan}, operationType: Execute}}", spec)
        name = self.kubectl("create", "-f", "-", stdin=manifest).split()[0].partition("/")[2]
        return self.end(name)

    def actions(self, name: str) -> Iterator[dict[str, Any]]:
        """The actions of an execution."""
        for stage in self.drplan.status(name)["stageStatuses"]:
            for workflow in stage["workflowExecutions"]:
                yield from workflow["actionStatuses"]
