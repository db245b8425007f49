"""From the Go operator to us and back (decision D1), on a real API server whose CRDs change with the operator.

The story is played once: what the Go operator left, our take-over, runs by us, a killed controller, `drplan downgrade`,
the Go operator's CRDs, and the way forward again. Each test looks at one thing about it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.models.names import FINALIZER
from devcluster import ControlPlane, register_webhooks, start_controller, start_webhook
from devcluster.api import RequestError, wait_for
from devcluster.services import ServiceProcess
from tests.acceptance.stories import localization_action, put_status
from tests.support.cluster import Cluster
from tests.support.installation import (
    API,
    FAST_LEASE,
    Installation,
    actions_of,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.planes import plane_fixture
from tests.support.site import Site
from tests.upgrade import go_operator

pytestmark = [pytest.mark.xdist_group("way-back"), pytest.mark.timeout(600)]

START, END = "2025-03-01T10:00:00Z", "2025-03-01T10:00:09Z"
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RIGHTS: list[dict[str, Any]] = [
    {"apiGroups": [go_operator.GROUP], "resources": [*go_operator.PLURALS.values()], "verbs": ["get", "list"]},
    {
        "apiGroups": [go_operator.GROUP],
        "resources": [f"{plural}/status" for plural in go_operator.PLURALS.values()],
        "verbs": ["update"],
    },
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "update", "delete"]},
]
"""What the command says that it needs; the last two in the controller's namespace only."""

Objects = dict[str, list[dict[str, Any]]]


@dataclass
class Story:
    """What happened, for the tests to look at."""

    drplan: Installation
    taken_over: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    before: Objects = field(default_factory=dict)
    after_refusals: Objects = field(default_factory=dict)
    after: Objects = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    holder: str = "not looked at"
    strict: list[str] = field(default_factory=list)
    forward: dict[str, Any] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        return self.drplan.site

    @property
    def ns(self) -> str:
        return self.drplan.namespace

    def objects(self) -> Objects:
        """Every object of the three kinds as stored."""
        paths = {kind: f"/apis/{API}/{plural}" for kind, plural in go_operator.PLURALS.items()}
        return {kind: self.drplan.cluster.api.get(path)["items"] for kind, path in paths.items()}

    def run_command(self, key: str, *flags: str, identity: str = "operator") -> None:
        """`drplan downgrade`, as a user with the rights that it names."""
        kubeconfig = self.drplan.cluster.kubeconfig_of(identity)
        command = [sys.executable, "-m", "drplan", "downgrade", f"--kubeconfig={kubeconfig}", *flags]
        self.answers[key] = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@plane_fixture(scope="module")
def story(site: Site) -> Iterator[Story]:
    with ControlPlane("minimal", users=[("operator", "operator", [])]) as plane:
        for crd in go_operator.crds():
            plane.api.apply(crd)
        cluster = Cluster(plane)
        wait_for(lambda: _serves(cluster), 20.0, "the three kinds to be served")
        plane.install_clusternet()
        told = Story(Installation(cluster, site, cluster.namespace("back")))
        _grant(plane)
        _what_the_go_operator_left(told)
        controller = _take_over(told, plane)
        _runs_by_us(told)
        told.before = told.objects()
        _refusals(told)
        controller.kill9()
        _way_back(told)
        controller.start()
        controller.wait_ready()
        _forward_again(told)
        yield told


def _serves(cluster: Cluster) -> bool:
    return all(cluster.api.raw("GET", f"/apis/{API}/{plural}")[0] == 200 for plural in go_operator.PLURALS.values())


