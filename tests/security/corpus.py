"""Objects that an author may write to hold up an event loop or to fill memory: each about as large as etcd lets it be.

One entry stands for a kind: many of something, one very long thing, something in each other, or something that
multiplies. Fuzzing changes their sizes and mixes them (`make fuzz`), the benchmark `hostile` sends all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.security.corpus_forms import FORMS
from tests.security.corpus_parts import (
    BYTES,
    Json,
    cel,
    filled,
    http,
    plan_of,
    reads,
    resource,
    stage,
    stored_object,
    workflow_of,
)
from tests.security.hostile_names import HOSTILE

NESTED_PATTERN = "((((a{1,30}){1,30}){1,30}){1,30})b"


def _outputs_of_others() -> Json:
    return workflow_of(*filled(lambda n: http(f"a{n}", http={"url": f"http://x/$(outputs.a{max(0, n - 1)}.body)"})))


def _outputs_in_a_graph() -> Json:
    def one(number: int) -> Json:
        before = f"a{number - 1}"
        uses = {"http": {"url": f"$(outputs.a0.body)$(outputs.{before}.body)"}, "dependsOn": [before]}
        return http(f"a{number}", **(uses if number else {}))

    return workflow_of(*filled(one))


def _outputs_with_dots() -> Json:
    name = ".".join("a" * 2_000)
    return workflow_of(http(name), *filled(lambda n: http(f"b{n}", http={"url": f"$(outputs.{name}.body)"})))


def _all_depend_on_all() -> Json:
    names: list[str] = []
    actions, size = [], 0
    while size < BYTES:
        actions.append(http(f"a{len(names)}", dependsOn=list(names)))
        names.append(f"a{len(names)}")
        size += len(json.dumps(actions[-1]))
    return workflow_of(*actions)


def _nested_json(levels: int, opening: str, closing: str) -> Json:
    inner = json.loads(opening * levels + "1" + closing * levels)
    return workflow_of(http("a", rollback={"type": "Job", "job": {"template": {"spec": {"a": inner}}}}))


def _bomb(key: str) -> str:
    first = f"a: &a {{{', '.join(f'x{n}: x' for n in range(9))}}}\n"
    return first + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} {key.format(','.join(['*' + chr(97 + n)] * 9))}\n" for n in range(12)
    )


def _named(api_version: str, kind: str, namespace: str, name: str) -> str:
    meta = {"name": name, "namespace": namespace.replace("NS", "default")}
    return json.dumps({"apiVersion": api_version, "kind": kind, "metadata": meta})


def _hostile_names(place: Callable[[str, str], Json]) -> Json:
    """A workflow with all hostile names, as often as fits; `place` makes an action of its name and a manifest."""
    manifests = [_named(*each[:4]) for each in HOSTILE]
    return workflow_of(*filled(lambda n: place(f"a{n}", manifests[n % len(manifests)])))


WORKFLOWS: dict[str, Callable[[], Json]] = {
    **FORMS,
    "outputs of the one before": _outputs_of_others,
    "outputs in a graph": _outputs_in_a_graph,
    "outputs by a name with dots": _outputs_with_dots,
    "outputs of nothing": lambda: workflow_of(*filled(lambda n: http(f"a{n}", http={"url": f"$(outputs.b{n}.body)"}))),
    "outputs in one text": lambda: workflow_of(
        http("a"), http("b", http={"url": "".join(filled(lambda n: f"$(outputs.a.body{n})"))})
    ),
    "outputs in rollbacks": lambda: workflow_of(
        *filled(lambda n: http(f"a{n}", rollback=http("", http={"url": f"$(outputs.a{n + 1}.bod)"})))
    ),
    "actions": lambda: workflow_of(*filled(lambda n: http(f"a{n}"))),
    "actions of one name": lambda: workflow_of(*filled(lambda _: http("a"))),
    "actions without anything": lambda: workflow_of(*filled(lambda _: {"name": "a", "type": "HTTP"})),
    "names that differ by blanks": lambda: workflow_of(*filled(lambda n: http(" " * (n % 50) + f"a{n // 50}"))),
    "all depend on all": _all_depend_on_all,
    "a chain written backwards": lambda: workflow_of(
        *filled(lambda n: http(f"a{n}", dependsOn=[f"a{n + 1}"] if n < 8_000 else []))
    ),
    "pairs that depend on each other": lambda: workflow_of(*filled(lambda n: http(f"a{n}", dependsOn=[f"a{n ^ 1}"]))),
    "near names": lambda: workflow_of(*filled(lambda n: http(f"action-number-{n}", dependsOn=[f"actoin-number-{n}"]))),
    "one action that depends on many": lambda: workflow_of(http("a", dependsOn=filled(lambda n: f"a{n}"))),
    "a long name": lambda: workflow_of(http("n" * BYTES)),
    "a long timeout": lambda: workflow_of(http("a", timeout="1h" * (BYTES // 2))),
    "a long number": lambda: workflow_of(http("a", retryPolicy={"backoffMultiplier": "1" * BYTES})),
    "a long interval": lambda: workflow_of(http("a", retryPolicy={"interval": "9" * BYTES + "s"})),
    "a long condition of modes": lambda: workflow_of(http("a", when=" || ".join(['mode == "install"'] * 50_000))),
    "blanks in a condition": lambda: workflow_of(http("a", when="mode" + " " * BYTES + "=")),
    "half placeholders": lambda: workflow_of(http("a", http={"url": "$(params." * 60_000 + "{{ " * 180_000})),
    "blanks in a placeholder": lambda: workflow_of(http("a", http={"url": ("{{" + " " * 5_000) * 200})),
    "look-alikes": lambda: workflow_of(http("a", http={"url": "".join(filled(lambda n: f"$(parms.x{n})"))})),
    "placeholders": lambda: workflow_of(http("a", http={"url": "".join(filled(lambda n: f"$(params.x{n}.y)"))})),
    "headers": lambda: workflow_of(
        http("a", http={"url": "http://x/", "headers": {f"h{n}": "$(params.x)" for n in range(30_000)}})
    ),
    "headers of one name": lambda: workflow_of(
        http("a", http={"url": "http://x/", "headers": {_cased(n): "x" for n in range(30_000)}})
    ),
    "success codes": lambda: workflow_of(http("a", http={"url": "http://x/", "successCodes": [200] * (BYTES // 4)})),
    "parameters": lambda: workflow_of(http("a"), parameters=filled(lambda n: {"name": f"p{n}", "value": "$(mode)"})),
    "parameters of one name": lambda: workflow_of(http("a"), parameters=filled(lambda _: {"name": "p"})),
    "selectors": lambda: workflow_of(
        http("a"),
        parameters=[
            {
                "name": "p",
                "valueFrom": {
                    "manifestRef": {
                        "apiVersion": "v1",
                        "kind": "ConfigMap",
                        "jsonPath": "{.a}",
                        "labelSelector": ",".join(filled(lambda n: f"a{n} in (b,c)")),
                    }
                },
            }
        ],
    ),
    "paths": lambda: workflow_of(
        http("a"),
        parameters=filled(
            lambda n: {
                "name": f"p{n}",
                "valueFrom": {
                    "manifestRef": {"apiVersion": "v1", "kind": "A", "name": "a", "jsonPath": "{" + "..*" * 60 + "}"}
                },
            }
        ),
    ),
    "hostile names": lambda: _hostile_names(resource),
    "hostile names in rollbacks": lambda: _hostile_names(
        lambda name, manifest: http(name, rollback={**resource("", manifest), "type": "KubernetesResource"})
    ),
    "hostile names in Lists": lambda: _hostile_names(
        lambda name, manifest: resource(name, f'{{"apiVersion": "v1", "kind": "List", "items": [{manifest}]}}')
    ),
    "hostile names by defaults": lambda: workflow_of(
        *filled(lambda n: resource(f"a{n}", _named("$(params.v)", "$(params.k)", "$(params.s)", "$(params.n)"))),
        parameters=[{"name": key, "default": HOSTILE[0][at]} for at, key in enumerate("vksn")],
    ),
    "a path that prints the same again and again": lambda: reads("{$}" * 1_300),
    "paths with long numbers": lambda: reads("{.a[?(@.b==" + "9" * 4_000 + ")]}"),
    "a path of half the object": lambda: workflow_of(
        http("a"), parameters=[{"name": "p", "valueFrom": {"manifestRef": {"jsonPath": "{$}" * 350_000}}}]
    ),
    "readyWhen": lambda: workflow_of(
        *filled(lambda n: {**resource(f"a{n}", "a: b"), "waitReady": True, "readyWhen": f"object.a.all(x, x == {n})"})
    ),
    "a long readyWhen": lambda: workflow_of({**resource("a", "a: b"), "readyWhen": "object.a + " * 100_000}),
    "names of Secrets for headers": lambda: workflow_of(
        *filled(
            lambda n: http(
                f"a{n}",
                http={
                    "url": "http://x/",
                    "headersFrom": [{"name": "Transfer_Encoding", "secretKeyRef": {"name": "../x", "key": "\r\n"}}],
                },
            )
        )
    ),
    "a path": lambda: workflow_of(
        http("a"),
        parameters=[
            {
                "name": "p",
                "valueFrom": {
                    "manifestRef": {"apiVersion": "v1", "kind": "A", "name": "a", "jsonPath": "{[?(@" * 200_000}
                },
            }
        ],
    ),
    "matches in a loop": lambda: cel(f"[{','.join(['1'] * 200)}].all(x, !planName.matches('{NESTED_PATTERN}'))"),
    "a long pattern": lambda: cel(f"planName.matches('{'a{1,9}' * 150}')"),
    "a pattern put together": lambda: cel("params.all(k, planName.matches(k + params[k] + k + params[k]))"),
    "a text that doubles": lambda: cel(f"{'+'.join(['params.x'] * 100)} == ''"),
    "a text that grows in a loop": lambda: cel(
        f"[{','.join(['1'] * 200)}].map(x, {'+'.join(['params.x'] * 50)}).size() > 1"
    ),
    "conditions nested": lambda: cel("(" * 400 + "true" + ")" * 400),
    "conditions in lists": lambda: cel("[" * 250 + "]" * 250 + " == []"),
    "conditions with operators": lambda: cel("!" * 1_000 + "true"),
    "choices in choices": lambda: cel("true?" * 150 + "true" + ":true" * 150),
    "different conditions": lambda: workflow_of(
        *filled(lambda n: http(f"a{n}", when=f"params.x{n} == 'y{n}' || size(params) > {n}"))
    ),
    "conditions on outputs": lambda: workflow_of(
        *filled(lambda n: http(f"a{n}", when=f"outputs.a{max(0, n - 1)}.body == 'y{n}'"))
    ),
    "yaml aliases": lambda: workflow_of(resource("r", _bomb("[{}]"))),
    "yaml merges": lambda: workflow_of(resource("r", _bomb("{{<<: [{}]}}"))),
    "yaml in each other": lambda: workflow_of(resource("r", "[" * BYTES)),
    "yaml mappings in each other": lambda: workflow_of(resource("r", "{a: " * 200_000)),
    "yaml lists in a line": lambda: workflow_of(resource("r", "- " * 400_000)),
    "yaml documents": lambda: workflow_of(resource("r", "---\na: b\n" * 100_000)),
    "yaml values": lambda: workflow_of(resource("r", "".join(filled(lambda n: f"k{n}: v\n")))),
    "yaml values of many actions": lambda: workflow_of(
        *filled(lambda n: resource(f"r{n}", f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n}}}\n"))
    ),
    "yaml keys": lambda: workflow_of(resource("r", f"? {'k' * 500_000}\n: v\n")),
    "yaml numbers": lambda: workflow_of(resource("r", f"a: {'1' * 500_000}\nb: 0x{'f' * 500_000}\n")),
    "yaml sexagesimals": lambda: workflow_of(resource("r", f"a: {':'.join(['59'] * 300_000)}\n")),
    "yaml floats": lambda: workflow_of(resource("r", f"a: 1{'_' * 500_000}.5e9\nb: .{'0' * 500_000}1\n")),
    "yaml tags": lambda: workflow_of(resource("r", "!!omap [" * 100_000)),
    "yaml text": lambda: workflow_of(resource("r", "a: |\n" + "  x\n" * 250_000)),
    "yaml with placeholders": lambda: workflow_of(resource("r", "".join(filled(lambda n: f"k{n}: $(params.x{n})\n")))),
    "lists in each other": lambda: _nested_json(240, "[", "]"),
    "objects in each other": lambda: _nested_json(240, '{"a":', "}"),
    "many small lists": lambda: workflow_of(http("a", rollback={"type": "HTTP", "x": [[]] * (BYTES // 3)})),
    "many members": lambda: workflow_of(http("a", rollback={f"k{n}": n for n in range(80_000)})),
    "a Job of many containers": lambda: workflow_of(
        {
            "name": "j",
            "type": "Job",
            "job": {
                "template": {
                    "spec": {"template": {"spec": {"containers": filled(lambda n: {"name": f"c{n}", "image": "i"})}}}
                }
            },
        }
    ),
    "a certificate": lambda: workflow_of(
        http("a", http={"url": "https://x/", "caBundle": "-----BEGIN CERTIFICATE-----\n" * 35_000})
    ),
    "feeds": lambda: workflow_of(
        {
            "name": "s",
            "type": "Subscription",
            "subscription": {
                "name": "s",
                "spec": {
                    "subscribers": [{"clusterAffinity": {}}],
                    "feeds": filled(lambda n: {"apiVersion": "v1", "kind": "A", "name": f"$(params.x{n})"}),
                },
            },
        }
    ),
    "unprintable text": lambda: workflow_of(http("\x01" * 150_000, dependsOn=["\x01" * 20_000])),
}

PLANS: dict[str, Callable[[], Json]] = {
    "stages": lambda: plan_of(*filled(lambda n: stage(f"s{n}"))),
    "stages in a chain written backwards": lambda: plan_of(
        *filled(lambda n: stage(f"s{n}", dependsOn=[f"s{n + 1}"] if n < 8_000 else []))
    ),
    "stages of one name": lambda: plan_of(*filled(lambda _: stage("s"))),
    "workflows of a stage": lambda: plan_of(stage("s", *filled(lambda n: f"w{n}", BYTES // 3))),
    "uses of one workflow": lambda: plan_of(stage("s", *["w"] * 2_000)),
    "missing workflows": lambda: plan_of(stage("s", *[f"missing-{n}" for n in range(2_000)])),
    "global parameters": lambda: plan_of(stage("s"), globalParams=filled(lambda n: {"name": f"p{n}", "value": "v"})),
    "parameters of uses": lambda: plan_of(
        {
            "name": "s",
            "workflows": [
                {"workflowRef": {"name": "w"}, "params": [{"name": f"p{n}", "value": "v"} for n in range(25)]}
                for _ in range(900)
            ],
        }
    ),
    "near parameters": lambda: plan_of(
        stage("s"), globalParams=filled(lambda n: {"name": f"parameter-number-{n}", "value": "$(params.paramter)"})
    ),
    "a long stage": lambda: plan_of(stage("s" * BYTES)),
}

EXECUTIONS: dict[str, Callable[[], Json]] = {
    "parameters": lambda: _execution(filled(lambda n: {"name": f"p{n}", "value": "v"})),
    "parameters of one name": lambda: _execution(filled(lambda _: {"name": "p", "value": "v"})),
    "references": lambda: _execution(
        filled(
            lambda n: {
                "name": f"p{n}",
                "valueFrom": {
                    "manifestRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "jsonPath": f"{{.data.{n}}}"}
                },
            }
        )
    ),
    "a long value": lambda: _execution([{"name": "p", "value": "v" * BYTES}]),
}


def _execution(params: list[Json]) -> Json:
    spec = {"planRef": "p", "operationType": "Execute", "mode": "Install", "params": params}
    return stored_object("DRPlanExecution", "e", spec)


def _cased(number: int) -> str:
    """One name in another letter case for each number."""
    return "".join(letter.upper() if number >> at & 1 else letter for at, letter in enumerate("abcdefghijklmnop"))


CORPUS: dict[str, Callable[[], Json]] = {
    f"{kind}: {name}": make
    for kind, entries in (("workflow", WORKFLOWS), ("plan", PLANS), ("execution", EXECUTIONS))
    for name, make in entries.items()
}
"""What makes each object, by kind and name of the entry."""
