"""Whoever writes workflows reaches nothing but what actions may touch, whatever names they make up.

On a real API server. Names that admission cannot know, because a run reads them from the cluster, go through both
processes with real rights; recorded outputs and races go to the executors, whose client has the rights of an admin.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.engine.outcome import Failed
from app.kube.bounded import BoundedClient
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import IllegalName, NotFound, OutOfBounds
from app.kube.resources import CONFIG_MAPS, JOBS, SECRETS, Resource
from app.models.actions import ActionType
from app.models.common import ManifestRef
from app.models.execution import ActionOutputs
from controller.actions import objects
from controller.actions.objects import Target
from controller.actions.registry import build_registry
from controller.references import ManifestLookupError, read_value
from tests.security.chart_rights import read_references_in
from tests.security.hostile_names import CANARY, HOSTILE, MINE, NAME, NAMESPACE, OWN
from tests.security.test_reader import World, ours, world
from tests.support.cluster import Cluster
from tests.support.installation import API, Installation, actions_of, plan, stage, workflow
from tests.unit.actions.support import action, context, reverting

__all__ = ["world"]

Json = dict[str, Any]
JOB: Json = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}}
MEMBERS = ("v", "kind", "ns", "name")
MANIFEST = json.dumps(
    {
        "apiVersion": "$(params.v)",
        "kind": "$(params.kind)",
        "metadata": {"name": "$(params.name)", "namespace": "$(params.ns)"},
        "data": {"by": "attacker"},
    }
)
OPERATIONS = ("Create", "Apply", "Patch", "Delete")


@pytest.fixture
def canary(installed: Cluster) -> Json:
    """An object of the controller's namespace that is as it was when the test has ended."""
    meta = {"name": CANARY, "namespace": OWN, "labels": {"bait": "x"}}
    installed.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"by": "drplan"}})
    return found_canary(installed)


def found_canary(cluster: Cluster) -> Json:
    found = cluster.api.get(f"/api/v1/namespaces/{OWN}/configmaps/{CANARY}")
    assert isinstance(found, dict)
    return found


@pytest_asyncio.fixture
async def kube(installed: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(installed.kubeconfig))) as client:
        yield client


def hostile(namespace: str) -> list[tuple[Json, str]]:
    """Each hostile object by its members, and what is said of it."""
    return [
        (dict(zip(MEMBERS, (v, kind, ns.replace("NS", namespace), name), strict=True)), text)
        for v, kind, ns, name, text in HOSTILE
    ]


