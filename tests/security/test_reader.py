"""Who may create executions, plans or workflows, and no more, has nothing read that they may not read themselves.

On a real API server, with both processes running; the attackers are real accounts with just the rights named here.
"""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import dataclass
from typing import Any

import pytest

from devcluster.api import Api
from devcluster.rights import EFFECTIVE_SECONDS, RBAC, bind
from tests.security.chart_rights import may_touch, read_references_in
from tests.support.cluster import Cluster
from tests.support.installation import (
    API,
    Installation,
    config_map_action,
    execution,
    http_action,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Site

Json = dict[str, Any]
GROUP = "dr.bkbcs.tencent.com"
CONFLICT = 409
"""Somebody else, such as the controller, has just written the object."""
_NUMBERS = itertools.count(1)


def config_map(name: str, namespace: str, kind: str = "ConfigMap", **data: str) -> Json:
    text = {"stringData" if kind == "Secret" else "data": data}
    labels = {"labels": {"team": namespace.partition("-")[0]}}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace, **labels}, **text}


def ref(kind: str, namespace: str, name: str = "", **more: str) -> Json:
    found = {"apiVersion": "v1", "kind": kind, "namespace": namespace, "name": name, "jsonPath": "{.metadata.uid}"}
    return {"manifestRef": {key: value for key, value in {**found, **more}.items() if value}}


def param(name: str, source: Json) -> Json:
    return {"name": name, "valueFrom": source}


@dataclass
class Attacker:
    """An account in the shop's namespace with some rights there."""

    api: Api
    namespace: str
    username: str

    def send(self, method: str, obj: Json, *, dry_run: bool = True) -> tuple[int, str]:
        """Create or replace an object of ours; returns status and message."""
        plural = f"{obj['kind'].lower()}s"
        path = f"/apis/{API}/namespaces/{self.namespace}/{plural}"
        path += f"/{obj['metadata']['name']}" if method == "PUT" else ""
        status, body = self.api.raw(method, f"{path}{'?dryRun=All' if dry_run else ''}", obj)
        return status, json.loads(body).get("message", "")

    def check_refused(self, obj: Json, *texts: str, method: str = "POST") -> None:
        """Assert that admission refuses an object and says all of `texts`."""
        status, message = self.send(method, obj)
        assert status == 403, (status, message)
        assert "denied the request: validation failed: [" in message
        for text in texts:
            assert text in message

    def check_accepted(self, obj: Json, *, method: str = "POST", dry_run: bool = True) -> None:
        """Assert that an object is let in."""
        status, message = self.send(method, obj, dry_run=dry_run)
        assert status in (200, 201), message


@dataclass
class World:
    """A shop, whose people attack, and a bank, whose objects they want."""

    cluster: Cluster
    drplan: Installation
    shop: str
    bank: str

    def attacker(self, *rules: Json) -> Attacker:
        """A new account of the shop with these rules there, which hold when it is returned."""
        name = f"someone-{next(_NUMBERS)}"
        identity = self.cluster.plane.service_account(self.shop, name)
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
        self.cluster.api.apply({**role, "rules": list(rules)})
        bind(self.cluster.api, identity.username, name, self.shop)
        api = Api(self.cluster.plane.server, self.cluster.plane.authority.pem, identity.token or "")
        return Attacker(api, self.shop, identity.username)

    def wait_for_right(self, who: Attacker, verb: str, group: str, resource: str, namespace: str, name: str) -> None:
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name}
        spec = {"user": who.username, "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        self.drplan.wait(
            lambda: self.cluster.api.request("POST", path, review)["status"]["allowed"], EFFECTIVE_SECONDS, str(review)
        )

    def grant(self, who: Attacker, namespace: str, rule: Json) -> None:
        """Give an account one rule in one namespace."""
        name = f"granted-{next(_NUMBERS)}"
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
        self.cluster.api.apply({**role, "metadata": {"name": name, "namespace": namespace}, "rules": [rule]})
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": RBAC.split("/")[2], "kind": "Role", "name": name},
            "subjects": [{"apiGroup": RBAC.split("/")[2], "kind": "User", "name": who.username}],
        }
        self.cluster.api.apply(binding)
        [group], [resource], [verb] = rule["apiGroups"], rule["resources"], rule["verbs"]
        self.wait_for_right(who, verb, group, resource, namespace, rule.get("resourceNames", [""])[0])


