"""What a user of kubectl reads when admission refuses or warns: create, apply, edit, patch, delete and dry runs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster import register_webhooks, start_webhook, unregister_webhooks
from tests.support.cluster import Cluster, Kubectl
from tests.support.installation import execution, http_action, plan, stage, workflow

Json = dict[str, Any]
HOOKS = {"drw": "vdrworkflow.kb.io", "drp": "vdrplan.kb.io", "drpe": "vdrplanexecution.kb.io"}
URL = "http://127.0.0.1:9/"
GOOD = workflow("w", [http_action("database", URL), http_action("b", URL)])


def reading(name: str, **members: str) -> Json:
    """A parameter that is read from a ConfigMap."""
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "sites", "jsonPath": "{.data.site}"}
    return {"name": "site", "valueFrom": {"manifestRef": {**reference, "name": name, **members}}}


class User:
    """kubectl in one namespace, in which workflow w and plan p are stored."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def run(self, *arguments: str, **more: Any) -> Kubectl:
        return self.cluster.kubectl(*arguments, namespace=self.namespace, check=False, **more)

    def done(self, *arguments: str, **more: Any) -> Kubectl:
        answer = self.run(*arguments, **more)
        assert answer.rc == 0, answer.text
        return answer


@pytest.fixture(scope="module")
def admission(cluster: Cluster) -> Iterator[Cluster]:
    service = start_webhook(cluster.plane, name="webhook-kubectl")
    try:
        register_webhooks(cluster.plane, service)
        yield cluster
    finally:
        unregister_webhooks(cluster.plane)
        service.stop()


@pytest.fixture
def user(admission: Cluster, namespace: str) -> User:
    user = User(admission, namespace)
    for obj in (GOOD, plan("p", [stage("s", "w")])):
        user.done("create", "-f", "-", stdin=obj)
    return user


def denied(kind: str, finding: str) -> str:
    return f'admission webhook "{HOOKS[kind]}" denied the request: validation failed: [{finding}]'


