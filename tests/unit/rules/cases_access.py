"""The rule table, access: A1 to A5, what is read for an object and with whose right."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow_json
from tests.unit.rules.rule_table import Case, Review, create, unchecked, update

Json = dict[str, Any]

WHY = "what is read for a parameter or an action needs the right of whoever asks for it"
HIDDEN = {("other", "site"), ("other", ""), ("default", "token"), ("", ""), ("default", "")}
"""What nobody may read, by namespace and name; without name: all of them."""


def source(name: str = "site", namespace: str = "other", /, **members: str) -> Json:
    found = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": namespace,
        "name": name,
        "jsonPath": "{.data.a}",
        **members,
    }
    return {"manifestRef": {key: value for key, value in found.items() if value}}


def param(value_from: Json | None = None, name: str = "x", **members: Any) -> Json:
    return {"name": name, **({"valueFrom": value_from} if value_from else {}), **members}


def ex(*params: Json, plan: Json | None = None, known: Json | None = None, **more: Any) -> Review:
    stored: Json = {
        "stored_plans": [plan or plan_json()],
        "stored_workflows": [known or workflow_json(http())],
        "executions": [],
    }
    return create(execution_json(params=list(params)), **stored, **more)


def wf(*params: Json, **more: Any) -> Review:
    return create(workflow_json(http(), parameters=list(params)), **more)


def pl(*params: Json, known: Json | None = None, **more: Any) -> Review:
    return create(
        plan_json(stage("s", "w"), globalParams=list(params)), stored_workflows=[known or workflow_json(http())], **more
    )


def may_not(what: str, role: str, rule: str, why: str = " (no rule allows it)") -> str:
    return f'user "jane" may not {what}{why}; {WHY}: give {role} the rule {{apiGroups: [""], resources: {rule}}} and bind it to user "jane"'


GET = may_not(
    'get configmaps "site" in namespace other',
    "a Role in namespace other",
    "[configmaps], resourceNames: [site], verbs: [get]",
)
LIST = may_not("list configmaps in namespace other", "a Role in namespace other", "[configmaps], verbs: [list]")
ANY = may_not(
    "get configmaps in namespace other",
    "a Role in namespace other",
    "[configmaps], verbs: [get]",
    " (no rule allows it); name may become anything, so the right to all of them is needed",
)
EVERYWHERE = may_not(
    "get configmaps in all namespaces",
    "a ClusterRole",
    "[configmaps], verbs: [get]",
    " (no rule allows it); namespace may become anything, so the right to all of them is needed",
)
TOKEN = may_not(
    'get secrets "token" in namespace default',
    "a Role in namespace default",
    "[secrets], resourceNames: [token], verbs: [get]",
)
FROM = "valueFrom.manifestRef: "
SENDS = http(
    http={"url": "http://x.invalid/", "headersFrom": [{"name": "A", "secretKeyRef": {"name": "token", "key": "k"}}]}
)
SHOWS = http(http={"url": "https://x.invalid/", "clientCertificateSecretRef": {"name": "token"}})
UNDOES = http(
    rollback={"type": "HTTP", "http": {"url": "https://x.invalid/", "clientCertificateSecretRef": {"name": "token"}}}
)
TEMPLATED = workflow_json(http(), parameters=[param(source("$(params.region)"))])
BY_PLAN_NAME = workflow_json(http(), parameters=[param(source("$(planName)"))])
REGION = param(name="region", value="site")
MANY = [param(source(f"c{number}"), f"p{number}") for number in range(1001)]


def checked(health: Json, **cluster: Any) -> Review:
    """The creation of a plan with a health check."""
    plan = plan_json(healthCheck={"checks": [health]})
    return create(plan, stored_workflows=[workflow_json(http())], **cluster)


SENT: Json = {"name": "Authorization", "secretKeyRef": {"name": "token", "key": "t"}}
ASKS: Json = {"name": "web", "http": {"url": "https://web.invalid/", "headersFrom": [SENT]}}
LOOKS: Json = {
    "name": "db",
    "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "other", "name": "site"}],
}

CASES = [
    Case("A1", f"health check 'db' resources[0]: {GET}", checked(LOOKS, forbidden=HIDDEN), checked(LOOKS)),
    Case(
        "A1",
        f"health check 'db' resources[0]: {GET}",
        checked(LOOKS, forbidden=HIDDEN),
        unchecked(checked(LOOKS, forbidden=HIDDEN)),
    ),
    Case(
        "A1",
        f"health check 'web' http.headersFrom[0].secretKeyRef: {TOKEN}",
        checked(ASKS, forbidden=HIDDEN),
        checked(ASKS),
    ),
    Case("A1", f"params[0](x).{FROM}{GET}", ex(param(source()), forbidden=HIDDEN), ex(param(source()))),
    Case(
        "A1",
        f"params[0](x).{FROM}{LIST}",
        ex(param(source("", labelSelector="a=b")), forbidden=HIDDEN),
        ex(param(source("", labelSelector="a=b"))),
    ),
    Case(
        "A1",
        f"params[0](x).{FROM}{LIST}",
        ex(param(source("")), forbidden=HIDDEN),
        unchecked(ex(param(source("")), forbidden=HIDDEN)),
    ),
    Case("A1", f"parameter[0](x).{FROM}{GET}", wf(param(source()), forbidden=HIDDEN), wf(param(source()))),
    Case(
        "A1",
        f"parameter[0](x).{FROM}{GET}",
        wf(param(source(), default="d"), forbidden=HIDDEN),
        wf(param(default="d"), forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"parameter[0](x).{FROM}{ANY}",
        wf(param(source("a-$(params.y)")), forbidden=HIDDEN),
        wf(param(source("a-$$(params.y)-$(HOSTNAME)", kind="B")), forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"parameter[0](x).{FROM}{EVERYWHERE}",
        wf(param(source("site", "$(params.y)")), forbidden=HIDDEN),
        wf(param(source("site", "$(params.y)"))),
    ),
    Case("A1", f"globalParams[0](x).{FROM}{GET}", pl(param(source()), forbidden=HIDDEN), pl(param(source()))),
    Case(
        "A1",
        f"stage[0] 's' workflow[0]: params[0](x).{FROM}{GET}",
        create(
            plan_json(stage("s", {"workflowRef": {"name": "w"}, "params": [param(source())]})),
            stored_workflows=[workflow_json(http())],
            forbidden=HIDDEN,
        ),
        pl(),
    ),
    Case(
        "A1",
        f"stage[0] 's' workflow[0]: parameter 'x' of workflow default/w: {GET}",
        pl(REGION, known=TEMPLATED, forbidden=HIDDEN),
        pl(param(name="zone", value="b"), known=TEMPLATED, forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"stage[0] 's' workflow[0]: parameter 'x' of workflow default/w: {GET}",
        create(plan_json(stage("s", "w"), name="site"), stored_workflows=[BY_PLAN_NAME], forbidden=HIDDEN),
        pl(known=BY_PLAN_NAME, forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"stage[0] 's' workflow[0]: parameter 'x' of workflow default/w: {GET}",
        ex(REGION, known=TEMPLATED, forbidden=HIDDEN),
        ex(param(name="region", value="b"), known=TEMPLATED, forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"globalParams(x): {GET}",
        ex(REGION, plan=plan_json(stage("s", "w"), globalParams=[param(source("$(params.region)"))]), forbidden=HIDDEN),
        ex(plan=plan_json(stage("s", "w"), globalParams=[param(source("$(params.region)")), REGION]), forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"globalParams(x): {GET}",
        create(
            execution_json("site"),
            stored_plans=[plan_json(globalParams=[param(source("$(executionName)"))])],
            stored_workflows=[workflow_json(http())],
            forbidden=HIDDEN,
        ),
        ex(plan=plan_json(globalParams=[param(source("$(executionName)"))]), forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"action 'a' http.headersFrom[0].secretKeyRef: {TOKEN}",
        create(workflow_json(SENDS), forbidden=HIDDEN),
        create(workflow_json(SENDS)),
    ),
    Case(
        "A1",
        f"action 'a' http.clientCertificateSecretRef: {TOKEN}",
        create(workflow_json(SHOWS), forbidden=HIDDEN),
        update(workflow_json(SHOWS, description="new"), workflow_json(SHOWS), forbidden=HIDDEN),
    ),
    Case(
        "A1",
        f"action 'a' rollback http.clientCertificateSecretRef: {TOKEN}",
        create(workflow_json(UNDOES), forbidden=HIDDEN),
        create(workflow_json(UNDOES)),
    ),
    Case(
        "A1",
        f"parameter[0](x).{FROM}{GET}",
        update(workflow_json(http(), parameters=[param(source())]), workflow_json(http()), forbidden=HIDDEN),
        update(
            workflow_json(http("b"), parameters=[param(source())]),
            workflow_json(http(), parameters=[param(source())]),
            forbidden=HIDDEN,
        ),
    ),
    Case(
        "A1",
        f"parameter[0](x).{FROM}{GET}",
        update(
            workflow_json(http(), parameters=[param(source(jsonPath="{.data.b}"))]),
            workflow_json(http(), parameters=[param(source())]),
            forbidden=HIDDEN,
        ),
        update(
            workflow_json(http(), parameters=[param(name="y"), param(source())]),
            workflow_json(http(), parameters=[param(source())]),
            forbidden=HIDDEN,
        ),
    ),
    Case(
        "A1",
        f"globalParams[0](x).{FROM}{ANY}",
        update(
            plan_json(globalParams=[param(source("$(params.region)")), REGION]),
            plan_json(globalParams=[param(source("$(params.region)")), {**REGION, "value": "a"}]),
            stored_workflows=[workflow_json(http())],
            forbidden=HIDDEN,
        ),
        update(
            plan_json(description="new", globalParams=[param(source("$(params.region)")), REGION]),
            plan_json(globalParams=[param(source("$(params.region)")), REGION]),
            stored_workflows=[workflow_json(http())],
            forbidden=HIDDEN,
        ),
    ),
    Case(
        "A2",
        f"params[0](x).{FROM}namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace",
        ex(param(source("a", "drplan-system"))),
        ex(param(source("a", "drplan-systems"))),
    ),
    Case(
        "A2",
        f"globalParams[0](x).{FROM}namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace",
        unchecked(pl(param(source("", "drplan-system", labelSelector="a=b")))),
        pl(param(source("", labelSelector="a=b"))),
    ),
    Case(
        "A2",
        "stage[0] 's' workflow[0]: parameter 'x' of workflow default/w: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace",
        ex(
            param(name="where", value="drplan-system"),
            known=workflow_json(http(), parameters=[param(source("site", "$(params.where)"))]),
        ),
        ex(
            param(name="where", value="shop"),
            known=workflow_json(http(), parameters=[param(source("site", "$(params.where)"))]),
        ),
    ),
    Case(
        "A3",
        f"params[0](x).{FROM}whether user \"jane\" may read this cannot be checked: the API server serves no kind 'Wdiget' in apiVersion 'example.com/v1'; check the spelling, or install its CustomResourceDefinition",
        ex(param(source(kind="Wdiget", apiVersion="example.com/v1"))),
        ex(param(source(kind="Widget", apiVersion="example.com/v1"))),
    ),
    Case(
        "A3",
        f'parameter[0](x).{FROM}whether user "jane" may read this cannot be checked: apiVersion must be <version> or <group>/<version>, as v1 or apps/v1, found "../api/v1"',
        wf(param(source(apiVersion="../api/v1"))),
        wf(param(source())),
    ),
    Case(
        "A4",
        "more than 1000 values are read from the cluster; give some of them in the object itself",
        wf(*MANY),
        wf(*MANY[1:]),
    ),
    Case(
        "A5",
        f"params[0](x).{FROM}name has a placeholder; a reference of an execution says by itself what is read",
        ex(param(source("$(params.y)"))),
        ex(param(source("$(HOSTNAME)", kind="B"))),
    ),
    Case(
        "A5",
        f"params[0](x).{FROM}namespace has a placeholder; a reference of an execution says by itself what is read",
        ex(param(source("a", "{{ .params.y }}"))),
        ex(param(source("a", "y"))),
    ),
    Case(
        "A5",
        f"params[0](x).{FROM}labelSelector has a placeholder; a reference of an execution says by itself what is read",
        ex(param(source("", labelSelector="a=$(mode)"))),
        ex(param(source("", labelSelector="a=b"))),
    ),
]