def ours(*resources: str) -> Json:
    return {"apiGroups": [GROUP], "resources": list(resources), "verbs": ["get", "create", "update", "patch"]}


PUBLIC: Json = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["public"], "verbs": ["get"]}


@pytest.fixture
def world(installed: Cluster, site: Site) -> World:
    """The shop has a public ConfigMap, a Secret, and a plan that works; the bank has what is nobody else's business."""
    shop, bank = installed.namespace("shop"), installed.namespace("bank")
    read_references_in(installed.api, shop, bank)
    drplan = Installation(installed, site, shop)
    drplan.apply(
        config_map("public", shop, site="berlin"),
        config_map("token", shop, "Secret", key="hunter2"),
        workflow("w", [http_action("a", f"{site.url}/{shop}/a", http={"body": "$(params.site)"})]),
        plan("p", [stage("s", "w")], globalParams=[{"name": "site", "value": "paris"}]),
    )
    installed.apply(
        [
            config_map("ledger", bank, site="vault"),
            config_map("vault", bank, "Secret", key="hunter2"),
            {**workflow("transfer", [http_action("a", f"{site.url}/{bank}/a")]), "metadata": {"name": "transfer"}},
        ],
        namespace=bank,
    )
    return World(installed, drplan, shop, bank)


def hostile_references(world: World) -> list[tuple[Json, str]]:
    """References that an account of the shop must not have read, and what the refusal says of each."""
    shop, bank = world.shop, world.bank
    return [
        (ref("Secret", bank, "vault"), f'get secrets "vault" in namespace {bank}'),
        (ref("ConfigMap", bank, "ledger"), f'get configmaps "ledger" in namespace {bank}'),
        (ref("Secret", shop, "token"), f'get secrets "token" in namespace {shop}'),
        (ref("Secret", shop, "token", select="Any"), f'get secrets "token" in namespace {shop}'),
        (ref("ConfigMap", shop, labelSelector="team=shop"), f"list configmaps in namespace {shop}"),
        (ref("ConfigMap", shop), f"list configmaps in namespace {shop}"),
        (ref("ConfigMap", "", labelSelector="team in (bank)"), "list configmaps in all namespaces"),
        (ref("Secret", "", labelSelector="team"), "list secrets in all namespaces"),
        (ref("Namespace", "", "kube-system"), 'get namespaces "kube-system" in all namespaces'),
        (ref("Node", ""), "list nodes in all namespaces"),
        (ref("DRWorkflow", bank, "transfer", apiVersion=API), "this belongs to drplan's own kinds"),
        (ref("Namespace", "", "drplan-system"), "is the controller's own"),
        (ref("Deployment", bank, "app", apiVersion="apps/v1"), f'get deployments.apps "app" in namespace {bank}'),
        (ref("Lease", "kube-system", "x", apiVersion="coordination.k8s.io/v1"), "this belongs to Leases"),
        (ref("Wdiget", bank, "x", apiVersion="example.com/v1"), "cannot be checked: the API server serves no kind"),
        (ref("ConfigMap", "drplan-system", "drplan-journal-1"), "is the controller's own"),
        (ref("Secret", "drplan-system", labelSelector="a"), "is the controller's own"),
    ]


