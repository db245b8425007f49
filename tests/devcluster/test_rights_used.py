"""The audit of rights over all tests: what counts as used, what as refused, and how a run ends that has a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devcluster.audit import AuditLog
from tests.support.cluster import REPOSITORY
from tests.support.rights import OURS, Grant, Ledger, granted, product_grants

ROLE = {
    "kind": "ClusterRole",
    "metadata": {"name": "drplan-controller"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
}
OWN = {
    "kind": "Role",
    "metadata": {"name": "drplan-controller", "namespace": "drplan-system"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get"]}],
}
TARGETS = {"kind": "ClusterRole", "metadata": {"name": "drplan-dev-targets"}, "rules": ROLE["rules"]}
GET = Grant("controller", "get", "", "configmaps")
LIST = Grant("controller", "list", "", "configmaps")
GET_MINE = Grant("controller", "get", "", "configmaps", "drplan-system", ("mine",))


def _entry(verb: str, resource: str, namespace: str, name: str = "", **more: Any) -> str:
    event = {
        "verb": verb,
        "user": {"username": more.get("user", f"{OURS}controller")},
        "objectRef": {"resource": resource, "namespace": namespace, "name": name},
        "responseStatus": {"code": more.get("code", 200)},
        "requestURI": "/",
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "userAgent": more.get("agent", "drplan/x"),
        "annotations": {
            "authorization.k8s.io/decision": more.get("decision", "allow"),
            "authorization.k8s.io/reason": f'RBAC: allowed by {more.get("by", "none")} to ServiceAccount "x/y"',
        },
    }
    return json.dumps(event) + "\n"


def _ledger(tmp_path: Path, *entries: str) -> Ledger:
    log = tmp_path / "audit.log"
    log.write_text("".join(entries))
    return Ledger.of(AuditLog(log), granted([ROLE, OWN]))


def test_grants_are_single_verbs_without_the_admins_choice() -> None:
    assert granted([ROLE, OWN, TARGETS]) == [GET, GET_MINE, LIST]
    assert str(GET_MINE) == "controller: get configmaps named mine in drplan-system"


def test_a_request_uses_the_right_for_its_namespace(tmp_path: Path) -> None:
    assert _ledger(tmp_path, _entry("get", "configmaps", "team", "x")).used == {str(GET)}
    assert _ledger(tmp_path, _entry("get", "configmaps", "drplan-system", "mine")).used == {str(GET_MINE)}


def test_only_requests_of_the_processes_count(tmp_path: Path) -> None:
    admin = _entry("list", "configmaps", "team", user="admin")
    borrowed = _entry("get", "configmaps", "team", agent="kubectl/v1")
    assert _ledger(tmp_path, admin, borrowed).unused([GET, LIST]) == [str(GET), str(LIST)]


def test_refusals_by_rbac_are_told_and_others_are_not(tmp_path: Path) -> None:
    denied = _entry("delete", "configmaps", "team", "x", code=403, decision="forbid")
    by_admission = _entry("get", "configmaps", "team", "x", code=403)
    assert _ledger(tmp_path, denied, by_admission).refused == {"controller: delete configmaps team/x (drplan/x)"}


def test_a_refusal_of_what_is_granted_is_the_api_servers_own_matter(tmp_path: Path) -> None:
    early = _entry("get", "configmaps", "team", "x", code=403, decision="forbid")
    assert _ledger(tmp_path, early).refused == set()


def test_meant_refusals_are_not_told(tmp_path: Path) -> None:
    assert _ledger(tmp_path, _entry("create", "secrets", "team", code=403, decision="forbid")).refused == set()


@pytest.mark.parametrize(
    ("verb", "namespace"), [("get", "team"), ("delete", "team"), ("list", ""), ("create", "drplan-system")]
)
def test_a_meant_refusal_excuses_no_other_verb_or_place(tmp_path: Path, verb: str, namespace: str) -> None:
    [line] = _ledger(tmp_path, _entry(verb, "secrets", namespace, code=403, decision="forbid")).refused
    assert line == f"controller: {verb} secrets {namespace}/ (drplan/x)"


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "name"),
    [
        ("patch", "configmaps", "drplan-system", "drplan-journal-0"),
        ("create", "configmaps", "drplan-system", ""),
        ("watch", "configmaps", "", ""),
        ("watch", "configmaps", "team", ""),
        ("list", "namespaces", "", ""),
        ("get", "namespaces", "drplan-system", "drplan-system"),
        ("list", "nodes", "", ""),
        ("deletecollection", "configmaps", "team", "x"),
        ("get", "pods", "team", "x"),
    ],
)
def test_what_only_development_rights_allow_is_told(
    tmp_path: Path, verb: str, resource: str, namespace: str, name: str
) -> None:
    ledger = _ledger(tmp_path, _entry(verb, resource, namespace, name))
    assert ledger.ungranted == {f"controller: {verb} {resource} {namespace}/{name} (drplan/x)"}


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ('ClusterRoleBinding "test-1-databases" of ClusterRole "test-1-databases"', False),
        ('RoleBinding "databases/team" of Role "databases"', False),
        ('ClusterRoleBinding "drplan-dev-targets" of ClusterRole "drplan-dev-targets"', True),
        ('RoleBinding "drplan-controller/drplan-system" of Role "drplan-controller"', True),
        ('ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery"', True),
    ],
)
def test_what_a_test_has_granted_itself_is_not_told(tmp_path: Path, by: str, told: bool) -> None:
    ledger = _ledger(tmp_path, _entry("list", "databases", "team", "orders", by=by))
    assert bool(ledger.ungranted) is told


def test_the_account_of_helm_test_is_not_audited(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, _entry("create", "drworkflows", "drplan-system", "x", user=f"{OURS}selftest"))
    assert (ledger.ungranted, ledger.refused) == (set(), set())


def test_the_webhook_has_no_targets(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, _entry("patch", "configmaps", "team", "x", user=f"{OURS}webhook"))
    assert ledger.ungranted == {"webhook: patch configmaps team/x (drplan/x)"}


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "name"),
    [
        ("get", "configmaps", "drplan-system", "mine"),
        ("list", "configmaps", "drplan-system", ""),
        ("list", "configmaps", "", ""),
        ("patch", "configmaps", "team", "x"),
        ("create", "services", "team", ""),
        ("watch", "configmaps", "team", "x"),
        ("get", "namespaces", "team", "team"),
    ],
)
def test_what_the_product_may_and_targets_of_actions_are_not_told(
    tmp_path: Path, verb: str, resource: str, namespace: str, name: str
) -> None:
    assert _ledger(tmp_path, _entry(verb, resource, namespace, name)).ungranted == set()


def test_ledgers_of_several_control_planes_add_up(tmp_path: Path) -> None:
    Ledger({str(GET)}, {"a"}).write(tmp_path / "one.yaml")
    Ledger({str(LIST)}, set(), {"b"}).write(tmp_path / "two.yaml")
    both = Ledger.read(tmp_path)
    assert (both.unused([GET, LIST]), both.refused, both.ungranted) == ([], {"a"}, {"b"})


def _run(tmp_path: Path, ledger: Ledger, *arguments: str) -> subprocess.CompletedProcess[str]:
    ledger.write(tmp_path / "ledger.yaml")
    (tmp_path / "test_it.py").write_text(
        "import os, shutil\n"
        f"def test_it():\n    shutil.copy({str(tmp_path / 'ledger.yaml')!r}, os.environ['DRPLAN_TEST_RIGHTS'])\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = .\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.rights_used", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)


def test_a_run_with_a_refusal_fails(tmp_path: Path) -> None:
    answer = _run(tmp_path, Ledger(set(), {"webhook: list pods"}), "test_it.py")
    assert answer.returncode == 1
    assert "refused, and not meant: webhook: list pods" in answer.stdout
    assert "used by no test" not in answer.stdout, "it was not the whole suite"


def test_a_run_with_a_right_of_development_only_fails(tmp_path: Path) -> None:
    answer = _run(tmp_path, Ledger(set(), set(), {"controller: patch configmaps"}), "test_it.py")
    assert answer.returncode == 1
    assert "allowed by development rights only: controller: patch configmaps" in answer.stdout


def test_a_whole_run_with_an_unused_right_fails(tmp_path: Path) -> None:
    *others, unused = [str(grant) for grant in product_grants()]
    answer = _run(tmp_path, Ledger(set(others), set()))
    assert answer.returncode == 1
    assert f"granted, but used by no test: {unused}\n" in answer.stdout
    assert answer.stdout.count("used by no test") == 1


def test_a_whole_run_that_uses_every_right_passes(tmp_path: Path) -> None:
    answer = _run(tmp_path, Ledger({str(grant) for grant in product_grants()}, set()))
    assert answer.returncode == 0, answer.stdout