def test_what_a_run_reads_leads_no_action_out_of_bounds(drplan: Installation, canary: Json) -> None:
    """Values of a ConfigMap become names in the run alone: every action fails and says why, nothing was asked for."""
    read_references_in(drplan.cluster.api, drplan.namespace)
    cases = hostile(drplan.namespace)
    bait = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"bait-{n}"}, "data": data}
        for n, (data, _) in enumerate(cases)
    ]
    options = [
        workflow(
            operation.lower(),
            [
                {
                    "name": "attack",
                    "type": "KubernetesResource",
                    "resource": {"operation": operation, "manifest": MANIFEST},
                    "retryPolicy": {"limit": 0},
                    "rollback": {"http": {"url": "http://127.0.0.1:9/"}},
                }
            ],
        )
        for operation in OPERATIONS
    ]
    uses = [
        {
            "workflowRef": {"name": operation.lower()},
            "params": [_read(member, f"bait-{n}", drplan.namespace) for member in MEMBERS],
        }
        for n in range(len(cases))
        for operation in OPERATIONS
    ]
    drplan.apply(*bait, *options, plan("p", [stage("s", *uses, parallel=True, failurePolicy="Continue")]))
    mark = drplan.cluster.audit.mark()
    status = drplan.run("e", "p", "Failed", timeout=90.0)
    told = [found for found in actions_of(status) if found["phase"] == "Failed"]
    assert len(told) == len(uses)
    for number, found in enumerate(actions_of(status)):
        assert cases[number // len(OPERATIONS)][1] in found["message"], (number, found["message"])
        assert "outputs" not in found
    assert found_canary(drplan.cluster) == canary
    asked = [
        request
        for request in drplan.cluster.audit.since(mark, containing="drplan-controller")
        if request.user.endswith(":drplan-controller") and request.user_agent.startswith("drplan/")
    ]
    assert asked
    strange = [
        request.uri
        for request in asked
        if "%2" in request.uri.partition("?")[0]
        or ".." in request.uri
        or request.name == CANARY
        or (request.subresource and request.subresource != "status")
        or request.verb == "deletecollection"
    ]
    assert not strange


def _read(member: str, name: str, namespace: str) -> Json:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": name}
    return {"name": member, "valueFrom": {"manifestRef": {**reference, "jsonPath": f"{{.data.{member}}}"}}}


def test_admission_says_it_early_to_a_real_author(world: World) -> None:
    """What an action says by itself, what defaults and given values make of it: all of it is refused with its place."""
    author = world.attacker(ours("drworkflows", "drplans", "drplanexecutions"))
    fits = [(data, text) for data, text in hostile(author.namespace) if text != "serves no kind"]
    for data, text in fits:
        meta = {"name": data["name"], "namespace": data["ns"]}
        written = json.dumps({"apiVersion": data["v"], "kind": data["kind"], "metadata": meta})
        for manifest in (written, json.dumps({"apiVersion": "v1", "kind": "List", "items": [json.loads(written)]})):
            attack = {"name": "a", "type": "KubernetesResource", "resource": {"manifest": manifest}}
            author.check_refused(workflow("w1", [attack]), "action[0] 'a': KubernetesResource.Manifest", text)
            author.check_refused(
                workflow(
                    "w1",
                    [
                        {**attack, "type": "HTTP", "http": {"url": "http://x"}}
                        | {"rollback": {"type": "KubernetesResource", "resource": {"manifest": manifest}}}
                    ],
                ),
                "rollback: ",
                text,
            )
    attack = {"name": "a", "type": "KubernetesResource", "resource": {"manifest": MANIFEST}}
    defaults = {"v": "v1", "kind": "ConfigMap", "ns": author.namespace, "name": "x"}
    for data, text in fits:
        params = [{"name": member, "default": data[member]} for member in MEMBERS]
        author.check_refused(workflow("w1", [attack], parameters=params), text, "by the values of its parameters")
    world.drplan.apply(workflow("open", [attack]), plan("open", [stage("s", "open")]))
    for data, text in fits:
        given = [{"name": member, "value": data[member]} for member in MEMBERS]
        author.check_refused(plan("p1", [stage("s", "open")], globalParams=given), text, "stage[0] 's' workflow[0]")
        author.check_refused(_execution("open", given), text, "stage[0] 's' workflow[0]")
    author.check_accepted(_execution("open", [{"name": key, "value": value} for key, value in defaults.items()]))
    for block, text in (
        ({"type": "Job", "job": {"namespace": OWN, "template": JOB}}, MINE),
        ({"type": "Job", "job": {"namespace": f"{OWN}/x", "template": JOB}}, NAMESPACE),
        ({"type": "Subscription", "subscription": {"name": "../x", "operation": "Delete"}}, NAME),
        ({"type": "Localization", "localization": {"name": "x", "namespace": OWN, "operation": "Delete"}}, MINE),
        ({"type": "Globalization", "globalization": {"name": "%2e%2e", "operation": "Delete"}}, NAME),
        ({"type": "HTTP", "http": {"url": "http://x", "clientCertificateSecretRef": {"name": "../a"}}}, NAME),
    ):
        author.check_refused(workflow("w1", [{"name": "a", **block}]), text)


def _execution(plan_name: str, params: list[Json]) -> Json:
    spec = {"planRef": plan_name, "operationType": "Execute", "params": params}
    return {"apiVersion": API, "kind": "DRPlanExecution", "metadata": {"name": "e1"}, "spec": spec}


async def test_recorded_outputs_lead_no_rollback_out_of_bounds(
    kube: KubeClient, installed: Cluster, namespace_of_run: str, canary: Json
) -> None:
    """An admin's rights, and outputs as a status writer may forge them: nothing is read, changed or deleted."""
    executors = build_registry()
    for data, text in hostile(namespace_of_run):
        ref = {"apiVersion": data["v"], "kind": data["kind"], "namespace": data["ns"], "name": data["name"], "uid": "u"}
        forward = context(kube, namespace=namespace_of_run, own_namespace=OWN)
        for operation in ("Create", "Apply"):
            body = action("KubernetesResource", resource={"operation": operation, "manifest": "x"})
            outputs = ActionOutputs.model_validate({"resourceRef": ref})
            outcome = await executors[ActionType.KUBERNETES_RESOURCE].rollback(body, outputs, reverting(forward))
            assert isinstance(outcome, Failed), (ref, outcome)
            assert text in outcome.message
            assert not outcome.retryable
    places = [(OWN, CANARY), (f"{OWN}/configmaps/{CANARY}", ".."), ("default", "../x"), ("default", f"..%2f{CANARY}")]
    for place, name in places:
        ref = {"namespace": place, "name": name, "uid": canary["metadata"]["uid"]}
        for type_, member, block in (
            ("Job", "jobRef", {"job": {"template": {"spec": {}}}}),
            ("Localization", "localizationRef", {"localization": {"name": "x", "namespace": "x"}}),
            ("Subscription", "subscriptionRef", {"subscription": {"name": "x"}}),
        ):
            outputs = ActionOutputs.model_validate({member: ref})
            executor = executors[ActionType(type_)]
            outcome = await executor.rollback(
                action(type_, **block), outputs, reverting(context(kube, own_namespace=OWN))
            )
            assert isinstance(outcome, Failed), (type_, ref)
    assert found_canary(installed) == canary


@pytest.fixture
def namespace_of_run(installed: Cluster) -> str:
    return installed.namespace()


async def test_references_see_neither_the_own_namespace_nor_a_secret_in_clear(
    kube: KubeClient, installed: Cluster, namespace_of_run: str, canary: Json
) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace_of_run}}
    other["metadata"]["labels"] = {"bait": "x"}  # type: ignore[index]
    installed.api.apply({**other, "data": {"by": "shop"}})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace_of_run}}
    installed.api.apply({**secret, "stringData": {"by": "hunter2"}})
    reader = BoundedClient(kube, OWN)

    async def read(**members: str) -> Any:
        found = {"api_version": "v1", "kind": "ConfigMap", "json_path": "{.data.by}", **members}
        return await read_value(ManifestRef.model_validate(found, by_name=True), reader)

    for select in ("First", "Last", "Any", "Single"):
        found = await read(label_selector="bait=x", select=select)
        assert (found.text, found.secret) == ("shop", False)
    assert (await read(kind="Secret", name="s", namespace=namespace_of_run)).secret
    assert (await read(kind="Secret", namespace=namespace_of_run)).secret
    named = {"kind": "Manifest", "apiVersion": "apps.clusternet.io/v1alpha1"}
    for name, held in (
        ("whole", {**secret, "data": {"by": "aHVudGVyMg=="}}),
        ("listed", {"apiVersion": "v1", "kind": "List", "items": [{**secret, "stringData": {"by": "hunter2"}}]}),
        ("none", {**other, "data": {"by": "shop"}}),
    ):
        installed.api.apply({**named, "metadata": {"name": name, "namespace": namespace_of_run}, "template": held})
        inside = {"api_version": named["apiVersion"], "kind": "Manifest", "namespace": namespace_of_run, "name": name}
        assert (await read(**inside, json_path="{.template}")).secret == (name != "none")
    for refused in (
        {"namespace": OWN, "name": CANARY},
        {"namespace": OWN, "label_selector": "bait=x"},
        {"kind": "Namespace", "name": OWN, "json_path": "{.metadata.uid}"},
        {"api_version": "/v1", "kind": "Secret", "name": "s", "namespace": namespace_of_run},
        {"api_version": "//v1", "kind": "Secret", "name": "s", "namespace": namespace_of_run},
        {"api_version": "V1", "kind": "Secret", "name": "s", "namespace": namespace_of_run},
        {"api_version": "v1 ", "kind": "Secret", "name": "s", "namespace": namespace_of_run},
        {"api_version": "./v1", "kind": "Secret", "name": "s", "namespace": namespace_of_run},
        {"api_version": "v1", "kind": "secrets", "name": "s", "namespace": namespace_of_run},
        {"api_version": "coordination.k8s.io/v1", "kind": "Lease", "json_path": "{.spec.holderIdentity}"},
    ):
        with pytest.raises(ManifestLookupError):
            await read(**refused)