def test_nothing_is_read_for_an_execution_that_its_creator_may_not_read(world: World) -> None:
    operator = world.attacker(ours("drplanexecutions"), PUBLIC)
    for source, text in hostile_references(world):
        operator.check_refused(execution("e", "p", params=[param("site", source)]), "params[0](site)", text)
    for member in ({"name": "$(params.x)"}, {"namespace": "{{ .params.x }}"}, {"name": "", "labelSelector": "$(mode)"}):
        source = {"manifestRef": {**ref("ConfigMap", world.shop, "public")["manifestRef"], **member}}
        operator.check_refused(execution("e", "p", params=[param("site", source)]), "has a placeholder")
    both = [param("a", ref("Secret", world.bank, "vault")), param("b", ref("ConfigMap", world.bank, "ledger"))]
    operator.check_refused(execution("e", "p", params=both), "params[0](a)", "params[1](b)", '"vault"', '"ledger"')
    generated = execution("e", "p", params=[param("site", ref("Secret", world.shop, "token"))])
    generated["metadata"] = {"generateName": "e-"}
    operator.check_refused(generated, "params[0](site)")

    operator.check_accepted(
        execution("e", "p", params=[param("site", ref("ConfigMap", world.shop, "public"))]), dry_run=False
    )
    world.drplan.wait_phase("e", "Succeeded")
    for source, text in hostile_references(world)[:3]:
        operator.check_refused(revert("r", "p", "e", params=[param("site", source)]), "params[0](site)", text)


def test_an_execution_gives_no_value_that_has_something_else_read(world: World) -> None:
    shop = world.shop
    named, placed = ref("ConfigMap", shop, "$(params.which)"), ref("ConfigMap", "$(params.which)", "ledger")
    selects = ref("ConfigMap", shop, labelSelector="team=$(params.which)")
    by_name = ref("ConfigMap", shop, "$(executionName)")
    chained = ref("ConfigMap", shop, "$(params.next)")

    def used(source: Json) -> Json:
        return {"workflowRef": {"name": "w"}, "params": [param("x", source)]}

    site = {"name": "site", "value": "paris"}
    public = [site, {"name": "which", "value": "public"}]
    world.drplan.apply(
        workflow("named", [http_action("a", "http://127.0.0.1:1/")], parameters=[param("x", named)]),
        plan("named", [stage("s", "named")], globalParams=public),
        plan("placed", [stage("s", "w")], globalParams=[site, {"name": "which", "value": shop}, param("x", placed)]),
        plan("selects", [stage("s", used(selects))], globalParams=public),
        plan("by-name", [stage("s", "w")], globalParams=[site, param("x", by_name)]),
        plan("chain", [stage("s", used(chained))], globalParams=[*public, param("next", named)]),
    )
    operator = world.attacker(ours("drplanexecutions"), PUBLIC)
    for name, value, text in (
        ("named", "token", f'get configmaps "token" in namespace {shop}'),
        ("placed", world.bank, f'get configmaps "ledger" in namespace {world.bank}'),
        ("placed", "drplan-system", "is the controller's own"),
        ("selects", "bank", f"list configmaps in namespace {shop}"),
        ("chain", "public", f"get configmaps in namespace {shop}"),
    ):
        operator.check_refused(execution("e", name, params=[{"name": "which", "value": value}]), text)
    operator.check_refused(execution("ledger", "by-name"), f'get configmaps "ledger" in namespace {shop}')
    operator.check_accepted(execution("e", "named"))
    operator.check_accepted(execution("e", "named", params=[{"name": "which", "value": "public"}]))
    operator.check_accepted(execution("public", "by-name"))


