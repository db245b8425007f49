"""From YAML text to objects."""

import pytest

from app.rules.manifests.trees import ManifestError
from app.runtime import metrics
from app.runtime.workers import OverrunError, Workers
from controller.actions import manifests
from controller.actions.manifests import parse_manifest, read_manifest

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def test_values_are_what_kubectl_sees() -> None:
    text = (
        HEAD + "data:\n  time: 12:30:45\n  date: 2026-01-02\n  on: yes\n  2: two\n  mode: 0644\n  f: 1.5\n  z: null\n"
    )
    (obj,) = parse_manifest(text)
    assert obj["data"] == {
        "time": "12:30:45",
        "date": "2026-01-02",
        "true": True,
        "2": "two",
        "mode": 0o644,
        "f": 1.5,
        "z": None,
    }


def test_documents_and_lists_are_opened_up() -> None:
    items = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n"
    objects = parse_manifest(f"---\n{HEAD}---\n# only a comment\n---\n{items}")
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in objects] == [("ConfigMap", "a"), ("Pod", "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the manifest contains no object"),
        ("just text", "document 1 is text, expected an object with apiVersion, kind and metadata"),
        (HEAD + "---\n- 1\n", "document 2 is a list, expected an object"),
        ("apiVersion: v1\nmetadata: {name: a}", "Object 'Kind' is missing in 'unstructured object has no kind'"),
        ("kind: Pod\nmetadata: {name: a}", r"document 1 \(Pod\): apiVersion is required"),
        ("apiVersion: v1\nkind: Pod", r"document 1 \(Pod\): metadata is required"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}", "metadata.name is required"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 1.10}", "metadata.name is the number 1.1, expected text"),
        (HEAD + "data: {a: .nan}", "the number .nan has no counterpart in JSON"),
        (HEAD + "data: {? [1] : a}", "a list or an object cannot be a key"),
        (HEAD + "data: {~: a}", "null cannot be a key"),
        ("apiVersion: v1\nkind: List\nitems: [1]", "document 1 is the number 1, expected an object"),
    ],
)
def test_unusable_manifests(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_manifest(text)


DOUBLED = {
    f"{HEAD}data: {{a: b, a: c}}\n": "a",
    f"{HEAD}data:\n  1: b\n  '1': c\n": "1",
    f"{HEAD}---\n{HEAD}kind: ConfigMap\n": "kind",
    '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"a": "1", "b": "2", "a": "3"}}': "a",
    f"{HEAD}x: &x {{a: b, a: c}}\ny: *x\n": "a",
}
ONCE = [
    f"{HEAD}data: {{<<: {{a: b}}, a: c}}\n",
    f"{HEAD}data: {{a: c, <<: {{a: b}}}}\n",
    f"{HEAD}x: [{{a: b}}, {{a: c}}]\n",
    '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"a": {"a": "1"}}}',
]


@pytest.mark.parametrize("text", DOUBLED)
def test_doubled_keys_are_refused_where_fields_are_validated_strictly(text: str) -> None:
    assert parse_manifest(text)
    with pytest.raises(ManifestError, match=f'^strict decoding error: duplicate field "{DOUBLED[text]}": leave one'):
        parse_manifest(text, strict=True)


@pytest.mark.parametrize("text", ONCE)
def test_keys_that_stand_once_in_each_object_are_not_doubled(text: str) -> None:
    assert parse_manifest(text, strict=True) == parse_manifest(text)


def test_aliases_cannot_blow_up() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 10))
    with pytest.raises(ManifestError, match="values when its aliases are expanded"):
        parse_manifest(f"l0: &l0 x\n{levels}")


@pytest.mark.parametrize(
    ("text", "by_worker"),
    [
        (f"{HEAD}data: {{a: b}}\n", False),
        (f"{HEAD}data:\n" + "".join(f"  k{n}: v\n" for n in range(2_000)), True),
        (f"{HEAD}data: {{a: &a [x], b: *a}}\n", True),
        (f"{HEAD}data: [" + "1," * 3_000 + "\n", True),
    ],
)
async def test_what_may_take_long_is_read_by_a_worker_with_the_same_result(text: str, by_worker: bool) -> None:
    def calls() -> float:
        return metrics.REGISTRY.get_sample_value("drplan_worker_calls_total", {"result": "success"}) or 0

    before = calls()
    async with Workers("test", processes=1) as workers:
        found: list[object] = []
        for reader in (None, workers):
            try:
                found.append(await read_manifest(text, reader))
            except ManifestError as error:
                found.append(str(error))
    assert found[0] == found[1]
    assert calls() - before == by_worker


async def test_an_action_whose_manifest_nobody_can_read_in_time_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifests, "SECONDS", 0.01)
    async with Workers("test", processes=1) as workers:
        with pytest.raises(OverrunError, match="make it smaller or simpler"):
            await read_manifest("a: " + "b" * 10_000, workers)
