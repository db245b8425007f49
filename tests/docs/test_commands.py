"""Commands that the documentation names exist, with the flags that it gives them."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from devcluster import ensure
from drplan import controller, dev, downgrade, lint, selftest, version, webhook
from tests.docs.pages import PAGES, commands, name_of
from tests.support.cluster import REPOSITORY

GLOBAL_KUBECTL = {"-n", "--namespace", "-A", "--all-namespaces", "--as", "--kubeconfig", "--raw"}
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def _words(command: str) -> list[str]:
    return shlex.split(command)


def _flags(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}


def _cases(program: str) -> list[object]:
    found = dict.fromkeys((name_of(page), command) for page in PAGES for command in commands(page, program))
    return [pytest.param(command, id=f"{page}: {command}"[:120]) for page, command in found]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drplan")
    subcommands = parser.add_subparsers(required=True)
    for module in (controller, webhook, lint, selftest, downgrade, dev, version):
        module.add_commands(subcommands)
    return parser


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: sub for group in groups for name, sub in group.choices.items()}


def _problems(parser: argparse.ArgumentParser, words: list[str]) -> Iterator[str]:
    subparsers = _subparsers(parser)
    if subparsers:
        if words and words[0] not in subparsers:
            yield f"there is no command {words[0]}"
        elif words:
            yield from _problems(subparsers[words[0]], words[1:])
        return
    known = {option for action in parser._actions for option in action.option_strings}
    yield from (f"there is no flag {flag}" for flag in sorted(_flags(words) - known))


@pytest.mark.parametrize("command", _cases("drplan"))
def test_drplan_commands(command: str) -> None:
    assert list(_problems(_parser(), _words(command)[1:])) == []


@cache
def _kubectl_help(subcommand: tuple[str, ...]) -> str:
    command = [str(ensure("kubectl")), *subcommand, "--help"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.mark.parametrize("command", _cases("kubectl"))
def test_kubectl_commands(command: str) -> None:
    words = [word for word in _words(command)[1:] if word != "..."]
    while words and words[0].startswith("-"):
        words = words[1 if "=" in words[0] else 2 :]
    subcommand = tuple(words[:2]) if words[0] in ("rollout", "auth", "create", "top", "config") else (words[0],)
    text = _kubectl_help(subcommand if subcommand[-1] != "-f" else subcommand[:1])
    known = set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)[=,]", text)) | GLOBAL_KUBECTL
    assert _flags(words) - known == set()


@pytest.mark.parametrize("command", _cases("helm"))
def test_helm_commands(command: str) -> None:
    words = _words(command)[1:]
    helm = [str(ensure("helm")), words[0], "--help"]
    text = subprocess.run(helm, capture_output=True, text=True, timeout=30, check=True).stdout
    known = set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", text))
    assert _flags(words) - known == set()


@pytest.mark.parametrize("command", _cases("make"))
def test_make_targets(command: str) -> None:
    targets = {word for word in _words(command)[1:] if "=" not in word}
    assert targets - TARGETS == set()


def test_the_pages_name_commands() -> None:
    page = Path(REPOSITORY / "docs" / "operating.md")
    assert len(list(commands(page, "kubectl"))) > 20
