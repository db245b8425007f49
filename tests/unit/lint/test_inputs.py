"""What is read, what is skipped, what cannot be used, and where things stand."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
import yaml

from app.lint.check import lint
from app.lint.inputs import MAX_BYTES
from app.lint.positions import locate
from app.lint.result import Position
from app.rules.manifests.documents import load_with_positions
from tests.unit.lint.support import HEAD, found, lint_files, lint_text, places, rules
from tests.unit.rules.builders import http, plan_json, stage, workflow_json

PLAN = yaml.safe_dump(plan_json(stage("s", "gone")))
DOCUMENT = """\
a:
  b.c/d: {x: 1}
  b: 2
items:
- name: one
  deep:
  - - 1
    - 2
-   name: two
base: &base
  timeout: 5m
use:
  <<: *base
  own: 1
"1": number
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("", 1, 1),
        ("a", 1, 1),
        ("a.b.c/d", 2, 3),
        ("a.b.c/d.x", 2, 11),
        ("a.b", 3, 3),
        ("a.b.nothing", 3, 3),
        ("a.nothing.more", 1, 1),
        ("items[0]", 5, 3),
        ("items[0].name", 5, 3),
        ("items[0].deep[0][1]", 8, 7),
        ("items[1].name", 9, 5),
        ("items[1].missing", 9, 5),
        ("items[7].name", 4, 1),
        ("use.timeout", 11, 3),
        ("use.own", 14, 3),
        ("1", 15, 1),
    ],
)
def test_a_path_leads_to_the_place_where_it_is_written(path: str, line: int, column: int) -> None:
    (document,) = load_with_positions(DOCUMENT)
    assert locate("f", document.node, path) == Position("f", line, column)


def test_folders_are_read_with_all_below_them_in_order_and_each_file_once(tmp_path: Path) -> None:
    files = {
        "b.yaml": PLAN,
        "a/deep/c.yml": PLAN,
        "a/d.json": json.dumps(plan_json(name="q")),
        "a/.hidden.yaml": "a: [",
        ".git/e.yaml": "a: [",
        "a/readme.txt": "a: [",
    }
    result = lint_files(tmp_path, files, "", "b.yaml", "a/../b.yaml")
    assert (result.files, result.objects, result.exit_code) == (3, 3, 0)
    assert rules(result) == ["S6"]
    (issue,) = result.issues
    assert issue.position.file == str(tmp_path / "b.yaml")
    assert issue.message == f"DRPlan default/p is also at {tmp_path / 'a/deep/c.yml'}:1:1, the last one counts"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "not YAML: line 2, column 1: did not find expected node content"),
        (b"\xff\xfe\x00", "not UTF-8: byte 0"),
        (b"[" * 100_000, "not YAML: nested deeper than 100 levels"),
        (b"&a [*a]", "not YAML: line 1, column 1: an anchor contains itself"),
        (b"a: !!int x", "not YAML: line 1, column 4: 'x' is no int"),
        (b" " * (MAX_BYTES + 1), "larger than 16 MiB"),
    ],
    ids=["yaml", "encoding", "depth", "self", "tag", "size"],
)
def test_unusable_input_is_named_and_the_rest_is_checked(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    result = lint_files(tmp_path, {"good.yaml": PLAN.replace("gone", "w") + "---\n" + yaml.safe_dump(workflow_json())})
    assert result.exit_code == 2
    (note,) = result.unusable
    assert note.position.file == str(tmp_path / "bad.yaml")
    assert note.text.startswith(said)
    assert (result.files, result.objects) == (1, 2)


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").symlink_to("nowhere")
    result = lint_files(tmp_path, {"a.yaml": PLAN})
    assert (result.files, result.objects) == (1, 1)
    assert [Path(note.position.file).name for note in result.unusable] == ["c.yaml"]


def test_what_is_not_there_is_unusable(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = lint([str(tmp_path / "nothing.yaml"), str(empty)], io.BytesIO())
    assert [note.text for note in result.unusable] == [
        "cannot be read: No such file or directory",
        "the folder has no file that ends in .yaml, .yml, .json",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "closed.yaml").touch(mode=0)
    (note,) = lint_files(tmp_path, {}).unusable
    assert note.text == "cannot be read: Permission denied"


def test_other_kinds_are_skipped_with_a_note() -> None:
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n---\n- 1\n---\na: 1\n---\nkind: Pod\nkind: Pod\n"
    result = lint_text(text)
    assert [(note.position.line, note.text) for note in result.skipped] == [
        (1, "skipped: Pod x is none of DRWorkflow, DRPlan, DRPlanExecution"),
        (5, "skipped: not an object"),
        (7, "skipped: an object without apiVersion and kind is none of DRWorkflow, DRPlan, DRPlanExecution"),
        (9, "skipped: an object without apiVersion and kind is none of DRWorkflow, DRPlan, DRPlanExecution"),
    ]
    assert (result.issues, result.exit_code) == ([], 0)


def test_misspelt_kinds_and_versions_are_errors() -> None:
    result = lint_text(HEAD + "kind: DRPlam\n---\napiVersion: v1\nkind: DRPlan\n---\nkind: DRWorkflow\n")
    assert found(result) == [
        ("S4", "kind", "kind 'DRPlam' is not known in dr.bkbcs.tencent.com/v1alpha1; did you mean 'DRPlan'?"),
        ("S4", "apiVersion", "apiVersion of a DRPlan must be dr.bkbcs.tencent.com/v1alpha1, found 'v1'"),
        ("S4", "apiVersion", "apiVersion of a DRWorkflow must be dr.bkbcs.tencent.com/v1alpha1, found none"),
    ]
    assert places(result) == [("S4", 2, 1), ("S4", 4, 1), ("S4", 7, 1)]


@pytest.mark.parametrize(
    "head",
    [{"apiVersion": "v1", "kind": "List"}, {"apiVersion": "dr.bkbcs.tencent.com/v1alpha1", "kind": "DRPlanList"}],
)
def test_lists_are_taken_apart(head: dict[str, str]) -> None:
    items = [plan_json(stage("s"), stage("s")), {"apiVersion": "v1", "kind": "Pod"}]
    result = lint_text(json.dumps({**head, "items": items}, indent=1))
    assert [(issue.rule, issue.path, issue.target) for issue in result.issues] == [
        ("P2", "spec.stages[1].name", "DRPlan default/p")
    ]
    (issue,) = result.issues
    assert issue.position.line > 20
    assert len(result.skipped) == 1


def test_repeated_keys_warn_where_they_stand() -> None:
    text = yaml.safe_dump(workflow_json(http(timeout="5m")), sort_keys=False) + "    timeout: 6m\n"
    result = lint_text(text)
    assert found(result) == [("S3", "timeout", "key 'timeout' is repeated, only its last value counts")]
    assert result.issues[0].position.line == len(text.splitlines())


def test_keys_that_are_no_text_are_taken_as_kubectl_does() -> None:
    data = HEAD + "kind: DRPlan\nmetadata: {name: p, labels: {1: a, true: b}}\nspec:\n  stages: []\n  3: x\n"
    assert found(lint_text(data)) == [
        ("P1", "spec.stages", "at least one stage is required"),
        ("S2", "spec.3", "unknown field, the API server drops it"),
    ]


def test_empty_input_has_nothing_to_say() -> None:
    assert lint_text("").exit_code == 0
    assert lint_text("---\n# nothing\n").objects == 0
