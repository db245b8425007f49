"""``python -m app.schema --write FOLDER...``: writes the CRDs and docs/api.md, or checks that they are up to date."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from app.schema.crds import KINDS, custom_resource_definition, to_yaml
from app.schema.reference import api_reference

SHOWN_LINES = 40
"""Lines of each difference that `--check` prints."""


def generated(folders: Sequence[Path], reference: Path) -> dict[Path, str]:
    """Return every generated file with its text: one CRD a kind in each of ``folders``, and the API reference."""
    crds = {info.file_name: to_yaml(custom_resource_definition(info)) for info in KINDS}
    files = {folder / name: text for folder in folders for name, text in crds.items()}
    return {**files, reference: api_reference()}


def difference(path: Path, expected: str) -> list[str]:
    """Return how the file differs from what it should say, as a unified diff; empty when it does not."""
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    return list(
        difflib.unified_diff(
            found.splitlines(), expected.splitlines(), f"{path} (found)", f"{path} (generated)", lineterm="", n=1
        )
    )


def check(files: dict[Path, str]) -> bool:
    """Print how the files differ from what is generated. True when none does."""
    clean = True
    for path, expected in files.items():
        lines = difference(path, expected)
        if not lines:
            continue
        clean = False
        more = [f"... and {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
        sys.stderr.write("\n".join([*lines[:SHOWN_LINES], *more]) + "\n")
    if not clean:
        sys.stderr.write("generated files differ from the models: run `make crds` and commit the result\n")
    return clean


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when all is written or up to date, 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(prog="python -m app.schema", description="Generate CRDs and the API reference.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, nargs="+", metavar="FOLDER", help="write the CRDs to these folders")
    action.add_argument(
        "--check", type=Path, nargs="+", metavar="FOLDER", help="exit 1 when the CRDs in these folders differ"
    )
    parser.add_argument("--docs", type=Path, default=Path("docs/api.md"), help="the API reference (%(default)s)")
    options = parser.parse_args(arguments)
    files = generated(options.write or options.check, options.docs)
    if options.check:
        return 0 if check(files) else 1
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