async def test_no_verb_of_the_client_leaves_its_path(kube: KubeClient, namespace_of_run: str, canary: Json) -> None:
    """The client under all of it: with names of any sort it asks for the very object, or for nothing."""
    for resource in (CONFIG_MAPS, Resource("", "v1", f"configmaps/{CANARY}/..", "ConfigMap"), JOBS):
        for name in ("..", "x/../../y", "a%2fb", "", "x\r\nX: y", "x" * 300):
            with pytest.raises(IllegalName):
                await kube.get(resource, name, namespace=namespace_of_run)
    for name in ("x?dryRun=All", "x#", "a\\b", "ü", "a b", "a;b=c", "a&b", "+", "~", ":"):
        with pytest.raises(NotFound) as missing:
            await kube.get(CONFIG_MAPS, name, namespace=namespace_of_run)
        assert missing.value.details["name"] == name
    with pytest.raises(OutOfBounds):
        await BoundedClient(kube, OWN).delete(SECRETS, "x", namespace=OWN)


async def test_logins_of_the_cluster_are_not_made_by_changing_one_that_is_there(
    kube: KubeClient, installed: Cluster, namespace_of_run: str
) -> None:
    """With the rights of an admin: a body that leaves the type out changes no Secret that is a login."""
    token = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}
    kept = {
        "bootstrap-token-abcdef": ("kube-system", "bootstrap.kubernetes.io/token", token),
        "token-of-default": (namespace_of_run, "kubernetes.io/service-account-token", {}),
    }
    bounded = BoundedClient(kube, OWN)
    for name, (namespace, type_, data) in kept.items():
        meta = {"name": name, "namespace": namespace, "annotations": {"kubernetes.io/service-account.name": "default"}}
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": type_, "stringData": data}
        installed.api.apply(made)
        stored = await kube.get(SECRETS, name, namespace=namespace)
        change = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {"kubernetes.io/service-account.name": "x"},
            },
            "stringData": {"token-secret": "fedcba9876543210", "auth-extra-groups": "system:bootstrappers:admins"},
        }
        for call in (
            lambda: bounded.patch(SECRETS, name, change, namespace=namespace),  # noqa: B023 - called at once
            lambda: bounded.apply(SECRETS, change, name=name, namespace=namespace),  # noqa: B023
            lambda: bounded.change(SECRETS, stored, {**change, "type": type_}, name=name, namespace=namespace),  # noqa: B023
            lambda: bounded.change(SECRETS, stored, change, name=name, namespace=namespace),  # noqa: B023
            lambda: bounded.create(SECRETS, {**change, "type": type_}, namespace=namespace),  # noqa: B023
        ):
            with pytest.raises(OutOfBounds, match="login of the cluster"):
                await call()
        found = await kube.get(SECRETS, name, namespace=namespace)
        assert "auth-extra-groups" not in (found.get("data") or {})
        await kube.delete(SECRETS, name, namespace=namespace)


