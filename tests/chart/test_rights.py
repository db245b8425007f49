"""The chart's rights are those that every test of the running product has."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.cluster import REPOSITORY

from .support import render

TESTED = REPOSITORY / "devcluster" / "manifests" / "rbac.yaml"
Rights = dict[tuple[str, str], Any]


def rights(documents: list[dict[str, Any]]) -> Rights:
    """What each Role and binding says, by kind and name."""
    said = ("rules", "roleRef", "subjects")
    return {
        (item["kind"], item["metadata"]["name"]): {key: item[key] for key in said if key in item}
        for item in documents
        if item["apiVersion"].startswith("rbac.authorization.k8s.io/") and "drplan-dev-" not in item["metadata"]["name"]
    }


def resources(rights: Rights) -> set[str]:
    return {
        f"{group}/{name}"
        for right in rights.values()
        for rule in right.get("rules", ())
        for group in rule["apiGroups"]
        for name in rule["resources"]
    }


def test_they_are_the_rights_that_tests_run_with() -> None:
    tested = [document for document in yaml.safe_load_all(TESTED.read_text()) if document]
    assert rights(render("rbac.readReferences=true")) == rights(tested)


def test_by_default_nothing_is_read_for_actions_and_nobody_else_gets_a_right() -> None:
    found = rights(render())
    assert not {"/secrets", "/configmaps"} & resources({("", ""): found["ClusterRole", "drplan-controller"]})
    accounts = {subject["name"] for right in found.values() for subject in right.get("subjects", ())}
    assert accounts == {"drplan-controller", "drplan-webhook"}
    aggregated = rights(render("rbac.aggregate=true"))
    assert "use" in {verb for rule in aggregated["ClusterRole", "drplan-edit"]["rules"] for verb in rule["verbs"]}
    assert sorted(name for kind, name in aggregated.keys() - found.keys()) == [
        "drplan-admin",
        "drplan-edit",
        "drplan-view",
    ]


def test_references_are_read_in_the_namespaces_that_are_named() -> None:
    documents = render("rbac.readReferencesIn={shop,bank,shop}")
    made = [item for item in documents if item["metadata"]["name"] == "drplan-controller-references"]
    assert sorted((item["kind"], item["metadata"]["namespace"]) for item in made) == [
        ("Role", "bank"),
        ("Role", "shop"),
        ("RoleBinding", "bank"),
        ("RoleBinding", "shop"),
    ]
    verbs = {(name, verb) for role in made if role["kind"] == "Role" for rule in role["rules"]
             for name in rule["resources"] for verb in rule["verbs"]}  # fmt: skip
    assert verbs == {("secrets", "get"), ("configmaps", "get"), ("configmaps", "list")}
    everywhere = render("rbac.readReferences=true", "rbac.readReferencesIn={shop}")
    assert not any(item["metadata"]["name"] == "drplan-controller-references" for item in everywhere)


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ("rbac.clusternet=false", "apps.clusternet.io/subscriptions"),
        ("rbac.readReferences=false", None),
        ("api.enabled=false", "authentication.k8s.io/tokenreviews"),
        ("webhook.certificate.mode=cert-manager", "admissionregistration.k8s.io/mutatingwebhookconfigurations"),
        ("webhook.enabled=false", "authorization.k8s.io/subjectaccessreviews"),
    ],
)
def test_what_is_turned_off_is_not_granted(value: str, gone: str | None) -> None:
    reads = "rbac.readReferences=true"
    everything, less = rights(render(reads)), rights(render(reads, value))
    assert less != everything
    if gone is not None:
        assert gone in resources(everything)
        assert gone not in resources(less)


def test_nothing_is_granted_by_wildcard() -> None:
    for right in rights(render()).values():
        for rule in right.get("rules", ()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_extra_rules_become_a_role_of_the_controller() -> None:
    found = rights(
        render(
            "rbac.extraRules[0].apiGroups={apps}",
            "rbac.extraRules[0].resources={deployments}",
            "rbac.extraRules[0].verbs={get,patch}",
        )
    )
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}
    assert found["ClusterRole", "drplan-controller-targets"]["rules"] == [rule]
    [subject] = found["ClusterRoleBinding", "drplan-controller-targets"]["subjects"]
    assert subject["name"] == "drplan-controller"
