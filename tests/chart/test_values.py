"""Every value is documented, has a schema, and is refused when it is unknown or of the wrong type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from generate.chart import HINTED, LIMITS, documented
from generate.crds import main

from .support import CHART, MODES, template

VALUES = (CHART / "values.yaml").read_text()
DOCUMENTED = {value.path for value in documented(VALUES)}


def undocumented(values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Leaves with no `# --` comment of their own or of a map around them."""
    for name, value in values.items():
        here = f"{path}{name}"
        if here in DOCUMENTED:
            continue
        if isinstance(value, dict):
            yield from undocumented(value, f"{here}.")
        else:
            yield here


def test_every_value_is_documented() -> None:
    assert list(undocumented(yaml.safe_load(VALUES))) == []


def test_every_documented_value_has_a_row_and_a_schema() -> None:
    readme = (CHART / "README.md").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    for path in DOCUMENTED:
        assert f"| `{path}` |" in readme
        node = schema
        for name in path.split("."):
            node = node["properties"][name]
        assert node["description"]


def test_limits_are_of_values_that_exist() -> None:
    assert LIMITS.keys() <= DOCUMENTED
    assert not DOCUMENTED & set(HINTED)


def test_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    crds, docs = CHART / "files" / "crds", CHART.parents[1] / "docs" / "api.md"
    assert main(["--check", str(crds), "--chart", str(CHART), "--docs", str(docs)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ("replicas=2", "", "'replicas' not allowed"),
        ("webhook.certificate.modus=x", "/webhook/certificate", "'modus' not allowed"),
        ("webhook.certificate.mode=magic", "/webhook/certificate/mode", "must be one of"),
        ("webhook.timeoutSeconds=31", "/webhook/timeoutSeconds", "maximum"),
        ("replicaCount=two", "/replicaCount", "got string, want integer"),
        ("controller.leaderElection=sure", "/controller/leaderElection", "got string, want boolean"),
        ("proxy.httpsProxy=proxy:3128", "/proxy/httpsProxy", "does not match pattern"),
        ("image.digest=latest", "/image/digest", "does not match pattern"),
        ("rbac.extraRules[0].group=apps", "/rbac/extraRules/0", "'group' not allowed"),
        ("controller.podDisruptionBudget.maxUnavailable=some", "/controller/podDisruptionBudget", "pattern"),
    ],
)
def test_wrong_values(value: str, path: str, found: str) -> None:
    answer = template(value)
    assert answer.returncode != 0
    assert path in answer.stderr
    assert found in answer.stderr


@pytest.mark.parametrize("mode", MODES)
def test_right_values(mode: str) -> None:
    answer = template("global.anything=1", "webhook.podDisruptionBudget.maxUnavailable=50%", *MODES[mode])
    assert answer.returncode == 0, answer.stderr