async def test_writes_carry_the_version_that_was_read(
    kube: KubeClient, installed: Cluster, namespace_of_run: str
) -> None:
    """Somebody else writes between look and write: the write is refused, and made again of what is there now."""
    forward = context(kube, namespace=namespace_of_run)
    target = Target(CONFIG_MAPS, namespace_of_run, "x")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace_of_run}}

    async def raced(verb: str, work: Any) -> list[int]:
        """Run `work` while somebody else changes the object just before its write; return the codes of its writes."""
        installed.api.apply({**body, "data": {"by": "drplan"}})
        real, pending = getattr(forward.kube, verb), [f"before {verb}"]

        async def write(*arguments: Any, **more: Any) -> Any:
            if pending:
                installed.api.apply({**body, "data": {"by": pending.pop()}})
            return await real(*arguments, **more)

        setattr(forward.kube, verb, write)
        mark = installed.audit.mark()
        await work
        ours = installed.audit.since(mark, containing=namespace_of_run, name="x")
        return [each.code for each in ours if each.verb != "get" and each.user_agent.startswith("drplan/")]

    assert await raced("patch", objects.patch(forward, target, {"data": {"p": "1"}})) == [409, 200]
    assert await raced("apply", objects.apply(forward, target, {**body, "data": {"a": "1"}})) == [409, 200]
    assert await raced("delete", objects.remove(forward, target)) == [409, 200]
    gone = await kube.list(CONFIG_MAPS, namespace=namespace_of_run, field_selector="metadata.name=x")
    assert gone["items"] == []
    kept = await objects.apply(forward, target, {**body, "data": {"a": "1"}})
    assert kept["data"] == {"a": "1"}
