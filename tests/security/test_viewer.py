"""Who may write one kind, or only look, and list nothing: no refusal names what they may not list.

On a real API server, with both processes running; the users are real ones with just the rights named here.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from typing import Any

from devcluster.api import wait_for
from devcluster.identities import Identity
from tests.support.cluster import Cluster
from tests.support.installation import Installation, execution, http_action, plan, revert, stage, workflow

Json = dict[str, Any]
GROUP = "dr.bkbcs.tencent.com"


def user(cluster: Cluster, namespace: str, verbs: Sequence[str], *resources: str) -> Identity:
    """A user who may do this with these kinds in one namespace, and nothing else anywhere."""
    name = f"viewer-{uuid.uuid4().hex[:8]}"
    identity = cluster.plane.add_user(name)
    rule = {"apiGroups": [GROUP], "resources": list(resources), "verbs": list(verbs)}
    meta = {"name": name, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    cluster.api.apply({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": [rule]})
    cluster.api.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": name}],
        }
    )
    for verb, resource in itertools.product(verbs, resources):
        wait_for(lambda verb=verb, resource=resource: _may(cluster, name, verb, resource, namespace), 20, f"{verb}")  # type: ignore[misc]
    return identity


def _may(cluster: Cluster, name: str, verb: str, resource: str, namespace: str) -> bool:
    attributes = {"verb": verb, "group": GROUP, "resource": resource, "namespace": namespace}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    spec = {"user": name, "groups": ["system:authenticated"], "resourceAttributes": attributes}
    answer = cluster.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {**body, "spec": spec})
    return bool(answer["status"]["allowed"])


def refused(cluster: Cluster, who: Identity, namespace: str, *command: str, obj: Json | None = None) -> str:
    """What kubectl says to a user whose command admission refuses."""
    answer = cluster.kubectl(*command, stdin=obj, identity=who.name, namespace=namespace, check=False)
    assert answer.rc != 0, answer.text
    assert "denied the request" in answer.stderr, answer.stderr
    return answer.stderr


def test_near_names_are_told_to_who_may_list_them(drplan: Installation) -> None:
    cluster, namespace = drplan.cluster, drplan.namespace
    drplan.apply(workflow("hidden-switch", [http_action("a", "http://127.0.0.1:9/")]))
    drplan.apply(plan("hidden-plan", [stage("s", "hidden-switch")]))
    blind = user(cluster, namespace, ["create"], "drplans", "drplanexecutions")
    seeing = user(cluster, namespace, ["create", "list"], "drplans", "drplanexecutions", "drworkflows")
    sent = (
        (plan("mine", [stage("s", "hidden-swtch")]), "hidden-switch"),
        (execution("mine", "hidden-plen"), "hidden-plan"),
    )
    for obj, name in sent:
        create = ("create", "-f", "-")
        assert f"did you mean '{name}'" in refused(cluster, seeing, namespace, *create, obj=obj)
        told = refused(cluster, blind, namespace, *create, obj=obj)
        assert "not found" in told
        assert name not in told


def test_blockers_of_a_deletion_are_named_to_who_may_list_them(drplan: Installation) -> None:
    cluster, namespace = drplan.cluster, drplan.namespace
    other = cluster.namespace("elsewhere")
    drplan.apply(
        workflow("w", [http_action("a", f"{drplan.site.url}/{namespace}/held")]), plan("own", [stage("s", "w")])
    )
    uses = {"workflowRef": {"name": "w", "namespace": namespace}}
    cluster.apply([plan("secret-plan", [stage("s", uses)])], namespace=other)
    deleter = user(cluster, namespace, ["get", "delete"], "drworkflows", "drplans")
    partly = user(cluster, namespace, ["get", "delete", "list"], "drworkflows", "drplans")
    told = refused(cluster, deleter, namespace, "delete", "drw", "w", "--wait=false")
    assert "[2 that you may not list]" in told
    told = refused(cluster, partly, namespace, "delete", "drw", "w", "--wait=false")
    assert f"[{namespace}/own 1 that you may not list]" in told
    assert other not in told
    assert "secret-plan" not in told
    admin = cluster.kubectl("delete", "drw", "w", "--wait=false", namespace=namespace, check=False)
    assert f"{other}/secret-plan" in admin.stderr


def test_the_execution_that_runs_is_named_to_who_may_list_executions(drplan: Installation) -> None:
    cluster, namespace = drplan.cluster, drplan.namespace
    drplan.site.hold(f"/{namespace}/held")
    drplan.apply(workflow("w", [http_action("a", f"{drplan.site.url}/{namespace}/held")]), plan("p", [stage("s", "w")]))
    drplan.apply(execution("secret-run", "p"))
    drplan.wait_phase("secret-run", "Running")
    blind = user(cluster, namespace, ["create", "get", "delete"], "drplans", "drplanexecutions")
    try:
        for command, obj in (
            (("create", "-f", "-"), execution("mine", "p")),
            (("create", "-f", "-"), revert("back", "p", "none")),
            (("delete", "drp", "p", "--wait=false"), None),
        ):
            told = refused(cluster, blind, namespace, *command, obj=obj)
            assert "running execution" in told
            assert "secret-run" not in told
        admin = cluster.kubectl("delete", "drp", "p", "--wait=false", namespace=namespace, check=False)
        assert f"{namespace}/secret-run" in admin.stderr
    finally:
        drplan.site.let_go(f"/{namespace}/held")


def test_a_viewer_changes_nothing(drplan: Installation) -> None:
    cluster, namespace = drplan.cluster, drplan.namespace
    drplan.apply(workflow("w", [http_action("a", "http://127.0.0.1:9/")]))
    viewer = user(cluster, namespace, ["get", "list", "watch"], "drworkflows", "drplans", "drplanexecutions")
    for command, obj in (
        (("create", "-f", "-"), execution("mine", "p")),
        (("annotate", "drw", "w", "a=b"), None),
        (("delete", "drw", "w", "--wait=false"), None),
    ):
        answer = cluster.kubectl(*command, stdin=obj, identity=viewer.name, namespace=namespace, check=False)
        assert "forbidden" in answer.stderr.lower(), answer.text
    assert cluster.kubectl("get", "drw", "w", identity=viewer.name, namespace=namespace).rc == 0
