"""Who has the token of the admission service cannot turn the admission of the cluster to something else.

With the service's real account and the chart's rights and policy, on a real API server. All changes are dry runs, which
admission judges like others.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.kube import registrations
from devcluster.api import APPLY, Api
from devcluster.identities import NAMESPACE
from tests.chart.support import render
from tests.devcluster.support import until
from tests.support.cluster import Cluster

Json = dict[str, Any]
ROOT = "/apis/admissionregistration.k8s.io/v1"
MUTATING = f"{ROOT}/mutatingwebhookconfigurations"
VALIDATING = f"{ROOT}/validatingwebhookconfigurations"
OWN = (f"{MUTATING}/{registrations.MUTATING_NAME}", f"{VALIDATING}/{registrations.VALIDATING_NAME}")
CA = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nnew\n-----END CERTIFICATE-----\n").decode()
SECONDS = 30.0
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
POLICY = "ValidatingAdmissionPolicy 'drplan-webhook-registrations'"


@dataclass
class Webhook:
    """The admission service's account."""

    api: Api
    ca: str
    """A caBundle that the API server takes."""

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, str]:
        mark = "&" if "?" in path else "?"
        status, answer = self.api.raw(method, f"{path}{mark}dryRun=All", body, content_type)
        return status, json.loads(answer).get("message", "")


@pytest.fixture(scope="module")
def webhook(installed: Cluster) -> Iterator[Webhook]:
    """The account, once the chart's policy holds."""
    policies = [item for item in render() if item["kind"].startswith("ValidatingAdmissionPolicy")]
    assert len(policies) == 2
    for item in policies:
        installed.api.apply(item)
    token = installed.plane.identity("webhook").token
    stored = installed.api.get(OWN[0])
    account = Webhook(
        Api(installed.plane.server, installed.plane.authority.pem, token or ""),
        base64.b64encode(installed.plane.authority.pem).decode(),
    )
    assert stored["webhooks"]
    until(lambda: POLICY in account.send("PATCH", OWN[1], {"metadata": {"labels": {"a": "b"}}}, MERGE)[1], SECONDS)
    yield account
    for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        installed.api.request("DELETE", f"{ROOT}/{plural}/drplan-webhook-registrations")


def changed(stored: Json, change: Callable[[Json], object]) -> Json:
    """What was read, with a change, as a merge patch that replaces the list of webhooks."""
    body = copy.deepcopy(stored)
    change(body)
    return {"metadata": body["metadata"], "webhooks": body.get("webhooks")}


def hooks(change: Callable[[Json], object]) -> Callable[[Json], object]:
    """A change of the last webhook."""
    return lambda body: change(body["webhooks"][-1])


def metadata(**members: Any) -> Callable[[Json], object]:
    return lambda body: body["metadata"].update(members)


SERVICE = {"namespace": "elsewhere", "name": "other", "path": "/validate", "port": 443}
LABELLED = {"matchLabels": {"nobody": "has-this"}}
NEVER = [{"name": "never", "expression": "false"}]
READS_SECRETS = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE", "UPDATE"]}
CHANGES: dict[str, Callable[[Json], object]] = {
    "url": hooks(lambda hook: hook["clientConfig"].update(url="https://attacker.example/")),
    "service": hooks(lambda hook: (hook["clientConfig"].pop("url"), hook["clientConfig"].update(service=SERVICE))),
    "everything": hooks(lambda hook: hook["rules"][0].update(apiGroups=["*"], apiVersions=["*"], resources=["*"])),
    "secrets too": hooks(lambda hook: hook["rules"].append(READS_SECRETS)),
    "fewer operations": hooks(lambda hook: hook["rules"][0].update(operations=["DELETE"])),
    "scope": hooks(lambda hook: hook["rules"][0].update(scope="Cluster")),
    "failure policy": hooks(lambda hook: hook.update(failurePolicy="Ignore")),
    "match policy": hooks(lambda hook: hook.update(matchPolicy="Exact")),
    "namespace selector": hooks(lambda hook: hook.update(namespaceSelector=LABELLED)),
    "object selector": hooks(lambda hook: hook.update(objectSelector=LABELLED)),
    "match conditions": hooks(lambda hook: hook.update(matchConditions=NEVER)),
    "side effects": hooks(lambda hook: hook.update(sideEffects="NoneOnDryRun")),
    "timeout": hooks(lambda hook: hook.update(timeoutSeconds=1)),
    "name": hooks(lambda hook: hook.update(name="x.kb.io")),
    "a webhook more": lambda body: body["webhooks"].append({**body["webhooks"][0], "name": "more.kb.io"}),
    "a webhook less": lambda body: body["webhooks"].pop(),
    "no webhook": lambda body: body.update(webhooks=[]),
    "other order": lambda body: body["webhooks"].reverse(),
    "labels": metadata(labels={"app": "mine"}),
    "annotations": metadata(annotations={"cert-manager.io/inject-ca-from": "mine/mine"}),
    "finalizers": metadata(finalizers=["example.com/never"]),
    "owner": metadata(ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]),
}  # fmt: skip


