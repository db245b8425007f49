"""The committed CRDs and docs/api.md are those that the models give."""

import re
from pathlib import Path

import pytest
import yaml

from app.schema import KINDS, custom_resource_definition
from app.schema.crds import kind_schema
from generate.crds import main
from generate.reference import SHARED

from .test_structural import nodes

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs" / "api.md"


FOLDERS = ("crds", "charts/drplan/files/crds")


def arguments(option: str, folder: Path) -> list[str]:
    return [option, *(str(folder / name) for name in FOLDERS), "--docs", str(folder / "docs" / "api.md")]


def test_committed_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("--check", REPOSITORY)) == 0, capsys.readouterr().err


@pytest.mark.parametrize("folder", FOLDERS)
def test_there_are_no_other_crds(folder: str) -> None:
    assert {path.name for path in (REPOSITORY / folder).iterdir()} == {info.file_name for info in KINDS}


def test_files_hold_what_is_generated() -> None:
    for info in KINDS:
        text = (REPOSITORY / "crds" / info.file_name).read_text()
        assert yaml.safe_load(text) == custom_resource_definition(info)
        assert "&id" not in text


def test_crds_fit_into_an_annotation_of_kubectl_apply() -> None:
    for info in KINDS:
        assert len(str(custom_resource_definition(info))) < 200_000


def test_write_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("--write", tmp_path)) == 0
    assert main(arguments("--check", tmp_path)) == 0
    assert capsys.readouterr() == ("", "")


def test_a_difference_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments("--write", tmp_path))
    path = tmp_path / "crds" / "dr.bkbcs.tencent.com_drplans.yaml"
    path.write_text(path.read_text().replace("maxItems: 10", "maxItems: 11"))
    assert main(arguments("--check", tmp_path)) == 1
    shown = capsys.readouterr().err
    assert "-                maxItems: 11" in shown
    assert "+                maxItems: 10" in shown
    assert "run `make crds`" in shown


@pytest.mark.parametrize(
    "name", [*(f"{folder}/dr.bkbcs.tencent.com_drworkflows.yaml" for folder in FOLDERS), "docs/api.md"]
)
def test_a_missing_file_is_a_difference_and_shown_in_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    main(arguments("--write", tmp_path))
    (tmp_path / name).unlink()
    assert main(arguments("--check", tmp_path)) == 1
    shown = capsys.readouterr().err
    assert name in shown
    assert "more lines" in shown
    assert len(shown.splitlines()) < 50


def test_names_columns_and_selectors() -> None:
    crds = {info.kind: custom_resource_definition(info) for info in KINDS}
    assert {kind: crd["metadata"]["name"] for kind, crd in crds.items()} == {
        "DRWorkflow": "drworkflows.dr.bkbcs.tencent.com",
        "DRPlan": "drplans.dr.bkbcs.tencent.com",
        "DRPlanExecution": "drplanexecutions.dr.bkbcs.tencent.com",
    }
    versions = {kind: crd["spec"]["versions"][0] for kind, crd in crds.items()}
    columns = {kind: v["additionalPrinterColumns"] for kind, v in versions.items()}
    assert {kind: [column["name"] for column in c if not column.get("priority")] for kind, c in columns.items()} == {
        "DRWorkflow": ["Phase", "Actions", "Age"],
        "DRPlan": ["Phase", "Last", "Current", "Last-Run", "Result", "When", "Age"],
        "DRPlanExecution": ["Plan", "Operation", "Phase", "Progress", "Duration", "Age", "Message"],
    }
    assert [column["name"] for column in columns["DRPlanExecution"] if column.get("priority")] == [
        "Mode",
        "Target",
        "Reverted-By",
        "Started",
        "Completed",
    ]
    assert versions["DRPlanExecution"]["selectableFields"] == [
        {"jsonPath": ".spec.planRef"},
        {"jsonPath": ".status.phase"},
    ]
    for crd in crds.values():
        assert crd["spec"]["scope"] == "Namespaced"
        assert crd["spec"]["names"]["categories"] == ["dr"]
        assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_the_reference_names_every_field() -> None:
    documented = set(re.findall(r"^\| `([^`]+)` \|", DOCS.read_text(), re.MULTILINE))
    names = {path.replace("[]", "").rsplit(".", 1)[-1] for path in documented}
    for info in KINDS:
        schema = kind_schema(info)
        for part in ("spec", "status"):
            for path, _ in nodes(schema["properties"][part]):
                if path and "job.template.spec." not in path and not path.endswith(("[]", "{}")):
                    assert path.rsplit(".", 1)[-1] in names, path


def test_links_in_the_reference_have_a_target() -> None:
    text = DOCS.read_text()
    targets = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links <= targets
    assert {name.lower() for name in SHARED} <= targets


def test_defaults_are_in_the_reference() -> None:
    text = DOCS.read_text()
    assert "| `spec.actions[].timeout` | string, at most 256 characters | `5m` |" in text
    assert '| `spec.actions[].clusterExecutionMode` | one of `""`, `Global`, `PerCluster` | `""` |' in text
    assert "| `spec.stages[].parallel` | boolean | `false` |" in text
    assert "| `priority` | integer (int32), 0 to 1000 | - |" in text