def _grant(plane: ControlPlane) -> None:
    everywhere, inside = RIGHTS[:2], RIGHTS[2:]
    meta = {"name": "drplan-downgrade"}
    subject = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "operator"}]
    for kind, rules, metadata in (
        ("ClusterRole", everywhere, meta),
        ("Role", inside, {**meta, "namespace": "drplan-system"}),
    ):
        version = "rbac.authorization.k8s.io/v1"
        plane.api.apply({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "drplan-downgrade"}
        binding = {"apiVersion": version, "kind": f"{kind}Binding", "metadata": metadata}
        plane.api.apply({**binding, "roleRef": reference, "subjects": subject})


def _use_crds(cluster: Cluster, crds: list[dict[str, Any]]) -> None:
    """`kubectl replace -f` of CRDs."""
    for crd in crds:
        path = f"{CRD_PATH}/{crd['metadata']['name']}"
        stored = cluster.api.get(path)
        metadata = {**crd["metadata"], "resourceVersion": stored["metadata"]["resourceVersion"]}
        cluster.api.request("PUT", path, {**crd, "metadata": metadata})


def _store(told: Story, obj: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    """An object as the Go operator leaves it."""
    plural = go_operator.PLURALS[obj["kind"]]
    told.drplan.cluster.api.request("POST", f"/apis/{API}/namespaces/{told.ns}/{plural}", dict(obj))
    put_status(told.drplan, plural, obj["metadata"]["name"], status)


def _stored_execution(name: str, plan_name: str) -> dict[str, Any]:
    made = execution(name, plan_name)
    return {**made, "metadata": {**made["metadata"], "finalizers": [FINALIZER]}}


def _stored_plan(told: Story, name: str, used: str, phase: str, record: str, *, lock: bool = False) -> None:
    """With what its webhook fills in: the stage's failurePolicy and the workflow's namespace."""
    reference = {"workflowRef": {"name": used, "namespace": told.ns}}
    made = plan(name, [stage("s", reference, failurePolicy="Stop", parallel=False)], failurePolicy="Stop")
    run = {"name": f"{name}-go", "namespace": told.ns}
    status: dict[str, Any] = {
        "phase": phase,
        "observedGeneration": 1,
        "executionHistory": [{**run, "operationType": "Execute", "phase": record, "startTime": START}],
    }
    if phase == "Executed":
        status["lastExecutionRef"] = run["name"]
    _store(told, made, {**status, **({"currentExecution": run} if lock else {})})


def _what_the_go_operator_left(told: Story) -> None:
    ns = told.ns
    valid = {"phase": "Ready", "observedGeneration": 1}
    localization = localization_action("loc", "go-loc", ns)
    localization["localization"] |= {"operation": "Patch"}
    localization["localization"]["spec"]["feed"] = {"apiVersion": "", "kind": "", "name": ""}
    localization["rollback"] = {"name": "", "localization": {"name": "go-loc", "namespace": ns, "operation": "Delete"}}
    call = http_action("call", f"{told.site.url}/{ns}/call")
    call["rollback"] = {"name": "", "type": "", "http": {"url": f"{told.site.url}/{ns}/undo", "method": "DELETE"}}
    _store(told, workflow("filled-in", [localization, call]), valid)
    _store(told, workflow("made", [config_map_action("cm", "go-cm", ns)]), valid)
    _stored_plan(told, "filled-in", "filled-in", "Ready", "Canceled")
    _stored_plan(told, "made", "made", "Executed", "Succeeded")
    _stored_plan(told, "half", "filled-in", "Ready", "Pending", lock=True)
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "go-cm"}}
    uid = told.drplan.cluster.api.request("POST", f"/api/v1/namespaces/{ns}/configmaps", obj)["metadata"]["uid"]
    outputs = {"resourceRef": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": ns, "name": "go-cm", "uid": uid}}
    _store(
        told, _stored_execution("made-go", "made"), _go_status("Succeeded", "made", ns, ("cm", "Succeeded", outputs))
    )
    _store(
        told,
        _stored_execution("filled-in-go", "filled-in"),
        _go_status("Canceled", "filled-in", ns, ("loc", "Failed", {}), ("call", "Canceled", {})),
    )
    _store(
        told,
        _stored_execution("half-go", "half"),
        _go_status("Running", "filled-in", ns, ("loc", "Running", {}), ("call", "Pending", {})),
    )


def _go_status(phase: str, used: str, namespace: str, *actions: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    node = "Failed" if phase == "Canceled" else phase
    listed = [
        {"name": name, "phase": action, "startTime": START, **({"outputs": outputs} if outputs else {})}
        for name, action, outputs in actions
    ]
    run = {"workflowRef": {"name": used, "namespace": namespace}, "phase": node, "actionStatuses": listed}
    return {
        "phase": phase,
        "startTime": START,
        "message": "by the Go operator",
        "stageStatuses": [{"name": "s", "phase": node, "startTime": START, "workflowExecutions": [run]}],
        "summary": {"totalStages": 1, "totalWorkflows": 1},
    }


def _take_over(told: Story, plane: ControlPlane) -> ServiceProcess:
    _use_crds(told.drplan.cluster, go_operator.our_crds())
    register_webhooks(plane, start_webhook(plane))
    controller = start_controller(plane, arguments=FAST_LEASE)
    told.taken_over["half"] = told.drplan.wait_phase("half-go", "Failed")
    told.taken_over["half plan"] = told.drplan.wait_unlocked("half")
    labels = {"made-go", "filled-in-go"}
    told.drplan.wait(lambda: all(told.drplan.get("drpe", name)["metadata"].get("labels") for name in labels))
    told.taken_over |= {name: told.drplan.get("drpe", name) for name in labels}
    told.taken_over["workflow"] = told.drplan.get("drw", "filled-in")
    return controller


def _runs_by_us(told: Story) -> None:
    """One that succeeds, a Revert of the Go operator's, a cancelled, a crashed, one that waits, one from a backup."""
    drplan, url, ns = told.drplan, f"{told.site.url}/{told.ns}", told.ns
    rollback = {"type": "HTTP", "http": {"url": f"{url}/ours-undo", "method": "DELETE", "followRedirects": False}}
    ours = [
        http_action("first", f"{url}/ours", rollback=rollback, retryPolicy={"limit": 0}),
        config_map_action("second", "ours", ns, when='planName == "ours"'),
        http_action("third", f"{url}/ours/$(outputs.first.statusCode)"),
    ]
    slow = [http_action("quick", f"{url}/quick"), http_action("slow", f"{url}/slow"), http_action("never", f"{url}/no")]
    drplan.apply(
        workflow("ours", ours),
        workflow("slow", slow),
        plan("ours", [stage("a", "ours"), stage("b", "ours")], maxParallelStages=2),
        plan("cancelled", [stage("a", "slow")]),
        plan("crashed", [stage("a", "slow")]),
    )
    drplan.take_back("made-undo", "made", "made-go")
    drplan.wait_unlocked("made")
    drplan.apply(execution("ours-run", "ours"))
    drplan.wait_phase("ours-run")
    drplan.wait_unlocked("ours")
    told.site.hold(f"/{ns}/slow")
    drplan.apply(execution("cancelled-run", "cancelled"))
    told.site.wait_for(f"/{ns}/slow")
    drplan.kubectl("annotate", "drpe", "cancelled-run", "dr.bkbcs.tencent.com/cancel=true")
    told.site.let_go(f"/{ns}/slow")
    drplan.wait_phase("cancelled-run", "Cancelled")
    drplan.wait_unlocked("cancelled")
    told.site.hold(f"/{ns}/slow")
    drplan.apply(execution("crashed-run", "crashed"), _stored_execution("restored", "ours"))
    told.site.wait_for(f"/{ns}/slow", times=2)
    drplan.wait(lambda: phases_of(drplan.status("crashed-run")).get("slow") == "Running")
    drplan.wait(lambda: drplan.status("restored").get("phase") == "Pending")


def _refusals(told: Story) -> None:
    told.run_command("dry run")
    told.run_command("runs in flight", "--apply")
    told.run_command("controller leads", "--apply", "--end-runs", "--wait=2")
    told.run_command("wrong namespace", "--apply", "--end-runs", "--namespace=default", identity="admin")
    told.after_refusals = told.objects()


def _way_back(told: Story) -> None:
    told.run_command("applied", "--apply", "--end-runs")
    told.site.let_go(f"/{told.ns}/slow")
    told.after = told.objects()
    told.run_command("again", "--apply")
    cluster = told.drplan.cluster
    found = cluster.api.get("/api/v1/namespaces/drplan-system/configmaps")["items"]
    told.journal = [item["metadata"]["name"] for item in found if "journal" in item["metadata"]["name"]]
    lease = "/apis/coordination.k8s.io/v1/namespaces/drplan-system/leases/65498215.bkbcs.tencent.com"
    told.holder = cluster.api.get(lease)["spec"]["holderIdentity"]
    _use_crds(cluster, go_operator.crds())
    for kind, items in told.after.items():
        wait_for(lambda kind=kind: _is_strict(told, kind), 20.0, f"the old schema of {kind}")  # type: ignore[misc]
        told.strict += [problem for item in items if (problem := _refused(told, kind, item))]


def _is_strict(told: Story, kind: str) -> bool:
    """Whether the API server already knows nothing but the Go operator's schema."""
    item = told.after[kind][0]
    return "unknown field" in _refused(told, kind, {**item, "status": {**item["status"], "journalSequence": 1}})


def _refused(told: Story, kind: str, item: Mapping[str, Any]) -> str:
    """Why the API server refuses the status under strict validation by the schema; empty when it takes it."""
    name, plural = item["metadata"]["name"], go_operator.PLURALS[kind]
    path = f"/apis/{API}/namespaces/{item['metadata']['namespace']}/{plural}/{name}"
    stored = told.drplan.cluster.api.get(path)
    body = {**stored, "status": item["status"]}
    try:
        told.drplan.cluster.api.request("PUT", f"{path}/status?fieldValidation=Strict&dryRun=All", body)
    except RequestError as error:
        return f"{kind} {name}: {error}"
    return ""


def _forward_again(told: Story) -> None:
    drplan, ns = told.drplan, told.ns
    _use_crds(drplan.cluster, go_operator.our_crds())
    told.forward["calls"] = dict(told.site.count(f"/{ns}/"))
    told.forward["reverted"] = drplan.take_back("ours-undo", "ours", "ours-run")
    told.forward["ran"] = drplan.run("crashed-again", "crashed")
    told.forward["calls after"] = dict(told.site.count(f"/{ns}/"))


def _one(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    [found] = [item for item in objects[kind] if item["metadata"]["name"] == name]
    return found


def _versions(objects: Objects) -> dict[str, Any]:
    """Everything but the answers of the controller to what goes on."""
    return {item["metadata"]["uid"]: item.get("status") for items in objects.values() for item in items}


def test_run_that_the_go_operator_left_half_way_ends_failed_and_is_not_repeated(story: Story) -> None:
    status = story.taken_over["half"]
    assert "no snapshot to go on from" in status["message"]
    assert phases_of(status) == {"loc": "Failed", "call": "Skipped"}
    assert story.taken_over["half plan"]["executionHistory"][0]["phase"] == "Failed"


def test_finished_runs_of_the_go_operator_keep_their_record(story: Story) -> None:
    assert story.taken_over["made-go"]["status"]["phase"] == "Succeeded"
    assert story.taken_over["filled-in-go"]["status"]["phase"] == "Canceled"
    assert story.taken_over["made-go"]["metadata"]["labels"]["dr.bkbcs.tencent.com/plan"] == "made"


def test_what_its_webhook_filled_in_is_valid(story: Story) -> None:
    assert story.taken_over["workflow"]["status"]["phase"] == "Ready"


def test_dry_run_names_everything_and_writes_nothing(story: Story) -> None:
    answer = story.answers["dry run"]
    assert (answer.returncode, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    ns = story.ns
    assert f"has not ended: DRPlanExecution {ns}/crashed-run: Running 1/3" in lines
    assert f"has not ended: DRPlanExecution {ns}/restored: Pending" in lines
    [cancelled] = [line for line in lines if line.startswith(f"to convert: DRPlanExecution {ns}/cancelled-run: ")]
    assert "phase Cancelled to Canceled" in cancelled
    assert f"runs otherwise: DRPlan {ns}/ours: spec.maxParallelStages: ignored; stages run one at a time" in lines
    noted = [line for line in lines if line.startswith(f"runs otherwise: DRWorkflow {ns}/ours: ")]
    assert [line.split(": ")[2] for line in noted] == [
        "spec.actions[0].retryPolicy.limit",
        "spec.actions[0].rollback.http.followRedirects",
        "spec.actions[1].when",
        "spec.actions[2]",
    ]
    assert lines[-1].startswith("dry run: nothing was written; 2 execution(s) have not ended, ")


def test_it_refuses_while_executions_run(story: Story) -> None:
    answer = story.answers["runs in flight"]
    assert answer.returncode == 1
    assert "2 execution(s) have not ended" in answer.stderr
    assert "--end-runs" in answer.stderr


def test_it_refuses_while_a_controller_leads(story: Story) -> None:
    answer = story.answers["controller leads"]
    assert answer.returncode == 1
    assert "the Lease drplan-system/65498215.bkbcs.tencent.com is held by " in answer.stderr
    assert "kubectl scale deployment" in answer.stderr


def test_it_refuses_a_namespace_without_a_lease(story: Story) -> None:
    answer = story.answers["wrong namespace"]
    assert answer.returncode == 1
    assert "there is no Lease default/65498215.bkbcs.tencent.com" in answer.stderr


def test_refusals_write_nothing(story: Story) -> None:
    assert _versions(story.after_refusals) == _versions(story.before)


def test_it_works_with_the_rights_that_it_names(story: Story) -> None:
    answer = story.answers["applied"]
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"DRPlanExecution {story.ns}/crashed-run: ended as Failed" in answer.stdout
    assert f"DRPlanExecution {story.ns}/restored: ended as Canceled" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("done: ")


def test_a_second_time_there_is_nothing_to_do(story: Story) -> None:
    answer = story.answers["again"]
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[-1] == "nothing to do"


def test_the_go_operator_starts_nothing(story: Story) -> None:
    assert any(go_operator.would_run(item) for item in story.before["DRPlanExecution"])
    assert [item["metadata"]["name"] for item in story.after["DRPlanExecution"] if go_operator.would_run(item)] == []


def test_nothing_is_left_that_its_schemas_do_not_know(story: Story) -> None:
    assert story.strict == []


def test_before_the_way_back_its_schemas_would_refuse_much(story: Story) -> None:
    run = _one(story.before, "DRPlanExecution", "cancelled-run")["status"]
    assert run["phase"] == "Cancelled"
    assert {"journalSequence", "progress", "duration", "observedGeneration"} <= run.keys()


def test_locks_are_released_and_history_tells_the_end(story: Story) -> None:
    assert "currentExecution" in _one(story.before, "DRPlan", "crashed")["status"]
    assert [item["metadata"]["name"] for item in story.after["DRPlan"] if "currentExecution" in item["status"]] == []
    [record] = _one(story.after, "DRPlan", "crashed")["status"]["executionHistory"]
    assert (record["name"], record["phase"]) == ("crashed-run", "Failed")
    assert record["completionTime"]


def test_history_is_spelled_as_the_go_operator_does(story: Story) -> None:
    [record] = _one(story.after, "DRPlan", "cancelled")["status"]["executionHistory"]
    assert record["phase"] == "Canceled"


def test_what_a_killed_run_had_done_is_kept(story: Story) -> None:
    status = _one(story.after, "DRPlanExecution", "crashed-run")["status"]
    assert phases_of(status) == {"quick": "Succeeded", "slow": "Failed", "never": "Skipped"}


def test_what_a_run_made_stays_recorded(story: Story) -> None:
    """Both stages create the same ConfigMap at once; whichever did has recorded it."""
    status = _one(story.after, "DRPlanExecution", "ours-run")["status"]
    made = [action["outputs"] for action in actions_of(status) if action["name"] == "second" and "outputs" in action]
    assert "ours" in {outputs.get("resourceRef", {}).get("name") for outputs in made}


def test_the_lease_is_free_for_the_go_operator(story: Story) -> None:
    assert story.holder == ""


def test_the_journal_is_gone(story: Story) -> None:
    assert story.journal == []


def test_specs_and_metadata_are_left_alone(story: Story) -> None:
    for kind, items in story.before.items():
        for item in items:
            after = _one(story.after, kind, item["metadata"]["name"])
            assert after["spec"] == item["spec"]
            for member in ("labels", "annotations", "finalizers", "generation"):
                assert after["metadata"].get(member) == item["metadata"].get(member)


def test_forward_again_nothing_is_repeated_and_our_runs_can_be_reverted(story: Story) -> None:
    ns = story.ns
    calls = story.forward["calls after"]
    assert calls[f"/{ns}/ours"] == story.forward["calls"][f"/{ns}/ours"] == 2
    assert calls[f"/{ns}/slow"] == 3, "one for the cancelled, one for the killed, one for the new run"
    assert story.forward["reverted"]["phase"] == "Succeeded"
    assert "left no snapshot" not in story.forward["reverted"]["message"]
    assert calls[f"/{ns}/ours-undo"] == 2
