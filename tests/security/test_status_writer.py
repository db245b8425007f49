"""Who may write statuses (a Role with `resources: ["*"]` is enough) gains nothing, stops nobody and is told of.

On a real API server with both processes; the attacker is a real account with just the rights named here. Many edits go
through one installation: they stand for every member of a status that the controller reads.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.models.names import UNRECORDED_ANNOTATION
from devcluster.api import Api
from devcluster.rights import bind
from tests.acceptance.stories import put_status, without_controller
from tests.e2e.support import create, events_of
from tests.security.chart_rights import may_touch
from tests.support.installation import (
    API,
    FINAL,
    Installation,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)

Json = dict[str, Any]
Edit = Callable[[Json], object]
OWN = "drplan-system"
WRITES_STATUSES = [
    {
        "apiGroups": ["dr.bkbcs.tencent.com"],
        "resources": ["drplanexecutions/status", "drplans/status"],
        "verbs": ["update", "patch"],
    },
    {"apiGroups": ["dr.bkbcs.tencent.com"], "resources": ["drplanexecutions", "drplans"], "verbs": ["get", "create"]},
    {"apiGroups": ["dr.bkbcs.tencent.com"], "resources": ["drplanexecutions"], "verbs": ["patch"]},
]
TOUCHES_CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete", "patch"]}


class Attacker:
    """An account of the namespace that writes statuses there."""

    def __init__(self, drplan: Installation, name: str, *rules: Json) -> None:
        self.drplan = drplan
        identity = drplan.cluster.plane.service_account(drplan.namespace, name)
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
        full = f"{drplan.namespace}-{name}"
        drplan.cluster.api.apply({**role, "metadata": {"name": full}, "rules": [*WRITES_STATUSES, *rules]})
        bind(drplan.cluster.api, identity.username, full, drplan.namespace)
        self.api = Api(drplan.cluster.plane.server, drplan.cluster.plane.authority.pem, identity.token or "")
        drplan.wait(lambda: self.api.raw("GET", f"{self.path('drplans')}/none")[0] == 404, 20.0)

    def path(self, plural: str) -> str:
        return f"/apis/{API}/namespaces/{self.drplan.namespace}/{plural}"

    def edit(self, name: str, change: Edit, plural: str = "drplanexecutions") -> None:
        """Change a status, on whatever version it has just now."""

        def done() -> bool:
            stored = self.api.get(f"{self.path(plural)}/{name}")
            change(stored.setdefault("status", {}))
            code, answer = self.api.raw("PUT", f"{self.path(plural)}/{name}/status", stored)
            assert code in (200, 409), answer
            return code == 200

        self.drplan.wait(done, 10.0)

    def send(self, obj: Mapping[str, Any]) -> tuple[int, str]:
        """Create an execution; return status and message."""
        code, body = self.api.raw("POST", self.path("drplanexecutions"), dict(obj))
        return code, str(json.loads(body).get("message", ""))


@pytest.fixture
def attacker(drplan: Installation) -> Attacker:
    return Attacker(drplan, "writer")


@pytest.fixture
def victims(drplan: Installation) -> dict[str, str]:
    """Objects that nobody here may touch: of another namespace and of the controller's own; uid by namespace."""
    bank = drplan.cluster.namespace("bank")
    for namespace in (drplan.namespace, bank):
        may_touch(drplan.cluster.api, namespace)
    uids = {}
    for namespace in (bank, OWN):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"victim-of-{drplan.namespace}"}}
        made = drplan.cluster.api.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
        uids[namespace] = str(made["metadata"]["uid"])
    return uids


def check_alive(drplan: Installation, victims: Mapping[str, str]) -> None:
    for namespace, uid in victims.items():
        path = f"/api/v1/namespaces/{namespace}/configmaps/victim-of-{drplan.namespace}"
        assert drplan.cluster.api.get(path)["metadata"]["uid"] == uid


def action(status: Json) -> Json:
    found = status["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"][0]
    assert isinstance(found, dict)
    return found


def naming(drplan: Installation, namespace: str, uid: str = "") -> Edit:
    """Say that the action made the victim of a namespace."""
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": f"victim-of-{drplan.namespace}"}

    def edit(status: Json) -> None:
        action(status)["outputs"] = {"resourceRef": {**ref, **({"uid": uid} if uid else {})}}

    return edit


def setting(**members: Any) -> Edit:
    return lambda status: status.update(members)


def in_action(**members: Any) -> Edit:
    return lambda status: action(status).update(members)


def in_stage(**members: Any) -> Edit:
    return lambda status: status["stageStatuses"][0].update(members)


def without(*names: str) -> Edit:
    return lambda status: [status.pop(name, None) for name in names]


def emptied(status: Json) -> None:
    status.clear()


