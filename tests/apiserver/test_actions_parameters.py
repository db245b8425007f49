"""Parameters read from objects of a real API server, with the controller's own rights."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import BadRequest
from app.kube.resources import CONFIG_MAPS
from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.parameters.label_selector import selector_problem
from controller.references import ParameterError, read_secrets
from controller.start.parameters import ResolvedRun, resolve_run, secret_refs
from tests.support.cluster import Cluster


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(load_connection(str(cluster.kubeconfig_of("controller")))) as client:
        yield client


async def resolved(kube: KubeClient, namespace: str, params: list[dict[str, Any]]) -> ResolvedRun:
    stages = [{"name": "s", "workflows": [{"workflowRef": {"name": "w"}}]}]
    actions = [{"name": "a", "type": "HTTP", "http": {"url": "http://127.0.0.1"}}]
    plan = {"metadata": {"name": "p", "namespace": namespace}, "spec": {"stages": stages}}
    execution = {
        "metadata": {"name": "e", "namespace": namespace},
        "spec": {"planRef": "p", "operationType": "Execute", "params": params},
    }
    return await resolve_run(
        DRPlan.from_wire(plan),
        {(namespace, "w"): DRWorkflow.from_wire({"spec": {"actions": actions}})},
        DRPlanExecution.from_wire(execution),
        kube,
    )


def looked_up(parameter: str, kind: str, path: str, **members: Any) -> dict[str, Any]:
    ref = {"apiVersion": "v1", "kind": kind, "jsonPath": path, **members}
    return {"name": parameter, "valueFrom": {"manifestRef": ref}}


async def test_values_of_objects(kube: KubeClient, cluster: Cluster, namespace: str) -> None:
    labelled = {"labels": {"app": "site"}}
    for name, site in (("one", "a"), ("two", "b")):
        data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **labelled}, "data": {"site": site}}
        cluster.apply(data, namespace=namespace)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"token": "hunter2"}}
    cluster.apply(secret, namespace=namespace)
    run = await resolved(
        kube,
        namespace,
        [
            looked_up("named", "ConfigMap", "{.data.site}", namespace=namespace, name="one"),
            looked_up("newest", "ConfigMap", "{.metadata.name}", namespace=namespace, name="two"),
            looked_up("scoped", "Namespace", "{.status.phase}", name=namespace),
            looked_up("token", "Secret", "{.data.token}", namespace=namespace, name="s"),
        ],
    )
    assert {name: value for name, value in run.run.items() if name != "token"} == {
        "named": "a",
        "newest": "two",
        "scoped": "Active",
    }
    assert "aHVudGVyMg" not in repr(run)
    assert await read_secrets(secret_refs(run.run), kube) == {"token": "aHVudGVyMg=="}


async def test_lookups_that_fail_are_all_told(kube: KubeClient, namespace: str) -> None:
    with pytest.raises(ParameterError) as caught:
        await resolved(
            kube,
            namespace,
            [
                looked_up("gone", "ConfigMap", "{.data.x}", namespace=namespace, name="none"),
                looked_up("odd", "Konfig", "{.data.x}", namespace=namespace, name="none"),
                looked_up("many", "ConfigMap", "{.data.x}", namespace=namespace, labelSelector="a in (", select="Any"),
            ],
        )
    gone, odd, many = caught.value.problems
    head = "resolving execution params: resolving param"
    assert gone == (f'{head} "gone": get /v1, Resource=configmaps/{namespace}/none: configmaps "none" not found')
    assert odd.startswith(f'{head} "odd": mapping GVK /v1, Kind=Konfig: ')
    assert many.startswith(f'{head} "many": list /v1, Resource=configmaps in {namespace}: ')


SELECTORS = [
    *("a", "!a", " ! a ", "a=b", "a==b", "a!=", "a=", "a in (b, c)", "a in(b)", "a  notin (,)", "a>1, x.y/b<2"),
    *("a = b , ! c", "a,", ",a", "a,,b", "a=b=c", "a in b", "a in ()", "a in (b", "-a", "X/a", "a/b/c", "a=b/c"),
    *("a=-", "a>b", "a>-1", "a&b", "a in (b),c", "()", "=", f"{'x' * 253}/a", f"{'x' * 254}/a"),
    *(f"a={'b' * 63}", f"a={'b' * 64}", f"{'a' * 64}"),
]


@pytest.mark.parametrize("text", SELECTORS)
async def test_a_selector_that_the_rules_refuse_is_refused_by_the_api_server(
    kube: KubeClient, namespace: str, text: str
) -> None:
    try:
        await kube.list(CONFIG_MAPS, namespace=namespace, label_selector=text)
    except BadRequest:
        assert selector_problem(text)
    else:
        assert selector_problem(text) == ""
