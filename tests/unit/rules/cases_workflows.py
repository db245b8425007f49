"""The rule table, workflows: W1 to W61, U1 to U5, DW1 and the notices about workflows."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

import json
from typing import Any

from tests.unit.rules.builders import (
    CHART_SPEC,
    CONFIG_MAP,
    FEED,
    http,
    job,
    plan_json,
    resource,
    stage,
    typed,
    workflow_json,
)
from tests.unit.rules.rule_table import Case, Review, create, delete
from tests.unit.rules.test_workflow_rules import chart, glob, loc, no_spec, sub

Json = dict[str, Any]


def wf(*actions: Json, **spec: Any) -> Review:
    return create(workflow_json(*actions, **spec))


X = [{"name": "x", "default": "1"}]


def labelled(key: str) -> Json:
    spec = {"feeds": [FEED], "subscribers": [{"clusterAffinity": {"matchLabels": {key: "a"}}}]}
    return typed("Subscription", "subscription", {"name": "s", "namespace": "d", "spec": spec}, name="c")


def params(*parameters: Json) -> Review:
    return wf(http(), parameters=list(parameters))


def url(text: str, name: str = "a", **members: Any) -> Json:
    return http(name, http={"url": text}, **members)


def thing(name: str = "c", **members: Any) -> Json:
    """A KubernetesResource action on one object; `namespace` and `name` go into its metadata."""
    meta = {"name": name} | ({"namespace": members.pop("namespace")} if "namespace" in members else {})
    return resource(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **members}), name="a")


def secret_header(name: str) -> Json:
    return http(http={"url": "http://x", "headersFrom": [{"name": "A", "secretKeyRef": {"name": name, "key": "k"}}]})


THING = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
LISTED = "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: A, metadata: {{name: c}}}}\n- {{apiVersion: v1, kind: A, metadata: {{name: '{}'}}}}\n"
SOURCE: Json = {"manifestRef": {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}"}}
PERFECT = wf(http())


def read(**members: str) -> Review:
    return params({"name": "x", "valueFrom": {"manifestRef": {**SOURCE["manifestRef"], **members}}})


PATCH = resource(CONFIG_MAP, "Patch", name="a")
HEADLESS = resource("metadata: {name: c}\ndata:\n  $(params.data)\n", name="a")

CASES = [
    Case("W1", 'at least one action is required', create(workflow_json() | {"spec": {"actions": []}}), PERFECT),
    Case("W2", "action[1]: duplicate action name 'a'", wf(http(), http()), wf(http(), http("b"))),
    Case("W3", 'action[0]: name is required', wf(http("")), PERFECT),
    Case("W4", "action[0] 'a': HTTP configuration is required", wf(typed("HTTP", "http", None)), PERFECT),
    Case("W5", "action[0] 'a': HTTP.URL is required", wf(url("")), PERFECT),
    Case("W6", "action[0] 'a': Job configuration is required", wf(typed("Job", "job", None)), wf(job())),
    Case("W7", "action[0] 'a': Localization configuration is required", wf(typed("Localization", "localization", None)), wf(loc())),
    Case("W8", "action[0] 'a': Localization.Name is required", wf(loc(name="")), wf(loc())),
    Case("W8", "action[0] 'a': Localization.Namespace is required", wf(loc(namespace="")), wf(loc())),
    Case("W9", "action[0] 'a': Localization.Spec is required when operation=Create", wf(no_spec(loc())), wf(no_spec(loc(operation="Delete")))),
    Case("W10", "action[0] 'a': Localization.Spec.Feed (apiVersion, kind, name) is required when operation=Apply", wf(loc(operation="Apply", spec={})), wf(loc(operation="Patch", spec={}) | {"rollback": loc()})),
    Case("W11", "action[0] 'a': Globalization.Name is required", wf(glob(name="")), wf(glob())),
    Case("W12", "action[0] 'a': HelmChart.Namespace is required", wf(chart(namespace="")), wf(chart())),
    Case("W13", "action[0] 'a': HelmChart.Spec is required when operation=Create", wf(no_spec(chart())), wf(no_spec(chart(operation="Delete")))),
    Case("W14", "action[0] 'a': HelmChart.Spec.Repo is required when operation=Create", wf(chart(spec={**CHART_SPEC, "repo": ""})), wf(chart())),
    Case("W15", "action[0] 'a': Subscription.Name is required", wf(sub(name="")), wf(sub())),
    Case("W16", "action[0] 'a': Subscription.Spec is required when operation=Create", wf(no_spec(sub())), wf(no_spec(sub(operation="Delete")))),
    Case("W17", "action[0] 'a': Subscription.Spec.Feeds is required (at least one feed)", wf(sub(spec={"feeds": [], "subscribers": [{"clusterAffinity": {}}]})), wf(sub())),
    Case("W17", "action[0] 'a': Subscription.Spec.Subscribers is required (at least one subscriber)", wf(sub(spec={"feeds": [FEED], "subscribers": []})), wf(sub())),
    Case("W18", "action[0] 'a': KubernetesResource.Manifest is required", wf(resource("", name="a")), wf(resource(CONFIG_MAP))),
    Case("W19", "action[0] 'a': unsupported action type 'SSH'", wf({**http(), "type": "SSH"}), PERFECT),
    Case("W20", "action[0] 'a': rollback is required for KubernetesResource Patch operation", wf(PATCH), wf({**PATCH, "rollback": http()})),
    Case("W61", "action[0] 'a': rollbackPolicy Restore: the action has a rollback block, which decides alone: remove one of them", wf({**PATCH, "rollback": http(), "rollbackPolicy": "Restore"}), wf({**PATCH, "rollbackPolicy": "Restore"})),
    Case("W61", "action[0] 'a': rollbackPolicy Restore: nobody knows what takes an HTTP call back: give the action a rollback block, or rollbackPolicy: None", wf(http(rollbackPolicy="Restore")), wf(http(rollbackPolicy="None"))),
    Case("W61", "action[0] 'a': rollbackPolicy Delete: Delete creates nothing that could be deleted: use Restore", wf(resource(CONFIG_MAP, "Delete", name="a", rollbackPolicy="Delete")), wf(resource(CONFIG_MAP, "Delete", name="a", rollbackPolicy="Restore"))),
    Case("W61", "action[0] 'a': rollbackPolicy Restore: the data of Secrets is not recorded, so Secret shop/db cannot be given back: give the action a rollback block, or rollbackPolicy: None", wf(resource("{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}}", "Delete", name="a", rollbackPolicy="Restore")), wf(resource("{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}}", "Apply", name="a", rollbackPolicy="Restore"))),
    Case("W61", "action[0] 'a': rollbackPolicy Restore: Job shop/j would do its work a second time when it is made again: give the action a rollback block, or rollbackPolicy: None", wf(resource("{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop}}", "Delete", name="a", rollbackPolicy="Restore")), wf(resource("{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop}}", "Patch", name="a", rollbackPolicy="Restore"))),
    Case("W21", 'parameter[0]: name is required', params({"name": ""}), params({"name": "x"})),
    Case("W22", "parameter[1]: duplicate parameter name ''", params({"name": ""}, {"name": ""}), params({"name": "x"}, {"name": "y"})),
    Case("W23", 'unknown action "drains" in dependsOn of action "a"; did you mean \'drain\'?', wf(http(dependsOn=["drains"]), http("drain")), wf(http(dependsOn=["drain"]), http("drain"))),
    Case("W23", 'action "a" depends on itself', wf(http(dependsOn=["a"])), PERFECT),
    Case("W23", "cycle detected in action dependsOn graph (2 actions in cycle): [a b a]", wf(http(dependsOn=["b"]), http("b", dependsOn=["a"])), wf(http(dependsOn=["b"]), http("b"))),
    Case("W24", 'action[0] \'a\': invalid when expression "mode == install || mode == nope": unsupported mode value "nope" in when', wf(http(when="mode == install || mode == nope")), wf(http(when='mode == "install"'))),
    Case("W24", "action[0] 'a': invalid when expression \"mode\": it gives string, and must give bool", wf(http(when="mode")), wf(http(when="mode in ['install']"))),
    Case("W24", "action[0] 'a': invalid when expression \"mode == instal\": unsupported mode value \"instal\" in when, did you mean install?", wf(http(when="mode == instal")), wf(http(when="mode == install"))),
    Case("W25", "action[0] 'a': invalid timeout 0s: timeout must be positive", wf(http(timeout="0s")), wf(http(timeout="1h30m"))),
    Case("W25", "action[0] 'a': invalid timeout 5x: time: unknown unit \"x\" in duration \"5x\" (write a duration such as 90s, 5m or 1h30m)", wf(http(timeout="5x")), wf(http(timeout="5m"))),
    Case("W25", "action[0] 'a': invalid timeout 100ns: timeout must be at least 1ms (write a duration such as 90s, 5m or 1h30m)", wf(http(timeout="100ns")), wf(http(timeout="1ms"))),
    Case("N20", "parameter[0](replicas).value: an empty text counts as none, because its type is number; leave it out", create(workflow_json(http(), parameters=[{"name": "replicas", "type": "number", "value": ""}])), create(workflow_json(http(), parameters=[{"name": "replicas", "type": "string", "value": ""}]))),
    Case("N20", "parameter[0](on).default: an empty text counts as none, because its type is boolean; leave it out", create(workflow_json(http(), parameters=[{"name": "on", "type": "boolean", "default": ""}])), create(workflow_json(http(), parameters=[{"name": "on", "type": "boolean", "default": "false"}]))),
    Case("N21", "action[0] 'a': retryPolicy.interval 0s is shorter than the shortest delay, 100ms, which counts", wf(http(retryPolicy={"interval": "0s", "limit": 2147483647})), wf(http(retryPolicy={"interval": "100ms"}))),
    Case("N22", "action[0] 'a': retryPolicy.limit -1 counts as 3, the default: write 0 for no retries", wf(http(retryPolicy={"limit": -1})), wf(http(retryPolicy={"limit": 0}))),
    Case("W26", "action[0] 'a': invalid retry policy: backoff multiplier must be >= 1.0, got 0.500000", wf(http(retryPolicy={"backoffMultiplier": "0.5"})), wf(http(retryPolicy={"backoffMultiplier": "1.5"}))),
    Case("W27", "action[0] 'a': KubernetesResource.Manifest: apiVersion, metadata.name are required", wf(resource("kind: ConfigMap\nmetadata: {}", name="a")), wf(resource(CONFIG_MAP))),
    Case("W27", "action[0] 'a': KubernetesResource.Manifest is not valid YAML: line 5, column 12: 'maybe' is no bool", wf(resource(CONFIG_MAP + "immutable: !!bool maybe\n", name="a")), wf(resource(CONFIG_MAP + "immutable: !!bool yes\n", name="a"))),
    Case("W28", "action[0] 'a': rollback: timeout must be text, found 5: write \"5\"", wf(http(rollback={"http": {"url": "http://x"}, "timeout": 5})), wf(http(rollback={"http": {"url": "http://x"}, "timeout": "5s"}))),
    Case("W29", "action[0] 'a': $(outputs.b.body) cannot be resolved: the workflow has no action 'b'", wf(url("$(outputs.b.body)")), wf(http("b"), url("$(outputs.b.body)"))),
    Case("W29", "action[1] 'a': $(outputs.dran.body) cannot be resolved: the workflow has no action 'dran'; did you mean 'drain'?", wf(http("drain"), url("$(outputs.dran.body)")), wf(http("drain"), url("$(outputs.drain.body)"))),
    Case("W30", 'parameter[0]: parameter name "1x" must match [a-zA-Z][a-zA-Z0-9_-]*', params({"name": "1x"}), params({"name": "x1"})),
    Case("W31", 'parameter[0]: parameter name "mode" is reserved; use spec.mode of the execution instead', params({"name": "mode"}), params({"name": "node"})),
    Case("W32", 'parameter[0](x).default: must be a decimal number, because the type is number; found "many"', params({"name": "x", "type": "number", "default": "many"}), params({"name": "x", "type": "number", "default": "-1.5"})),
    Case("W27", """action[0] 'a': KubernetesResource.Manifest: duplicate field "x": leave one of them out, or set fieldValidation: Ignore""", wf(resource(CONFIG_MAP + "data: {x: a, x: b}\n", name="a")), wf(resource(CONFIG_MAP + "data: {x: a, x: b}\n", name="a", fieldValidation="Ignore"), resource(CONFIG_MAP + "data: {x: a, y: {x: b}}\n", name="b"))),
    Case("W24", """action[0] 'a': invalid when expression "params.x == '$(params.x)'": $(params.x) stays as it is, since conditions take no placeholders: write params.x""", wf(http(when="params.x == '$(params.x)'"), parameters=X), wf(http(when="params.x == '$(X)' || params.x == '$$(params.x)'"), parameters=X)),
    Case("W29", "action[0] 'c': $(params.x.y) cannot be resolved: parameters are texts, write $(params.x)", wf(labelled("$(params.x.y)"), parameters=X), wf(labelled("$(params.x)"), parameters=X)),
    Case("W39", "action[0] 'a': HTTP.HeadersFrom[0].secretKeyRef.key: $(params.x) is not replaced here: write the name itself", wf(http(http={"url": "http://x", "headersFrom": [{"name": "A", "secretKeyRef": {"name": "a", "key": "$(params.x)"}}]}), parameters=X), wf(http(http={"url": "http://x", "headersFrom": [{"name": "A", "secretKeyRef": {"name": "a", "key": "x"}}]}), parameters=X)),
    Case("W39", "action[0] 'a': HTTP.ClientCertificateSecretRef.name: $(mode) is not replaced here: write the name itself", wf(http(http={"url": "https://x", "clientCertificateSecretRef": {"name": "tls-$(mode)"}})), wf(http(http={"url": "https://x", "clientCertificateSecretRef": {"name": "tls"}}))),
    Case("W60", """action[0] 'a': invalid readyWhen "object.status.role == '$(mode)'": $(mode) stays as it is, since conditions take no placeholders: write the value""", wf(resource(CONFIG_MAP, name="a", readyWhen="object.status.role == '$(mode)'", waitReady=True)), wf(resource(CONFIG_MAP, name="a", readyWhen="object.status.role == '$(X)'", waitReady=True))),
    Case("W60", "action[0] 'a': readyWhen has no effect without waitReady: add waitReady: true, or remove readyWhen", wf(resource(CONFIG_MAP, name="a", readyWhen="Ready")), wf(resource(CONFIG_MAP, name="a", readyWhen="example.com/Ready", waitReady=True))),
    Case("W60", "action[0] 'a': readyWhen is for KubernetesResource actions; remove it, or use that type instead of HTTP", wf(http(readyWhen="Ready")), wf(http())),
    Case("W60", """action[0] 'a': invalid readyWhen "objct.status.phase == 'x'": column 13: "objct.status.phase" is not known; the only variable is object; it may name a condition, or be a CEL expression over object""", wf(resource(CONFIG_MAP, name="a", readyWhen="objct.status.phase == 'x'", waitReady=True)), wf(resource(CONFIG_MAP, name="a", readyWhen="object.status.phase == 'x'", waitReady=True))),
    Case("W60", """action[0] 'a': invalid readyWhen "size(object.status)": it gives int, and must give bool""", wf(resource(CONFIG_MAP, name="a", readyWhen="size(object.status)", waitReady=True)), wf(resource(CONFIG_MAP, name="a", readyWhen="size(object.status) > 1", waitReady=True))),
    Case("W60", """action[0] 'a': invalid readyWhen "object.a.all(x, object.b.all(y, x == y))": loops (all, exists, exists_one, map, filter) must not stand in each other""", wf(resource(CONFIG_MAP, name="a", readyWhen="object.a.all(x, object.b.all(y, x == y))", waitReady=True)), wf(resource(CONFIG_MAP, name="a", readyWhen="object.a.all(x, x.ready)", waitReady=True))),
    Case("W33", 'parameter[0](x).valueFrom.manifestRef: kind is required', params({"name": "x", "valueFrom": {"manifestRef": {**SOURCE["manifestRef"], "kind": ""}}}), params({"name": "x", "valueFrom": SOURCE})),
    Case("W34", "action[0] 'a': Subscription.Spec is required when operation=Apply", wf(no_spec(sub(operation="Apply"))), wf(sub(operation="Apply"))),
    Case("W35", "action[0] 'a': Job.TTLSecondsAfterFinished must not be negative, found -1", wf(job("a", job={**job()["job"], "ttlSecondsAfterFinished": -1})), wf(job("a", job={**job()["job"], "ttlSecondsAfterFinished": 0}))),
    Case("W35", "action[0] 'a': Job.Template.Spec.TTLSecondsAfterFinished must not be negative, found -5", wf(job("a", job={"template": {"spec": {**job()["job"]["template"]["spec"], "ttlSecondsAfterFinished": -5}}})), wf(job("a", job={"ttlSecondsAfterFinished": 1, "template": {"spec": {**job()["job"]["template"]["spec"], "ttlSecondsAfterFinished": -5}}}))),
    Case("W35", "action[0] 'a': HTTP.SuccessCodes[1] must be an HTTP status code (100 to 599), found 42", wf(http(http={"url": "http://x", "successCodes": [200, 42]})), wf(http(http={"url": "http://x", "successCodes": [200, 599]}))),
    Case("W36", "action[1] 'c': $(outputs.b.bdy) cannot be resolved: action 'b' of type HTTP has no output 'bdy', only statusCode, body; did you mean 'body'?", wf(http("b"), url("$(outputs.b.bdy)", "c")), wf(http("b"), url("$(outputs.b.body)", "c"))),
    Case("W37", "action[1] 'c': $(outputs.b.body) cannot be resolved: action 'b' never runs when this one does, because of their conditions (when)", wf(http("b", when='mode == "delete"'), url("$(outputs.b.body)", "c", when='mode == "install"')), wf(http("b", when='mode == "install"'), url("$(outputs.b.body)", "c", when='mode == "install"'))),
    Case("W38", "action[1] 'b': outputs.drains in when can never be there: the workflow has no action 'drains'; did you mean 'drain'?", wf(http("drain"), http("b", when="outputs.drains.body == ''")), wf(http("drain"), http("b", when="outputs.drain.body == ''"))),
    Case("W39", "action[0] 'a': HTTP.URL must begin with http:// or https://, found 'htpp'; did you mean 'http'?", wf(http(http={"url": "htpp://x"})), wf(http(http={"url": "HTTPS://x:8443/$(params.path)"}))),
    Case("W39", "action[0] 'a': HTTP.URL must begin with http:// or https://, found no scheme", wf(http(http={"url": "example.com/hook"})), wf(http(http={"url": "$(params.url)"}))),
    Case("W39", "action[0] 'a': HTTP.URL must begin with http:// or https://", wf(http(http={"url": "example.com/$(params.path)"})), wf(http(http={"url": "http$(params.s)://x"}))),
    Case("W39", "action[0] 'a': HTTP.URL must have a host, and a port from 1 to 65535 if it has one", wf(http(http={"url": "http://x:99999/"})), wf(http(http={"url": "http://[::1]:1/"}))),
    Case("W39", "action[0] 'a': HTTP.URL must have a host, and a port from 1 to 65535 if it has one", wf(http(http={"url": "http:///path"})), wf(http(http={"url": "http://x"}))),
    Case("W39", "action[0] 'a': HTTP.URL has a line end or control character", wf(http(http={"url": "http://x/\n"})), wf(http(http={"url": "http://x"}))),
    Case("W39", "action[0] 'a': HTTP.Headers: 'X Site' is no name of a header: letters, digits and - are accepted", wf(http(http={"url": "http://x", "headers": {"X Site": "a"}})), wf(http(http={"url": "http://x", "headers": {"X-Site": "a\tü"}}))),
    Case("W39", "action[0] 'a': HTTP.Headers: the value of X-Site has a line end or control character, which HTTP forbids", wf(http(http={"url": "http://x", "headers": {"X-Site": "a\n"}})), wf(http(http={"url": "http://x"}))),
    Case("W39", "action[0] 'a': HTTP.Headers: 'Host' belongs to the connection, which the controller makes: leave it out", wf(http(http={"url": "http://x", "headers": {"Host": "a"}})), wf(http(http={"url": "http://x", "headers": {"X-Host": "a"}}))),
    Case("W39", "action[0] 'a': HTTP.Headers: 'Content_Length' belongs to the connection, which the controller makes: leave it out", wf(http(http={"url": "http://x", "headers": {"Content_Length": "1"}})), wf(http(http={"url": "http://x", "headers": {"X-Host": "a"}}))),
    Case("W39", "action[0] 'a': HTTP.HeadersFrom[0].name: 'Proxy-Authorization' belongs to the connection, which the controller makes: leave it out", wf(http(http={"url": "http://x", "headersFrom": [{"name": "Proxy-Authorization", "secretKeyRef": {"name": "s", "key": "k"}}]})), wf(http(http={"url": "http://x", "headersFrom": [{"name": "Authorization", "secretKeyRef": {"name": "s", "key": "k"}}]}))),
    Case("W39", "action[0] 'a': HTTP.RequestTimeout: invalid value 0s: timeout must be positive", wf(http(http={"url": "http://x", "requestTimeout": "0s"})), wf(http(http={"url": "http://x", "requestTimeout": "1m30s"}))),
    Case("W39", "action[0] 'a': HTTP.CABundle must be PEM certificates (-----BEGIN CERTIFICATE-----)", wf(http(http={"url": "http://x", "caBundle": "MIIB"})), wf(http(http={"url": "http://x"}))),
    Case("W33", 'parameter[0](x).valueFrom.manifestRef: labelSelector cannot be parsed: "a in (b" is no requirement such as a=b, a!=b, a, !a or a in (b,c)', read(labelSelector="a in (b"), read(labelSelector="a in (b, c),!d, e!=f")),
    Case("W33", "parameter[0](x).valueFrom.manifestRef: namespace is required, because a ConfigMap is namespaced", read(kind="ConfigMap", name="c"), read(kind="Node", name="n")),
    Case("W33", "parameter[0](x).valueFrom.manifestRef: name must consist of lower case letters, digits, '-' and '.', and have at most 253 characters", read(kind="ConfigMap", name="Site", namespace="n"), read(kind="ConfigMap", name="$(params.y)", namespace="$(params.z)")),
    Case("W33", "parameter[0](x).valueFrom.manifestRef: labelSelector has more than 4096 characters", read(labelSelector="$(params.y)" * 400), read(labelSelector="$(params.y)" * 300)),
    Case("W40", "parameter[0](x).valueFrom.manifestRef: $(outputs.a.body) in name cannot be resolved: references are read before the first action, when there are no outputs", read(name="$(outputs.a.body)"), read(name="$(params.a)-$(mode)-$(planName)-$(executionName)")),
    Case("W40", "parameter[0](x).valueFrom.manifestRef: $(params.a.b) in labelSelector cannot be resolved: parameters are texts, write $(params.a)", read(labelSelector="$(params.a.b)"), read(labelSelector="$(params.a)")),
    Case("N10", "parameter[0](x).valueFrom.manifestRef: $(param.a) in name is no placeholder and stays as it is; did you mean '$(params.a)'?", read(name="$(param.a)"), read(name="$(params.a)")),
    Case("W45", 'action[0] \'a\': KubernetesResource.Manifest: metadata.name must not be \'.\' or \'..\', or have \'/\' or \'%\' in it, found "../x"', wf(thing(name="../x")), wf(thing(name="x-$(params.y)"))),
    Case("W45", 'action[0] \'a\': KubernetesResource.Manifest: metadata.namespace must consist of lower case letters, digits and \'-\', and have at most 63 characters, found "drplan-system/configmaps/x"', wf(thing(name="..", namespace="drplan-system/configmaps/x")), wf(thing(namespace="$(params.a)$(params.b)"))),
    Case("W45", 'action[0] \'a\': KubernetesResource.Manifest document 1: apiVersion must be <version> or <group>/<version>, as v1 or apps/v1, found "/v1"', wf(resource(f"{THING}---\n{THING.replace('v1', '/v1')}", name="a")), wf(thing(apiVersion="$(params.group)/v1"))),
    Case("W45", 'action[0] \'a\': KubernetesResource.Manifest document 1: metadata.name must not be \'.\' or \'..\', or have \'/\' or \'%\' in it, found "a%2Fb"', wf(resource(LISTED.format("a%2Fb"), name="a")), wf(resource(LISTED.format("a:b"), name="a"))),
    Case("W45", 'action[0] \'a\': KubernetesResource.Manifest: metadata.name must not be \'.\' or \'..\', or have \'/\' or \'%\' in it, found "$(params.x)/log"', wf(thing(name="$(params.x)/log")), wf(thing(name="$(params.x)-log"))),
    Case("W45", 'action[0] \'a\': rollback: Localization: namespace must consist of lower case letters, digits and \'-\', and have at most 63 characters, found "a b"', wf(http(rollback=loc(namespace="a b"))), wf(http(rollback=loc(namespace="$(params.ns)")))),
    Case("W45", 'action[0] \'a\': http.headersFrom[0].secretKeyRef: name must not be \'.\' or \'..\', or have \'/\' or \'%\' in it, found "x/../y"', wf(secret_header("x/../y")), wf(secret_header("x.y"))),
    Case("W45", 'action[0] \'a\': KubernetesResource.Manifest: metadata.name must not be \'.\' or \'..\', or have \'/\' or \'%\' in it, found "..", by the values of its parameters', wf(thing(name="$(params.x)"), parameters=[{"name": "x", "default": ".."}]), wf(thing(name="$(params.x)"), parameters=[{"name": "x", "default": ""}])),
    Case("W46", "action[0] 'a': KubernetesResource.Manifest: ConfigMap drplan-system/c is refused: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace", wf(thing(namespace="drplan-system")), wf(thing(namespace="drplan-system-2"))),
    Case("W46", "action[0] 'a': KubernetesResource.Manifest: Namespace drplan-system is refused: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace", wf(thing(kind="Namespace", name="drplan-system")), wf(thing(kind="Namespace", name="shop"))),
    Case("W46", "action[0] 'a': Job: Job is refused: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace", wf(job("a", job={**job()["job"], "namespace": "drplan-system"})), wf(job("a"))),
    Case("W46", "action[0] 'a': Job: Job is refused: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace, by the values of its parameters", wf(job("a", job={**job()["job"], "namespace": "$(params.n)"}), parameters=[{"name": "n", "value": "drplan-system"}]), wf(job("a", job={**job()["job"], "namespace": "$(params.n)"}), parameters=[{"name": "n", "value": "shop"}])),
    Case("W46", "action[0] 'a': KubernetesResource.Manifest: DRPlanExecution c is refused: this belongs to drplan's own kinds (API group dr.bkbcs.tencent.com); actions, rollbacks and parameters may not touch it (docs/security.md has the list)", wf(thing(apiVersion="dr.bkbcs.tencent.com/v1alpha1", kind="DRPlanExecution")), wf(thing(apiVersion="dr.example.com/v1", kind="DRPlanExecution"))),
    Case("W46", "action[0] 'a': KubernetesResource.Manifest: Event c is refused: this belongs to Events (the core API); actions, rollbacks and parameters may not touch it (docs/security.md has the list)", wf(thing(kind="Event")), wf(thing(apiVersion="stable.example.com/v1", kind="Event"))),
    Case("W46", "action[0] 'a': KubernetesResource.Manifest: CustomResourceDefinition drplans.dr.bkbcs.tencent.com is refused: this defines one of drplan's own kinds; actions, rollbacks and parameters may not touch it (docs/security.md has the list)", wf(thing(apiVersion="apiextensions.k8s.io/v1", kind="CustomResourceDefinition", name="drplans.dr.bkbcs.tencent.com")), wf(thing(apiVersion="apiextensions.k8s.io/v1", kind="CustomResourceDefinition", name="crontabs.stable.example.com"))),
    Case("W46", "action[0] 'a': KubernetesResource.Manifest: Secret c is refused: a Secret of type kubernetes.io/service-account-token is a login of the cluster; actions, rollbacks and parameters may not touch it (docs/security.md has the list)", wf(thing(kind="Secret", type="kubernetes.io/service-account-token")), wf(thing(kind="Secret", type="kubernetes.io/tls"))),
    Case("A2", 'parameter[0](x).valueFrom.manifestRef: this belongs to Leases (API group coordination.k8s.io); actions, rollbacks and parameters may not touch it (docs/security.md has the list)', read(apiVersion="coordination.k8s.io/v1", kind="Lease", name="l", namespace="n"), read(apiVersion="example.com/v1", kind="Lease", name="l", namespace="n")),
    Case("W33", 'parameter[0](x).valueFrom.manifestRef: apiVersion must be <version> or <group>/<version>, as v1 or apps/v1', read(apiVersion="/v1"), read(apiVersion="example.com/v1")),
    Case("W27", "action[0] 'a': KubernetesResource.Manifest: metadata.namespace must be text (put it in quotes)", wf(thing(namespace=7)), wf(thing(namespace="7"))),
    Case("U1", "action[0] 'a': waitReady of Subscription actions is not supported yet: remove it, the action then succeeds once the Subscription is stored", wf(sub({"waitReady": True})), wf(sub())),
    Case("U2", "action[0] 'a': clusterExecutionMode PerCluster is not supported yet: use Global, or leave it out", wf(sub({"clusterExecutionMode": "PerCluster"})), wf(sub({"clusterExecutionMode": "Global"}))),
    Case("U3", "action[0] 'a': hookType pre-rollback is not supported yet: put what it does into the rollback of an action", wf(http(hookType="pre-rollback")), PERFECT),
    Case("U4", "action[0] 'a': hookCleanup (onSuccess) is not supported yet: delete the Subscription by an action of its own", wf(sub({"hookCleanup": {"onSuccess": True}})), wf(sub({"hookCleanup": {"onSuccess": False}}))),
    Case("U5", 'executor.type Argo is not supported yet: use Native, or leave executor out', wf(http(), executor={"type": "Argo"}), wf(http(), executor={"type": "Native"})),
    Case("DW1", 'cannot delete DRWorkflow default/nginx-workflow: referenced by DRPlan(s): [default/nginx-plan]', delete(workflow_json(name="nginx-workflow"), stored_plans=[plan_json(stage("s", "nginx-workflow"), name="nginx-plan")]), delete(workflow_json(name="nginx-workflow"), stored_plans=[plan_json()])),
    Case("N1", "action[0] 'a': no custom rollback defined, will use automatic rollback (delete resource)", wf(resource(CONFIG_MAP, name="a")), wf(resource(CONFIG_MAP, name="a", rollback=http()))),
    Case("N2", "action[0] 'a': KubernetesResource.Manifest: apiVersion, kind are required", wf(HEADLESS), wf(resource(CONFIG_MAP, name="a"))),
    Case("N10", "action[0] 'a': $(param.host) in http.url is no placeholder and stays as it is; did you mean '$(params.host)'?", wf(url("$(param.host)")), wf(url("$(params.host)"))),
    Case("N10", "action[0] 'a': $(parms.host) in http.url is no placeholder and stays as it is; did you mean '$(params.host)'?", wf(url("$(parms.host)")), wf(url("$(HOSTNAME)$(pipes.x)$$(parms.host)"))),
    Case("N10", "action[0] 'a': $(plannName) in http.url is no placeholder and stays as it is; did you mean '$(planName)'?", wf(url("$(plannName)")), wf(url("$(planName)"))),
    Case("N11", "action[0] 'a': Job restartPolicy must be Never or OnFailure, found none: the API server will refuse the Job", wf(typed("Job", "job", {"template": {"spec": {"template": {"spec": {}}}}})), wf(job("a"))),
    Case("N12", "action[0] 'a': clusterExecutionMode PerCluster has no effect on HTTP actions", wf(http(clusterExecutionMode="PerCluster")), wf(http(clusterExecutionMode="Global"))),
    Case("N13", "action[0] 'a': hookCleanup has no effect on HTTP actions", wf(http(hookCleanup={"beforeCreate": True})), wf(http(hookCleanup={"beforeCreate": False}))),
    Case("N16", "action[0] 'a': rollback: unknown field 'tiemout', it is ignored; did you mean 'timeout'?", wf(http(rollback={"http": {"url": "http://x"}, "tiemout": "5s"})), wf(http(rollback={"http": {"url": "http://x"}, "timeout": "5s"}))),
]  # fmt: skip
