"""The CRDs on a real API server: what is stored, filled in, dropped and refused; names, columns and selectors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from app.models import GROUP, VERSION, DRWorkflow
from app.schema import KINDS, custom_resource_definition
from tests.support.cluster import CRDS, Cluster
from tests.support.schemas import broken, sample, with_unknown_members

pytestmark = pytest.mark.xdist_group("crds")

Object = dict[str, Any]
SCHEMAS: dict[str, Object] = {
    info.kind: custom_resource_definition(info)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for info in KINDS
}
JOB_SPEC = "actions[].job.template.spec"
LARGEST_REQUEST = 2_900_000
"""Bytes that kube-apiserver reads of a request, with room for the rest of it."""

MINIMAL = """
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRWorkflow
metadata: {name: w}
spec:
  actions:
  - {name: ping, type: HTTP, http: {url: "http://example.invalid/"}}
---
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlan
metadata: {name: p}
spec:
  stages:
  - {name: s, workflows: [{workflowRef: {name: w}}]}
---
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlanExecution
metadata: {name: e}
spec: {planRef: p, operationType: Execute}
"""

ACTIONS = """
- {name: http, type: HTTP, http: {url: "http://example.invalid/"}}
- name: job
  type: Job
  job:
    template:
      spec:
        template:
          metadata: {labels: {app: restore}}
          spec:
            restartPolicy: Never
            containers:
            - name: main
              image: busybox
              command: [sh, -c, "echo $(params.site)"]
              resources: {limits: {cpu: 1, memory: 64Mi}}
- {name: loc, type: Localization, localization: {name: l, namespace: c1}}
- {name: glob, type: Globalization, globalization: {name: g}}
- {name: chart, type: HelmChart, helmChart: {name: h, namespace: default}}
- {name: sub, type: Subscription, subscription: {name: s}}
- {name: res, type: KubernetesResource, resource: {manifest: "kind: ConfigMap"}}
"""

GO_STATUS = """
phase: Canceled
startTime: "2026-02-03T10:00:00Z"
completionTime: "2026-02-03T10:01:30Z"
message: Execution canceled by user
summary: {totalStages: 1, completedStages: 0, failedStages: 1, totalWorkflows: 1, failedWorkflows: 1}
stageStatuses:
- name: s
  phase: Canceled
  parallel: true
  dependsOn: [before]
  startTime: "2026-02-03T10:00:00Z"
  completionTime: "2026-02-03T10:01:30Z"
  duration: 1m30.402531s
  message: canceled due to FailFast
  workflowExecutions:
  - workflowRef: {name: w, namespace: default}
    phase: Canceled
    progress: 1/2 actions completed
    currentAction: sub
    actionStatuses:
    - name: http
      phase: Succeeded
      retryCount: 1
      outputs: {httpResponse: {statusCode: 200, body: ok}}
    - name: job
      phase: Succeeded
      outputs: {jobRef: {kind: Job, namespace: default, name: job, uid: u1}}
    - name: sub
      phase: Canceled
      message: canceled
      outputs:
        subscriptionRefs:
        - {apiVersion: apps.clusternet.io/v1alpha1, kind: Subscription, namespace: default, name: sub-c1}
      clusterStatuses:
      - {cluster: ns/c1, clusterID: ns/c1, phase: Failed, message: canceled}
    - {name: last, phase: Skipped}
