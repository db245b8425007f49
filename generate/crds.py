"""``python -m generate.crds --write FOLDER...``: writes or checks CRDs, docs/api.md, what describes the chart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.schema.crds import KINDS, custom_resource_definition, to_yaml
from generate.chart import chart_readme, chart_schema
from generate.files import check, write
from generate.reference import api_reference


def generated(folders: Sequence[Path], reference: Path, chart: Path | None) -> dict[Path, str]:
    """Return every generated file with its text.

    Args:
        folders: each gets one CRD a kind.
        reference: file of the API reference.
        chart: folder of a chart, which gets a README and a schema of its values.
    """
    crds = {info.file_name: to_yaml(custom_resource_definition(info)) for info in KINDS}
    files = {folder / name: text for folder in folders for name, text in crds.items()}
    files[reference] = api_reference()
    if chart is not None:
        values = (chart / "values.yaml").read_text(encoding="utf-8")
        files |= {chart / "README.md": chart_readme(values), chart / "values.schema.json": chart_schema(values)}
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when all is written or up to date, 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m generate.crds", description="Generate CRDs, the API reference and the chart's."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, nargs="+", metavar="FOLDER", help="write the CRDs to these folders")
    action.add_argument(
        "--check", type=Path, nargs="+", metavar="FOLDER", help="exit 1 when the CRDs in these folders differ"
    )
    parser.add_argument("--docs", type=Path, default=Path("docs/api.md"), help="the API reference (%(default)s)")
    parser.add_argument("--chart", type=Path, help="folder of a Helm chart whose values are to be described")
    options = parser.parse_args(arguments)
    files = generated(options.write or options.check, options.docs, options.chart)
    if options.check:
        return 0 if check(files, "make crds") else 1
    write(files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