def test_nothing_is_read_for_a_plan_or_workflow_that_its_author_may_not_read(world: World) -> None:
    author = world.attacker(ours("drplans", "drworkflows"), PUBLIC)
    action = http_action("a", "http://127.0.0.1:1/")
    for source, text in hostile_references(world):
        own = [param("x", source)]
        author.check_refused(workflow("v", [action], parameters=own), "parameter[0](x)", text)
        author.check_refused(plan("q", [stage("s", "w")], globalParams=own), "globalParams[0](x)", text)
        use = {"workflowRef": {"name": "w"}, "params": own}
        author.check_refused(plan("q", [stage("s", use)]), "stage[0] 's' workflow[0]: params[0](x)", text)
    anything = ref("ConfigMap", world.shop, "public$(params.y)")
    author.check_refused(workflow("v", [action], parameters=[param("x", anything)]), "name may become anything")
    sends = http_action(
        "a",
        "http://127.0.0.1:1/",
        http={"headersFrom": [{"name": "A", "secretKeyRef": {"name": "token", "key": "key"}}]},
    )
    author.check_refused(
        workflow("v", [sends]), 'get secrets "token"', f"ServiceAccount {author.username[22:].replace(':', '/')}"
    )
    undo = {"type": "HTTP", "http": {"url": "https://127.0.0.1:1/", "clientCertificateSecretRef": {"name": "token"}}}
    author.check_refused(workflow("v", [{**action, "rollback": undo}]), "rollback http.clientCertificateSecretRef")
    author.check_accepted(workflow("v", [action], parameters=[param("x", ref("ConfigMap", world.shop, "public"))]))


def test_what_is_stored_stays_usable_and_what_is_new_is_asked_about(world: World) -> None:
    author = world.attacker(ours("drplans", "drworkflows"), PUBLIC)
    secret = param("key", ref("Secret", world.shop, "token"))
    region = {"name": "region", "value": "public"}
    chosen = param("chosen", ref("ConfigMap", world.shop, "$(params.region)"))
    foreign = {"workflowRef": {"name": "transfer", "namespace": world.bank}}
    world.drplan.apply(plan("stored", [stage("s", "w", foreign)], globalParams=[secret, region, chosen]))
    world.drplan.wait(lambda: world.drplan.plan_status("stored").get("observedGeneration"))
    stored = world.drplan.get("drp", "stored")

    def changed(**spec: Any) -> Json:
        return {**copy.deepcopy(stored), "spec": {**stored["spec"], **spec}}

    author.check_accepted(changed(description="new"), method="PUT")
    moved = [region, chosen, secret]
    author.check_refused(changed(globalParams=moved), "may not use workflow", method="PUT")
    own = changed(globalParams=moved, stages=[stage("s", "w")])
    author.check_accepted(own, method="PUT")
    other = param("key", {"manifestRef": {**secret["valueFrom"]["manifestRef"], "jsonPath": "{.data}"}})
    for params, text in (
        ([*moved, param("more", ref("Secret", world.bank, "vault"))], '"vault"'),
        ([other, region, chosen], 'get secrets "token"'),
        ([secret, {**region, "value": "token"}, chosen], f"get configmaps in namespace {world.shop}"),
    ):
        author.check_refused({**own, "spec": {**own["spec"], "globalParams": params}}, text, method="PUT")
    swapped = [stage("s", "w", {**foreign, "params": [{"name": "to", "value": "me"}]})]
    author.check_refused(changed(stages=swapped), f"may not use workflow {world.bank}/transfer", method="PUT")


def test_using_the_workflow_of_another_namespace_takes_the_verb_use(world: World) -> None:
    author = world.attacker(ours("drplans"))
    transfers = plan("q", [stage("s", {"workflowRef": {"name": "transfer", "namespace": world.bank}})])
    workflows = {"apiGroups": [GROUP], "resources": ["drworkflows"]}
    told = f"give a Role in namespace {world.bank} the rule"
    author.check_refused(
        transfers, "may not use workflow", told, "verbs: [use]", author.username[22:].replace(":", "/")
    )
    world.grant(author, world.bank, {**workflows, "verbs": ["get"]})
    author.check_refused(transfers, "may not use workflow")
    world.grant(author, world.bank, {**workflows, "resourceNames": ["other"], "verbs": ["use"]})
    author.check_refused(transfers, "may not use workflow")
    world.grant(author, world.bank, {**workflows, "resourceNames": ["transfer"], "verbs": ["use"]})
    author.check_accepted(transfers)