"""


@dataclass(frozen=True, slots=True)
class Resource:
    """The objects of one kind in one namespace."""

    cluster: Cluster
    namespace: str
    kind: str

    def path(self, name: str = "", query: str = "") -> str:
        plural = f"{self.kind.lower()}s"
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}{query}" if name else f"{path}{query}"

    def document(self, spec: Any, name: str = "x", **more: Any) -> Object:
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": self.kind,
            "metadata": {"name": name},
            "spec": spec,
            **more,
        }

    def send(self, method: str, path: str, body: Object) -> tuple[int, Object]:
        status, data = self.cluster.api.raw(method, path, body)
        return status, json.loads(data)

    def create(self, spec: Any, name: str = "x", query: str = "", **more: Any) -> tuple[int, Object]:
        return self.send("POST", self.path(query=query), self.document(spec, name, **more))

    def created(self, spec: Any, name: str = "x", **more: Any) -> Object:
        status, answer = self.create(spec, name, **more)
        assert status == 201, answer
        return answer

    def set_status(self, name: str, status: Any) -> tuple[int, Object]:
        current = self.cluster.api.get(self.path(name))
        return self.send("PUT", self.path(f"{name}/status"), {**current, "status": status})


@pytest.fixture
def workflows(cluster: Cluster, namespace: str) -> Resource:
    return Resource(cluster, namespace, "DRWorkflow")


@pytest.fixture
def plans(cluster: Cluster, namespace: str) -> Resource:
    return Resource(cluster, namespace, "DRPlan")


@pytest.fixture
def executions(cluster: Cluster, namespace: str) -> Resource:
    return Resource(cluster, namespace, "DRPlanExecution")


def part(kind: str, name: str) -> Object:
    schema: Object = SCHEMAS[kind]["properties"][name]
    return schema


def action(**members: Any) -> Object:
    return {"actions": [{"name": "a", **members}]}


def causes(answer: Object) -> set[str]:
    return {cause["field"] for cause in answer["details"]["causes"]}


@pytest.mark.parametrize("info", KINDS, ids=lambda info: info.kind)
def test_crds_are_established_and_structural(cluster: Cluster, info: Any) -> None:
    crd = cluster.get("crd", f"{info.plural}.{GROUP}")
    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["storedVersions"] == [VERSION]


def test_the_api_server_keeps_every_word_of_the_schemas(cluster: Cluster) -> None:
    for info in KINDS:
        ours = custom_resource_definition(info)["spec"]
        stored = cluster.get("crd", f"{info.plural}.{GROUP}")["spec"]
        assert stored["versions"] == ours["versions"]
        assert stored["names"] == ours["names"]


def test_kubectl_apply_takes_the_files(cluster: Cluster) -> None:
    answer = cluster.kubectl("apply", "--dry-run=server", "-f", str(CRDS))
    assert answer.stdout.count("customresourcedefinition") == 3


def test_minimal_objects_come_back_with_defaults_and_nothing_else(cluster: Cluster, namespace: str) -> None:
    cluster.apply(MINIMAL, namespace=namespace)
    assert cluster.get("drw", "w", namespace)["spec"] == {
        "failurePolicy": "FailFast",
        "actions": [
            {
                "name": "ping",
                "type": "HTTP",
                "http": {"url": "http://example.invalid/", "method": "GET"},
                "timeout": "5m",
                "waitReady": False,
                "clusterExecutionMode": "",
            }
        ],
    }
    assert cluster.get("drp", "p", namespace)["spec"] == {
        "failurePolicy": "Stop",
        "stages": [{"name": "s", "parallel": False, "workflows": [{"workflowRef": {"name": "w"}}]}],
    }
    assert cluster.get("drpe", "e", namespace)["spec"] == {"planRef": "p", "operationType": "Execute"}


def test_an_action_of_each_type_comes_back_with_defaults_and_nothing_else(workflows: Resource) -> None:
    written = yaml.safe_load(ACTIONS)
    stored = workflows.created({"actions": written})["spec"]["actions"]
    common = {"timeout": "5m", "waitReady": False, "clusterExecutionMode": ""}
    block_defaults = {"http": {"method": "GET"}, "job": {}}
    for before, after in zip(written, stored, strict=True):
        (block,) = before.keys() - {"name", "type"}
        defaults = block_defaults.get(block, {"operation": "Create"})
        assert after == {**before, **common, block: {**before[block], **defaults}}


def test_defaults_of_objects_that_are_given_empty(workflows: Resource) -> None:
    spec = {
        "executor": {},
        "parameters": [
            {"name": "n", "valueFrom": {"manifestRef": {"apiVersion": "v1", "kind": "Pod", "jsonPath": "{.a}"}}}
        ],
        **action(type="HTTP", http={"url": "u"}, retryPolicy={}, hookCleanup={}),
    }
    stored = workflows.created(spec)["spec"]
    assert stored["executor"] == {"type": "Native"}
    assert stored["parameters"][0]["type"] == "string"
    assert stored["parameters"][0]["valueFrom"]["manifestRef"]["select"] == "Last"
    assert stored["actions"][0]["retryPolicy"] == {"limit": 3, "interval": "5s", "backoffMultiplier": "2.0"}
    assert stored["actions"][0]["hookCleanup"] == {}


def test_a_partial_retry_policy_is_completed_and_zero_is_kept(workflows: Resource) -> None:
    stored = workflows.created(action(type="HTTP", http={"url": "u"}, retryPolicy={"limit": 0}))
    assert stored["spec"]["actions"][0]["retryPolicy"] == {"limit": 0, "interval": "5s", "backoffMultiplier": "2.0"}


def test_parameters_of_plans_and_executions_have_defaults(plans: Resource, executions: Resource) -> None:
    parameter = {"name": "n", "value": ""}
    stages = [{"name": "s", "workflows": [{"workflowRef": {"name": "w"}, "params": [parameter]}]}]
    plan = plans.created({"stages": stages, "globalParams": [parameter]})["spec"]
    assert plan["globalParams"] == [{**parameter, "type": "string"}]
    assert plan["stages"][0]["workflows"][0]["params"] == [{**parameter, "type": "string"}]
    run = executions.created({"planRef": "p", "operationType": "Execute", "params": [parameter]})["spec"]
    assert run["params"] == [{**parameter, "type": "string"}]


PAYLOADS = {
    "localization": {"overrides": [{"type": "Helm", "value": "a: 1"}]},
    "globalization": {"overrides": [{"type": "JSONPatch", "value": "[]"}], "clusterAffinity": {}},
    "helmChart": {"repo": "https://$(params.host)/charts", "chart": "c", "targetNamespace": "t"},
    "subscription": {
        "feeds": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}],
        "subscribers": [{"clusterAffinity": {"matchLabels": {"a": "b"}}}],
        "dividingScheduling": {"dynamicDividing": {}},
    },
}


@pytest.mark.parametrize("operation", ["Create", "Patch"])
@pytest.mark.parametrize("block", PAYLOADS)
def test_nothing_is_filled_into_a_payload(workflows: Resource, block: str, operation: str) -> None:
    type_ = block[0].upper() + block[1:]
    settings = {"name": "n", "namespace": "ns", "operation": operation, "spec": PAYLOADS[block]}
    stored = workflows.created(action(type=type_, **{block: settings}))
    assert stored["spec"]["actions"][0][block]["spec"] == PAYLOADS[block]
    decoded = getattr(DRWorkflow.from_wire(stored).spec.actions[0], "helm_chart" if block == "helmChart" else block)
    assert decoded.spec.written() == PAYLOADS[block]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_an_object_with_every_member_comes_back_unchanged(cluster: Cluster, namespace: str, kind: str) -> None:
    resource = Resource(cluster, namespace, kind)
    spec, status = sample(part(kind, "spec")), sample(part(kind, "status"))
    assert resource.created(spec)["spec"] == spec
    code, answer = resource.set_status("x", status)
    assert code == 200, answer
    assert answer["status"] == status


@pytest.mark.parametrize("kind", SCHEMAS)
def test_unknown_members_are_dropped(cluster: Cluster, namespace: str, kind: str) -> None:
    resource = Resource(cluster, namespace, kind)
    spec, status = sample(part(kind, "spec")), sample(part(kind, "status"))
    assert resource.created(with_unknown_members(part(kind, "spec"), spec))["spec"] == spec
    _, answer = resource.set_status("x", with_unknown_members(part(kind, "status"), status))
    assert answer["status"] == status


def test_strict_validation_refuses_unknown_members(workflows: Resource) -> None:
    code, answer = workflows.create(
        action(type="HTTP", http={"url": "u", "timeout": "5s"}), query="?fieldValidation=Strict"
    )
    assert code == 400
    assert 'unknown field "spec.actions[0].http.timeout"' in answer["message"]


def test_a_rollback_is_kept_as_written(workflows: Resource) -> None:
    rollback = {"type": "HTTP", "http": {"url": "u", "unknown": 1}, "timeout": 5, "more": {"deep": [None, {}]}}
    stored = workflows.created(action(type="HTTP", http={"url": "u"}, rollback=rollback))
    assert stored["spec"]["actions"][0]["rollback"] == rollback


@pytest.mark.parametrize("kind", SCHEMAS)
def test_each_broken_rule_of_a_spec_is_refused(cluster: Cluster, namespace: str, kind: str) -> None:
    resource = Resource(cluster, namespace, kind)
    schema = part(kind, "spec")
    found = list(broken(schema, sample(schema), skip=(JOB_SPEC,)))
    assert len(found) > 20
    for case in found:
        where = f"spec.{case.field}".rstrip(".")
        if len(json.dumps(case.document)) > LARGEST_REQUEST:
            assert case.rule in ("maxItems", "maxLength", "maxProperties")
            continue  # the API server does not even read it
        code, answer = resource.create(case.document, query="?dryRun=All")
        assert code == 422, (where, case.rule, answer)
        assert where in causes(answer), (where, case.rule, answer["message"])


@pytest.mark.parametrize("kind", SCHEMAS)
def test_each_broken_rule_of_a_status_is_refused(cluster: Cluster, namespace: str, kind: str) -> None:
    resource = Resource(cluster, namespace, kind)
    resource.created(sample(part(kind, "spec")))
    schema = part(kind, "status")
    for case in broken(schema, sample(schema)):
        where = f"status.{case.field}".rstrip(".")
        code, answer = resource.set_status("x", case.document)
        assert code == 422, (where, case.rule, answer)
        assert where in causes(answer), (where, case.rule, answer["message"])


def test_a_spec_is_required(workflows: Resource) -> None:
    document = workflows.document({})
    del document["spec"]
    code, answer = workflows.send("POST", workflows.path(), document)
    assert code == 422
    assert causes(answer) == {"spec"}


@pytest.mark.parametrize(
    ("repo", "accepted"),
    [
        ("https://charts.example.com/stable", True),
        ("oci://registry.example.com/charts", True),
        ("https://$(params.host)/charts", True),
        ("$(params.repo)", False),
        ("charts.example.com", False),
    ],
)
def test_repositories_of_charts(workflows: Resource, repo: str, accepted: bool) -> None:
    spec = {"repo": repo, "chart": "c", "targetNamespace": "t"}
    block = {"name": "h", "namespace": "n", "spec": spec}
    code, answer = workflows.create(action(type="HelmChart", helmChart=block))
    assert (code == 201) is accepted, answer


@pytest.mark.parametrize("spelling", ["Cancelled", "Canceled"])
def test_both_spellings_of_cancelled_are_stored(executions: Resource, spelling: str) -> None:
    executions.created({"planRef": "p", "operationType": "Execute"})
    status = yaml.safe_load(GO_STATUS.replace("Canceled", spelling))
    code, answer = executions.set_status("x", status)
    assert code == 200, answer
    assert answer["status"] == status


def test_a_plan_status_of_the_go_operator_is_stored(plans: Resource) -> None:
    plans.created({"stages": [{"name": "s", "workflows": [{"workflowRef": {"name": "w"}}]}]})
    record = {"name": "e", "namespace": "default", "operationType": "Execute", "phase": "Canceled"}
    status = {
        "phase": "Executed",
        "lastExecutionRef": "e",
        "lastProcessedTrigger": "t",
        "currentExecution": {"name": "e", "namespace": "default"},
        "executionHistory": [record, {**record, "phase": "Pending", "startTime": "2026-02-03T10:00:00Z"}],
        "observedGeneration": 1,
    }
    assert plans.set_status("x", status)[1]["status"] == status


@pytest.mark.parametrize("kind", SCHEMAS)
def test_status_is_a_subresource(cluster: Cluster, namespace: str, kind: str) -> None:
    resource = Resource(cluster, namespace, kind)
    stored = resource.created(sample(part(kind, "spec")), status=sample(part(kind, "status")))
    assert "status" not in stored
    changed = {**stored, "spec": {}, "status": sample(part(kind, "status"))}
    _, answer = resource.send("PUT", resource.path("x/status"), changed)
    assert answer["spec"] == stored["spec"]
    assert answer["metadata"]["generation"] == stored["metadata"]["generation"] == 1


def condition(type_: str, **more: Any) -> Object:
    values = {"status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2026-02-03T10:00:00Z"}
    return {"type": type_, **values, **more}


def test_conditions_are_merged_by_type(executions: Resource) -> None:
    executions.created({"planRef": "p", "operationType": "Execute"})
    for manager, type_ in (("one", "Started"), ("two", "Complete")):
        document = executions.document(None, status={"conditions": [condition(type_)]})
        del document["spec"]
        path = executions.path("x/status", f"?fieldManager={manager}&force=true")
        stored = executions.cluster.api.request("PATCH", path, document, "application/apply-patch+yaml")
    assert [entry["type"] for entry in stored["status"]["conditions"]] == ["Started", "Complete"]


def test_a_condition_appears_once(executions: Resource) -> None:
    executions.created({"planRef": "p", "operationType": "Execute"})
    code, answer = executions.set_status("x", {"conditions": [condition("Ready"), condition("Ready")]})
    assert code == 422
    assert "Duplicate value" in answer["message"]


def test_other_lists_are_replaced_as_a_whole(plans: Resource) -> None:
    api = plans.cluster.api
    for manager, name in (("one", "a"), ("two", "b")):
        document = plans.document({"stages": [{"name": name, "workflows": [{"workflowRef": {"name": "w"}}]}]})
        path = plans.path("x", f"?fieldManager={manager}&force=true")
        stored = api.request("PATCH", path, document, "application/apply-patch+yaml")
    assert [stage["name"] for stage in stored["spec"]["stages"]] == ["b"]


def job(**pod: Any) -> Object:
    container = {"name": "main", "image": "busybox", **pod}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return action(type="Job", job={"template": {"spec": {"template": template}}})


def test_keys_of_ports_include_the_protocol(workflows: Resource) -> None:
    two = [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]
    stored = workflows.created(job(ports=two))
    container = stored["spec"]["actions"][0]["job"]["template"]["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]
    code, answer = workflows.create(job(ports=[{"containerPort": 53}, {"containerPort": 53}]), name="y")
    assert code == 422
    assert "Duplicate value" in answer["message"]


@pytest.mark.parametrize(
    ("pod", "field"),
    [
        ({"resources": {"limits": {"cpu": "much"}}}, "resources.limits.cpu"),
        ({"env": [{"value": "x"}]}, "env[0].name"),
        ({"name": 7}, "name"),
    ],
)
def test_a_job_is_checked(workflows: Resource, pod: Object, field: str) -> None:
    code, answer = workflows.create(job(**pod))
    assert code == 422
    prefix = "spec.actions[0].job.template.spec.template.spec.containers[0]"
    assert f"{prefix}.{field}" in causes(answer)


def test_a_stored_job_is_a_job(workflows: Resource) -> None:
    stored = workflows.created({"actions": yaml.safe_load(ACTIONS)[1:2]})
    spec = stored["spec"]["actions"][0]["job"]["template"]["spec"]
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": spec}
    path = f"/apis/batch/v1/namespaces/{workflows.namespace}/jobs?dryRun=All&fieldValidation=Strict"
    made = workflows.cluster.api.request("POST", path, document)
    assert made["spec"]["template"]["metadata"]["labels"]["app"] == "restore"


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def test_columns_of_executions(cluster: Cluster, namespace: str, executions: Resource) -> None:
    executions.created({"planRef": "p", "operationType": "Execute"})
    executions.set_status("x", {"phase": "Running", "progress": "12/40", "duration": "1m30s"})
    header, row = rows(cluster.kubectl("get", "drpe", namespace=namespace).stdout)
    assert header == ["NAME", "PLAN", "OPERATION", "PHASE", "PROGRESS", "DURATION", "AGE", "MESSAGE"]
    assert row[:-1] == ["x", "p", "Execute", "Running", "12/40", "1m30s"]


def test_columns_of_plans_and_workflows(cluster: Cluster, namespace: str, plans: Resource, workflows: Resource) -> None:
    plans.created({"stages": [{"name": "s", "workflows": [{"workflowRef": {"name": "w"}}]}]})
    runs = [
        {"name": name, "namespace": namespace, "operationType": "Execute", "phase": phase, "completionTime": time}
        for name, phase, time in (("e3", "Failed", "2026-01-01T00:00:00Z"), ("e1", "Succeeded", "2025-01-01T00:00:00Z"))
    ]
    status = {"phase": "Executed", "lastExecutionRef": "e1", "currentExecution": {"name": "e2"}}
    plans.set_status("x", {**status, "executionHistory": runs})
    workflows.created(action(type="HTTP", http={"url": "u"}))
    workflows.set_status("x", {"phase": "Ready", "actionCount": 1})
    plan_rows = rows(cluster.kubectl("get", "drp", namespace=namespace).stdout)
    assert plan_rows[0] == ["NAME", "PHASE", "LAST", "CURRENT", "LAST-RUN", "RESULT", "WHEN", "AGE"]
    assert plan_rows[1][:-2] == ["x", "Executed", "e1", "e2", "e3", "Failed"]
    assert re.fullmatch(r"[0-9]+[a-z0-9]+", plan_rows[1][-2])
    workflow_rows = rows(cluster.kubectl("get", "drw", namespace=namespace).stdout)
    assert workflow_rows[0] == ["NAME", "PHASE", "ACTIONS", "AGE"]
    assert workflow_rows[1][:-1] == ["x", "Ready", "1"]


def test_the_category_lists_all_kinds(cluster: Cluster, namespace: str) -> None:
    cluster.apply(MINIMAL, namespace=namespace)
    found = cluster.kubectl("get", "dr", "-o", "name", namespace=namespace).stdout.split()
    assert found == [f"drplanexecution.{GROUP}/e", f"drplan.{GROUP}/p", f"drworkflow.{GROUP}/w"]


def test_field_selectors(cluster: Cluster, namespace: str, executions: Resource) -> None:
    for name, plan, phase in (("a", "p1", "Running"), ("b", "p1", "Failed"), ("c", "p2", "Running")):
        executions.created({"planRef": plan, "operationType": "Execute"}, name)
        executions.set_status(name, {"phase": phase})

    def selected(selector: str) -> list[str]:
        answer = cluster.kubectl("get", "drpe", "-o", "name", f"--field-selector={selector}", namespace=namespace)
        return [line.rsplit("/", 1)[1] for line in answer.stdout.split()]

    assert selected("spec.planRef=p1") == ["a", "b"]
    assert selected("status.phase=Running") == ["a", "c"]
    assert selected("status.phase!=Running,spec.planRef=p1") == ["b"]


def test_kubectl_explains_fields(cluster: Cluster) -> None:
    answer = cluster.kubectl("explain", "drpe.spec.planRef")
    assert "Name of a DRPlan in the same namespace." in answer.stdout