def twice(status: Json) -> None:
    status["stageStatuses"] += copy.deepcopy(status["stageStatuses"])


def prepare(drplan: Installation, count: int) -> list[str]:
    """Plans p0, p1, ..., each of which makes a ConfigMap of its name."""
    names = [f"p{number}" for number in range(count)]
    for name in names:
        made = config_map_action("make", f"{name}-made", drplan.namespace)
        drplan.apply(workflow(f"w-{name}", [made]), plan(name, [stage("s", f"w-{name}")]))
    return names


def test_a_revert_acts_on_the_record_whatever_the_status_says(
    drplan: Installation, attacker: Attacker, victims: dict[str, str]
) -> None:
    (bank, bank_uid), (_, own_uid) = victims.items()
    edits: list[Edit] = [
        naming(drplan, bank, bank_uid),
        naming(drplan, bank),
        naming(drplan, OWN, own_uid),
        in_action(outputs={}),
        in_action(phase="Failed", message="x"),
        in_action(name="other"),
        in_action(rolledBackBy="nobody"),
        in_stage(name="other", phase="Skipped"),
        setting(phase="Failed"),
        setting(phase="Running", completionTime=None),
        setting(revertedBy="nobody"),
        setting(stageStatuses=[]),
        setting(journalSequence=-1, progress="0/0", summary={}),
        without("stageStatuses", "conditions"),
        twice,
        emptied,
    ]
    names = prepare(drplan, len(edits))
    create(drplan, *(execution(f"{name}-run", name) for name in names))
    for name in names:
        drplan.wait_phase(f"{name}-run", "Succeeded")
        drplan.wait_unlocked(name)
    for name, edit in zip(names, edits, strict=True):
        attacker.edit(f"{name}-run", edit)
        code, message = attacker.send(revert(f"{name}-back", name, f"{name}-run"))
        assert code == 201, (name, message)
    for name in names:
        status = drplan.wait_phase(f"{name}-back", "Succeeded")
        assert phases_of(status) == {"make": "Succeeded"}, name
        assert not drplan.exists("cm", f"{name}-made"), name
        target = drplan.wait(lambda name=name: (s := drplan.status(f"{name}-run")).get("revertedBy") and s)  # type: ignore[misc]
        assert (target["phase"], target["revertedBy"]) == ("Succeeded", f"{name}-back")
        assert phases_of(target) == {"make": "Succeeded"}
        assert "StatusDiffers" in {condition["type"] for condition in target["conditions"]}, name
    check_alive(drplan, victims)
    told = drplan.wait(lambda: [e for e in events_of(drplan, "p0-run") if e[1] == "StatusDiffers"], 20.0)
    assert "status.stageStatuses[0].workflowExecutions[0].actionStatuses[0].outputs" in told[0][2]
    assert any(reason == "StatusDiffers" for _, reason, _ in events_of(drplan, "p0-back"))
    on_revert = {c["type"]: c["message"] for c in drplan.status("p0-back")["conditions"]}
    assert "is not what was recorded when it ended" in on_revert["StatusDiffers"]


def test_an_execution_that_never_ran_has_nothing_to_revert(
    drplan: Installation, attacker: Attacker, victims: dict[str, str]
) -> None:
    [name] = prepare(drplan, 1)
    missing = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": drplan.namespace, "name": "none"}
    source = {"manifestRef": {**missing, "jsonPath": "{.data.x}"}}
    drplan.apply(execution("never", name, params=[{"name": "x", "valueFrom": source}]))
    drplan.wait_phase("never", "Failed")
    drplan.run("real", name)
    drplan.wait_unlocked(name)
    ran = drplan.status("real")
    bank, uid = next(iter(victims.items()))
    naming(drplan, bank, uid)(ran)

    def replace(status: Json) -> None:
        status.clear()
        status.update(ran)

    attacker.edit("never", replace)
    code, message = attacker.send(revert("back", name, "never"))
    assert code == 201, message
    assert drplan.wait_phase("back", "Failed")["message"] == "Target execution has no stage statuses to revert"
    check_alive(drplan, victims)