@pytest.mark.parametrize("own", OWN, ids=["mutating", "validating"])
def test_nothing_of_its_registrations_can_be_changed_but_the_ca_bundle(
    installed: Cluster, webhook: Webhook, own: str
) -> None:
    stored = installed.api.get(own)
    accepted = changed(
        stored, lambda body: [hook["clientConfig"].update(caBundle=webhook.ca) for hook in body["webhooks"]]
    )
    assert webhook.send("PATCH", own, accepted, MERGE)[0] == 200
    strategic = {"webhooks": [{"name": stored["webhooks"][0]["name"], "clientConfig": {"caBundle": webhook.ca}}]}
    assert webhook.send("PATCH", own, strategic, STRATEGIC)[0] == 200
    removed = changed(stored, hooks(lambda hook: hook["clientConfig"].pop("caBundle")))
    assert webhook.send("PATCH", own, removed, MERGE)[0] == 200
    every: dict[str, Json] = {name: changed(stored, change) for name, change in CHANGES.items()}
    if own == OWN[0]:
        every["reinvocation"] = changed(stored, hooks(lambda hook: hook.update(reinvocationPolicy="IfNeeded")))
    for name, body in every.items():
        if body == changed(stored, lambda _: None):
            raise AssertionError(f"{name} changes nothing")
        status, message = webhook.send("PATCH", own, body, MERGE)
        assert (status, POLICY in message) == (422, True), (name, status, message)
    both = changed(accepted | {"metadata": stored["metadata"]}, CHANGES["url"])
    assert POLICY in webhook.send("PATCH", own, both, MERGE)[1], "nor in the company of a caBundle"


def test_no_other_way_of_writing_leads_round_it(installed: Cluster, webhook: Webhook) -> None:
    for own in OWN:
        patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": "https://attacker.example/"}]
        assert POLICY in webhook.send("PATCH", own, patch, JSON_PATCH)[1]
        name = installed.api.get(own)["webhooks"][0]["name"]
        strategic = {"webhooks": [{"name": name, "$patch": "delete"}]}
        assert POLICY in webhook.send("PATCH", own, strategic, STRATEGIC)[1]
        kind = "MutatingWebhookConfiguration" if own == OWN[0] else "ValidatingWebhookConfiguration"
        applied = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": own.rpartition("/")[2]},
            "webhooks": [{"name": name, "failurePolicy": "Ignore"}],
        }
        status, message = webhook.send("PATCH", f"{own}?fieldManager=x&force=true", applied, APPLY)
        assert status in (403, 422), message
        assert POLICY in message or "denied" in message
        whole = installed.api.get(own)
        assert webhook.send("PUT", own, whole)[0] == 403
        assert webhook.send("DELETE", own)[0] == 403
    for collection in (MUTATING, VALIDATING):
        assert webhook.send("DELETE", collection)[0] == 403
        assert webhook.send("GET", collection)[0] == 403
        assert webhook.send("POST", collection, {**installed.api.get(OWN[0]), "metadata": {"name": "x"}})[0] in (
            400,
            403,
        )
        assert webhook.send("PATCH", f"{collection}/other", {"webhooks": []}, MERGE)[0] == 403
    for policy in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        assert webhook.send("DELETE", f"{ROOT}/{policy}/drplan-webhook-registrations")[0] == 403
        assert webhook.send("PATCH", f"{ROOT}/{policy}/drplan-webhook-registrations", {"spec": {}}, MERGE)[0] == 403


def test_of_secrets_it_has_its_own_two_and_makes_none(installed: Cluster, webhook: Webhook) -> None:
    secrets = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    annotations = {"kubernetes.io/service-account.name": "drplan-controller"}
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "t", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }
    assert webhook.send("POST", secrets, token)[0] == 403
    for name in ("drplan-webhook-tls", "drplan-webhook-authority"):
        named = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        assert webhook.send("POST", secrets, named)[0] == 403
        assert webhook.send("GET", f"{secrets}/{name}")[0] in (200, 404)
        assert webhook.send("DELETE", f"{secrets}/{name}")[0] == 403
    assert webhook.send("GET", secrets)[0] == 403
    assert webhook.send("GET", f"{secrets}/other")[0] == 403
    assert webhook.send("GET", "/api/v1/namespaces/default/secrets/drplan-webhook-tls")[0] == 403
    for account in ("drplan-controller", "drplan-webhook"):
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
        assert (
            webhook.send("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})[
                0
            ]
            == 403
        )


def test_more_rights_do_not_help_it(installed: Cluster, webhook: Webhook) -> None:
    """The policy holds by itself, if somebody gives the account more by mistake."""
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "drplan-dev-by-mistake"}}
    rule = {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]}
    subject = {"kind": "ServiceAccount", "name": "drplan-webhook", "namespace": NAMESPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "drplan-dev-by-mistake"}
    installed.apply([{**rbac, "kind": "ClusterRole", "rules": [rule]},
                     {**rbac, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]}])  # fmt: skip
    try:
        until(lambda: webhook.send("GET", MUTATING)[0] == 200, SECONDS)
        for own in OWN:
            whole = installed.api.get(own)
            whole["webhooks"][0]["failurePolicy"] = "Ignore"
            collection, _, name = own.rpartition("/")
            new = {**whole, "metadata": {"name": "other"}}
            for method, path, body in (("PUT", own, whole), ("DELETE", own, None), ("POST", collection, new)):
                status, message = webhook.send(method, path, body)
                assert (status, POLICY in message) == (422, True), (method, status, message)
            assert POLICY in webhook.send("DELETE", f"{collection}?fieldSelector=metadata.name={name}")[1]
    finally:
        for kind in ("clusterrolebindings", "clusterroles"):
            installed.api.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/{kind}/drplan-dev-by-mistake")