REFUSED: dict[str, tuple[str, Json, str]] = {
    "workflow: duplicate name": (
        "drw",
        workflow("new", [http_action("a", URL), http_action("a", URL)]),
        "action[1]: duplicate action name 'a'",
    ),
    "workflow: no url": ("drw", workflow("new", [http_action("a", "")]), "action[0] 'a': HTTP.URL is required"),
    "plan: duplicate stage": (
        "drp",
        plan("new", [stage("s", "w"), stage("s", "w")]),
        "stage[1]: duplicate stage name 's'",
    ),
    "execution: no plan": (
        "drpe",
        execution("new", "gone"),
        'plan gone not found: drplans.dr.bkbcs.tencent.com "gone" not found',
    ),
    "workflow: reference to an output": (
        "drw",
        workflow("new", [http_action("a", URL)], parameters=[reading("$(outputs.a.body)")]),
        "parameter[0](site).valueFrom.manifestRef: $(outputs.a.body) in name cannot be resolved: references are read "
        "before the first action, when there are no outputs",
    ),
    "plan: selector of a reference": (
        "drp",
        plan("new", [stage("s", "w")], globalParams=[reading("", labelSelector="app in (a")]),
        'globalParams[0](site).valueFrom.manifestRef: labelSelector cannot be parsed: "app in (a" is no requirement '
        "such as a=b, a!=b, a, !a or a in (b,c)",
    ),
    "execution: reference with a placeholder": (
        "drpe",
        execution("new", "p", params=[reading("$(params.region)")]),
        "params[0](site).valueFrom.manifestRef: name has a placeholder; a reference of an execution says by itself "
        "what is read",
    ),
    "execution: nothing to revert": (
        "drpe",
        execution("new", "p", "Revert"),
        "revertExecutionRef is required for Revert operation",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_create_apply_and_dry_run_refuse_alike_and_store_nothing(user: User, case: str) -> None:
    kind, obj, finding = REFUSED[case]
    for verb in (("create",), ("apply",), ("create", "--dry-run=server"), ("apply", "--dry-run=server")):
        answer = user.run(*verb, "-f", "-", stdin=obj)
        assert answer.rc == 1
        assert denied(kind, finding) in answer.stderr
        assert "Forbidden" in answer.stderr
    assert user.done("get", kind, "new", "--ignore-not-found", "-o", "name").stdout == ""


def test_a_misspelt_stage_is_answered_with_the_name_that_was_meant(user: User) -> None:
    obj = plan("new", [stage("database", "w"), stage("web", "w", dependsOn=["databse"])])
    answer = user.run("create", "-f", "-", stdin=obj)
    assert "depends on non-existent stage 'databse'" in answer.stderr
    assert "did you mean 'database'?" in answer.stderr


@pytest.mark.parametrize(
    ("kind", "name", "spec", "text"),
    [
        ("drw", "w", {"actions": [http_action("a", "")]}, "action[0] 'a': HTTP.URL is required"),
        ("drp", "p", {"stages": [stage("s", "w"), stage("s", "w")]}, "stage[1]: duplicate stage name 's'"),
    ],
)
def test_patch_is_refused_and_changes_nothing(user: User, kind: str, name: str, spec: Json, text: str) -> None:
    before = user.done("get", kind, name, "-o", "json").json()["spec"]
    answer = user.run("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))
    assert answer.rc == 1
    assert denied(kind, text) in answer.stderr
    assert user.done("get", kind, name, "-o", "json").json()["spec"] == before


def test_the_spec_of_an_execution_stays_as_it_was_created(user: User) -> None:
    user.done("create", "-f", "-", stdin=execution("e", "p"))
    answer = user.run("patch", "drpe", "e", "--type=merge", "-p", '{"spec":{"mode":"Install"}}')
    assert answer.rc == 1
    assert f'"{HOOKS["drpe"]}" denied the request: cannot modify spec after creation' in answer.stderr


def editor(folder: Path, old: str, new: str) -> dict[str, str]:
    """Environment with an editor that replaces a text once; when it is opened again it saves nothing new."""
    script = folder / "edit.py"
    script.write_text(
        "import pathlib, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        f"file.write_text(file.read_text().replace({old!r}, {new!r}))\n"
    )
    return {"KUBE_EDITOR": f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"}


def test_edit_is_refused_with_the_finding_and_the_edit_is_kept(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in editor(tmp_path, "name: database", "name: b").items():
        monkeypatch.setenv(name, value)
    answer = user.run("edit", "drw", "w")
    assert answer.rc == 1
    assert "action[1]: duplicate action name 'b'" in answer.text
    names = [a["name"] for a in user.done("get", "drw", "w", "-o", "json").json()["spec"]["actions"]]
    assert names == ["database", "b"]


def test_edit_with_a_good_change_is_stored(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in editor(tmp_path, "name: database", "name: store").items():
        monkeypatch.setenv(name, value)
    assert "edited" in user.done("edit", "drw", "w").stdout
    assert user.done("get", "drw", "w", "-o", "json").json()["spec"]["actions"][0]["name"] == "store"


def test_delete_of_what_is_in_use_is_refused_with_a_warning_also_as_a_dry_run(user: User) -> None:
    ns = user.namespace
    refusal = f"cannot delete DRWorkflow {ns}/w: referenced by DRPlan(s): [{ns}/p]"
    for flags in ((), ("--dry-run=server",)):
        answer = user.run("delete", "drw", "w", *flags)
        assert answer.rc == 1
        assert f'Error from server (Forbidden): admission webhook "{HOOKS["drw"]}" denied the request: {refusal}' in (
            answer.stderr
        )
        assert "Warning: Workflow is referenced by 1 plan(s)" in answer.stderr
    user.done("create", "-f", "-", stdin=execution("e", "p"))
    answer = user.run("delete", "drp", "p")
    assert f"cannot delete DRPlan {ns}/p: has running executions: [{ns}/e (phase=)]" in answer.stderr
    assert "Warning: Plan has 1 running execution(s)" in answer.stderr


def test_a_second_execution_is_refused_naming_the_first(user: User) -> None:
    user.done("create", "-f", "-", stdin=execution("e", "p"))
    answer = user.run("create", "-f", "-", stdin=execution("second", "p"))
    assert denied("drpe", f"plan p already has a running execution: {user.namespace}/e") in answer.stderr