def test_a_run_without_record_is_reverted_within_the_rights_of_whoever_asks(
    drplan: Installation, attacker: Attacker, victims: dict[str, str]
) -> None:
    bank, uid = next(iter(victims.items()))
    name, other = prepare(drplan, 2)
    for each in (name, other):
        drplan.run(f"{each}-run", each)
        drplan.wait_unlocked(each)
        record = f"drplan-outcome-{drplan.get('drpe', f'{each}-run')['metadata']['uid']}"
        drplan.cluster.api.request("DELETE", f"/api/v1/namespaces/{OWN}/configmaps/{record}")
    back = revert("back", name, f"{name}-run")

    code, message = attacker.send(back)
    assert code == 403
    assert "has no outcome record" in message
    assert f"ConfigMap {drplan.namespace}/{name}-made (may not delete or patch it)" in message
    rights = Attacker(drplan, "owner", TOUCHES_CONFIG_MAPS)
    for claimed in ("recorded", "claims-sha256:0", drplan.namespace):
        forged = {**back, "metadata": {"name": "back", "annotations": {UNRECORDED_ANNOTATION: claimed}}}
        assert attacker.send(forged)[0] == 403
    use_status = revert("back", name, f"{name}-run", revertOptions={"unrecorded": "UseStatus"})
    assert attacker.send(use_status)[0] == 403

    stored = drplan.status(f"{name}-run")
    attacker.edit(f"{name}-run", naming(drplan, bank, uid))
    code, message = rights.send(back)
    assert code == 403
    assert f"ConfigMap {bank}/victim-of-{drplan.namespace} (may not delete or patch it)" in message
    attacker.edit(f"{name}-run", naming(drplan, OWN, victims[OWN]))
    denied = drplan.kubectl("create", "-f", "-", stdin=back, check=False)
    assert "it is of the controller's own namespace" in denied.stderr
    attacker.edit(f"{name}-run", lambda status: status.update(stored))

    with without_controller(drplan):
        code, message = rights.send(back)
        assert code == 201, message
        changed = json.dumps({"metadata": {"annotations": {UNRECORDED_ANNOTATION: "recorded"}}})
        drplan.kubectl("patch", "drpe", "back", "--type=merge", "-p", changed)
        annotations = drplan.get("drpe", "back")["metadata"]["annotations"]
        assert annotations[UNRECORDED_ANNOTATION].startswith("claims-sha256:")
        code, message = rights.send(revert("late", other, f"{other}-run"))
        assert code == 201, message
        attacker.edit(f"{other}-run", naming(drplan, bank, uid))
    assert drplan.wait_phase("back", "Succeeded")["message"].startswith("Plan reverted successfully")
    assert not drplan.exists("cm", f"{name}-made")
    late = drplan.wait_phase("late", "Failed", "Succeeded")
    # it succeeds where the controller has put the target's status right before it came to the Revert
    changed_since = "its status has changed since this Revert was admitted" in late["message"]
    assert changed_since == (late["phase"] == "Failed")
    assert drplan.cluster.api.get(f"/api/v1/namespaces/{bank}/configmaps/victim-of-{drplan.namespace}")
    check_alive(drplan, victims)