def test_what_is_being_deleted_is_not_turned_into_something_else(world: World) -> None:
    """Whoever writes an object may keep it by a finalizer after its deletion, and it can be used all that time."""
    rules = ours("drplans", "drworkflows", "drplanexecutions")
    author = world.attacker({**rules, "verbs": [*rules["verbs"], "delete"]}, PUBLIC)
    action = http_action("a", "http://127.0.0.1:1/", http={"body": "$(params.x)"})
    foreign = {"workflowRef": {"name": "transfer", "namespace": world.bank}}
    secret = [param("x", ref("Secret", world.bank, "vault"))]
    author.check_accepted(execution("kept-e", "p"), dry_run=False)
    world.drplan.wait_phase("kept-e")
    cases = (
        ("drw", workflow("kept-w", [action]), {"parameters": secret}, '"vault"'),
        ("drp", plan("kept-p", [stage("s", "w")]), {"globalParams": secret}, '"vault"'),
        ("drp", plan("kept-q", [stage("s", "w")]), {"stages": [stage("s", foreign)]}, "may not use workflow"),
        ("drpe", execution("kept-e", "p"), {"params": secret}, "cannot modify spec"),
    )
    for kind, made, change, text in cases:
        name = made["metadata"]["name"]
        if kind != "drpe":
            author.check_accepted(made, dry_run=False)
        held = json.dumps({"metadata": {"finalizers": ["example.com/held"]}})
        world.drplan.kubectl("patch", kind, name, "--type=merge", "-p", held)
        world.drplan.kubectl("delete", kind, name, "--wait=false")

        def changed(kind: str = kind, name: str = name, change: Json = change) -> tuple[int, str] | None:
            stored = world.drplan.get(kind, name)
            assert stored["metadata"]["deletionTimestamp"]
            answer = author.send("PUT", {**stored, "spec": {**stored["spec"], **change}})
            return None if answer[0] == CONFLICT else answer

        status, message = world.drplan.wait(changed)
        assert (status, text in message) == (403, True), message
        released = json.dumps({"metadata": {"finalizers": None}})
        world.drplan.kubectl("patch", kind, name, "--type=merge", "-p", released)


def test_a_revert_sways_nothing_that_the_run_read(world: World) -> None:
    """Without a snapshot the live definitions are read; by what the run was admitted with, not by the Revert."""
    shop, bank = world.shop, world.bank
    may_touch(world.cluster.api, shop)
    call = {"http": {"url": f"{world.drplan.site.url}/{shop}/back", "method": "POST", "body": "$(params.x)"}}
    made = config_map_action("make", "made", shop, rollback=call)
    asked = ref("ConfigMap", "$(params.which)", "ledger")
    site = {"name": "which", "value": shop}
    world.drplan.apply(
        config_map("ledger", shop, site="open"),
        workflow(
            "by", [made], parameters=[param("x", {"manifestRef": {**asked["manifestRef"], "jsonPath": "{.data.site}"}})]
        ),
        plan("by", [stage("s", "by")], globalParams=[site]),
    )
    world.drplan.run("run", "by")
    world.drplan.wait_unlocked("by")
    uid = world.drplan.get("drpe", "run")["metadata"]["uid"]
    own = "/api/v1/namespaces/drplan-system/configmaps"
    for item in world.cluster.api.get(own)["items"]:
        if uid in item["metadata"]["name"] and "snapshot" in item["metadata"]["name"]:
            world.cluster.api.request("DELETE", f"{own}/{item['metadata']['name']}")
    operator = world.attacker(ours("drplanexecutions"), PUBLIC)
    back = revert("back", "by", "run", params=[{"name": "which", "value": bank}])
    operator.check_accepted(back, dry_run=False)
    world.drplan.wait_phase("back", "Succeeded")
    [sent] = world.drplan.site.calls(f"/{shop}/back")
    assert sent.body == "open"
