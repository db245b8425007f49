"""`drplan lint`: check workflows, plans and executions in files by the rules of admission, without a cluster."""

from __future__ import annotations

import argparse
import io
import sys

_EXIT_CODES = """exit codes: 0 nothing worse than warnings, 1 errors, 2 some input could not be read.
docs/linting.md says more, docs/rules.md lists the rules."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `lint` to the command line; its default `run` is what it does."""
    parser = commands.add_parser(
        "lint", help="check files by the rules of admission", description=__doc__, epilog=_EXIT_CODES
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a YAML or JSON file, a folder (with all .yaml, .yml and .json files below it), or - for standard input",
    )
    parser.add_argument(
        "--format", choices=("text", "json", "sarif"), default="text", help="what is printed (default: text)"
    )
    parser.add_argument("--strict", action="store_true", help="count warnings as errors")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="RULE",
        help="leave out the warnings of this rule, such as N1; may be repeated. Errors cannot be left out",
    )
    parser.add_argument(
        "--namespace",
        "-n",
        default="default",
        metavar="NAMESPACE",
        help="namespace of objects that name none (default: default)",
    )
    parser.add_argument(
        "--controller-namespace",
        default="drplan-system",
        metavar="NAMESPACE",
        help="namespace of the controller, which no action may touch (default: drplan-system)",
    )
    parser.set_defaults(run=lambda arguments: _run(arguments, parser))


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from app.lint.check import lint
    from app.lint.output import as_json, as_text
    from app.lint.sarif import as_sarif
    from app.rules.catalogue import RULES

    unknown = sorted(set(arguments.ignore) - RULES.keys())
    if unknown:
        parser.error(f"argument --ignore: there is no rule {', '.join(unknown)}; docs/rules.md lists them")
    result = lint(
        arguments.files,
        sys.stdin.buffer,
        namespace=arguments.namespace,
        strict=arguments.strict,
        ignored=frozenset(arguments.ignore),
        own_namespace=arguments.controller_namespace,
    )
    shown = {"text": as_text, "json": as_json, "sarif": as_sarif}[arguments.format](result)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has every character
    print(shown, end="")
    return result.exit_code