def _held(drplan: Installation, names: list[str]) -> None:
    """Start a run of each plan that has made its first call, and waits in its second."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    for name in names:
        drplan.site.hold(f"/{ns}/{name}/second")
        calls = [http_action(each, f"{url}/{name}/{each}") for each in ("first", "second", "third")]
        drplan.apply(workflow(f"w-{name}", calls), plan(name, [stage("s", f"w-{name}")]))
    create(drplan, *(execution(f"{name}-run", name) for name in names))
    for name in names:
        drplan.site.wait_for(f"/{ns}/{name}/second")
        drplan.wait(lambda name=name: phases_of(drplan.status(f"{name}-run")).get("second") == "Running")  # type: ignore[misc]


LIES: tuple[Edit, ...] = (
    setting(phase="Failed", message="by hand"),
    setting(phase="Succeeded"),
    setting(phase="Unknown"),
    setting(journalSequence=2**62),
    setting(journalSequence=-5),
    setting(stageStatuses=[]),
    lambda status: status["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"].pop(0),
    in_action(phase="Pending", outputs={}),
    in_stage(name="other"),
    twice,
    emptied,
)


def test_a_run_under_way_is_told_of_and_written_again(drplan: Installation, attacker: Attacker) -> None:
    names = [f"p{number}" for number in range(len(LIES))]
    _held(drplan, names)
    for name, lie in zip(names, LIES, strict=True):
        attacker.edit(f"{name}-run", lie)
        attacker.edit(name, without("currentExecution", "executionHistory"), "drplans")
    truth = {"first": "Succeeded", "second": "Running", "third": "Pending"}
    for name in names:
        drplan.wait(lambda name=name: phases_of(drplan.status(f"{name}-run")) == truth, message=name)  # type: ignore[misc]
        drplan.wait(lambda name=name: "currentExecution" in drplan.plan_status(name), message=name)  # type: ignore[misc]
        drplan.site.let_go(f"/{drplan.namespace}/{name}/second")
    for name in names:
        drplan.wait(lambda name=name: drplan.status(f"{name}-run")["phase"] == "Succeeded", message=name)  # type: ignore[misc]
        after = drplan.wait_unlocked(name)
        assert after["lastExecutionRef"] == f"{name}-run"
        assert [record["phase"] for record in after["executionHistory"]] == ["Succeeded"]
        for each in truth:
            assert len(drplan.site.calls(f"/{drplan.namespace}/{name}/{each}")) == 1, (name, each)
    assert drplan.wait(lambda: [e for e in events_of(drplan, "p0-run") if e[1] == "StatusDiffers"], 20.0)


def test_a_run_taken_up_after_lies_never_repeats_anything_and_comes_to_its_end(
    drplan: Installation, attacker: Attacker
) -> None:
    names = [f"p{number}" for number in range(len(LIES))]
    _held(drplan, names)
    with without_controller(drplan):
        for number, (name, lie) in enumerate(zip(names, LIES, strict=True)):
            attacker.edit(f"{name}-run", lie)
            if number % 2:
                attacker.edit(name, without("currentExecution"), "drplans")
    for name in names:
        drplan.site.let_go(f"/{drplan.namespace}/{name}/second")
    for name in names:

        def ended(name: str = name) -> bool:
            unlocked = "currentExecution" not in drplan.plan_status(name)
            return drplan.status(f"{name}-run").get("phase") in FINAL and unlocked

        drplan.wait(ended, 40.0, f"{name}: {drplan.status(f'{name}-run')}")
        status = drplan.status(f"{name}-run")
        assert len(drplan.site.calls(f"/{drplan.namespace}/{name}/first")) == 1, name
        assert status["phase"] == "Succeeded" or "changed by somebody else" in status["message"], (name, status)
    drplan.kubectl("delete", "drpe", *(f"{name}-run" for name in names), "--timeout=40s")
    drplan.run("again", "p0", timeout=40.0)


def test_an_earlier_status_that_is_put_back_repeats_nothing(drplan: Installation, attacker: Attacker) -> None:
    """It has its seal; what has been covered since is known from the journal's head and entries."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    for held in ("second", "third"):
        drplan.site.hold(f"/{ns}/{held}")
    calls = [http_action(each, f"{url}/{each}") for each in ("first", "second", "third")]
    drplan.apply(workflow("w", calls), plan("p", [stage("s", "w")]))
    create(drplan, execution("run", "p"))
    drplan.wait(lambda: phases_of(drplan.status("run")).get("second") == "Running")
    early = drplan.status("run")
    assert early["seal"]
    drplan.site.let_go(f"/{ns}/second")
    drplan.wait(lambda: phases_of(drplan.status("run")).get("third") == "Running")

    def put_back(status: Json) -> None:
        status.clear()
        status.update(early)

    with without_controller(drplan):
        attacker.edit("run", put_back)
    drplan.site.let_go(f"/{ns}/third")
    drplan.wait_phase("run", *FINAL, "Unknown")
    for each in ("first", "second"):
        assert len(drplan.site.calls(f"/{ns}/{each}")) == 1, each


def test_a_lock_that_somebody_forged_keeps_no_plan_from_running(drplan: Installation, attacker: Attacker) -> None:
    impossible = ["x" * 300, "..", "old/status", "a%2fb", "", "a\u2028b"]
    names = [f"p{number}" for number in range(3 + len(impossible))]
    may_touch(drplan.cluster.api, drplan.namespace)
    drplan.apply(workflow("w", [config_map_action("make", "made", drplan.namespace, "Apply")]))
    drplan.apply(*(plan(name, [stage("s", "w")]) for name in names))
    drplan.run("old", names[0])
    drplan.wait_unlocked(names[0])
    uid = drplan.get("drpe", "old")["metadata"]["uid"]
    holders = [
        {"name": "nobody", "namespace": drplan.namespace, "uid": "00000000-0000-0000-0000-000000000009"},
        {"name": "old", "namespace": drplan.namespace, "uid": uid},
        {"name": "old", "namespace": OWN},
        *({"name": each, "namespace": drplan.namespace} for each in impossible),
    ]
    for name, holder in zip(names, holders, strict=True):
        attacker.edit(name, setting(currentExecution=holder), "drplans")
        drplan.run(f"{name}-new", name)
        assert drplan.wait_unlocked(name)["lastExecutionRef"] == f"{name}-new"


def test_an_ended_execution_that_says_it_never_began_does_not_run_again(
    drplan: Installation, attacker: Attacker
) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.apply(workflow("w", [http_action("call", f"{url}/call")]), plan("p", [stage("s", "w")]))
    drplan.run("run", "p")
    drplan.wait_unlocked("p")
    with without_controller(drplan):
        put_status(drplan, "drplanexecutions", "run", {})
        attacker.edit("p", without("executionHistory"), "drplans")
    drplan.wait(lambda: drplan.status("run").get("phase") == "Succeeded")
    assert len(drplan.site.calls(f"/{ns}/call")) == 1
