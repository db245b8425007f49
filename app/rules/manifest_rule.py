"""Rule W27: what a KubernetesResource action makes, changes or deletes is known before it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.engine.amounts import too_many
from app.rules.findings import Findings, Spot
from app.rules.manifests import Budget, ManifestError, load_documents, objects_in
from app.rules.remember import remembered
from app.rules.texts import placeholders_of

MOST_VALUES = 60_000
"""Values that the manifests of a workflow may have together. Reading one takes some 10 µs, in which nothing else is
done; a status has room for three thousand objects."""
_STAND_IN = "placeholder"
_ENCLOSED = re.compile(r"\$\([^$()]*\)|\{\{[^{}]*\}\}")
"""What may be a placeholder; replacing each by itself would take the square of the time."""
_SHORT = 4096
"""Characters of manifests whose problems are remembered."""


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What reading a manifest tells."""

    problems: tuple[str, ...]
    structural: bool
    """A placeholder stands alone on a line of it."""
    values: int
    """Values that were read; more than were allowed when there are more."""


def check_manifest(spot: Spot, text: str) -> None:
    """Rule W27: every document parses and has apiVersion, kind and metadata.name. `spot` is the manifest.

    A manifest has at most as many objects as can be recorded of one action (`app.engine.amounts`).

    Placeholders are replaced by a harmless word first. A manifest in which a placeholder stands alone on a line may get
    its structure only when it is rendered: there, problems are warnings (N2).
    """
    manifest = _within(spot.findings, text)
    if manifest is None:
        why = f"the manifests of the workflow have more than {MOST_VALUES} values: use several workflows"
        spot.error("W27", f"KubernetesResource.Manifest: {why}", runnable=True)
        return
    for problem in manifest.problems:
        if manifest.structural:
            spot.warn("N2", problem)
        else:
            spot.error("W27", problem)


def _within(findings: Findings, text: str) -> _Manifest | None:
    """What a manifest tells; None when those of the workflow have too many values, or had before this one."""
    left = MOST_VALUES - findings.manifest_values
    if left < 0:
        return None
    manifest = _known(text) if len(text) <= _SHORT else _read(text, left)
    findings.manifest_values += manifest.values
    return manifest if manifest.values <= left else None


@remembered(_SHORT)
def _known(text: str) -> _Manifest:
    return _read(text, MOST_VALUES)


def _read(text: str, most: int) -> _Manifest:
    """What a manifest tells that may have so many values."""
    stand_in, structural = _without_placeholders(text)
    budget = Budget(most)
    problems = _problems(stand_in, budget)
    return _Manifest(problems, structural, most - budget.left)


def _problems(text: str, budget: Budget) -> tuple[str, ...]:
    try:
        documents = load_documents(text, budget)
    except ManifestError as error:
        return (f"KubernetesResource.Manifest is not valid YAML: {error}",)
    objects = [obj for document in documents for obj in objects_in(document)]
    if not objects:
        return ("KubernetesResource.Manifest contains no object",)
    if problem := too_many(len(objects)):
        return (f"KubernetesResource.Manifest: {problem}",)
    problems = []
    for index, document in enumerate(objects):
        where = f" document {index}" if len(objects) > 1 else ""
        missing = _missing(document)
        problems += [f"KubernetesResource.Manifest{where}: {missing}"] if missing else []
    return tuple(problems)


def _without_placeholders(text: str) -> tuple[str, bool]:
    """The text with words in place of placeholders, and whether one of them stood alone on its line."""
    written = {found.text for found in placeholders_of(text)}
    if not written:
        return text, False
    structural = any(line.strip() in written for line in text.splitlines())
    return _ENCLOSED.sub(lambda found: _STAND_IN if found[0] in written else found[0], text), structural


def _missing(document: object) -> str:
    """What keeps a document from being an object of the API; empty when nothing does."""
    if not isinstance(document, dict):
        return f"an object with apiVersion, kind and metadata.name is required, found {_kind_of(document)}"
    metadata = document.get("metadata")
    members = {
        "apiVersion": document.get("apiVersion"),
        "kind": document.get("kind"),
        "metadata.name": metadata.get("name") if isinstance(metadata, dict) else None,
    }
    missing = [name for name, value in members.items() if value is None or value == ""]
    wrong = [name for name, value in members.items() if name not in missing and not isinstance(value, str)]
    if missing:
        hint = ""
        if "metadata.name" in missing and isinstance(metadata, dict) and metadata.get("generateName"):
            hint = " (generateName cannot be used: a run must find its object again after a restart)"
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} required{hint}"
    return f"{', '.join(wrong)} must be text (put it in quotes)" if wrong else ""


def _kind_of(document: object) -> str:
    return {list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}.get(
        type(document), "something else"
    )
