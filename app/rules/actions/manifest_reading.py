"""What a KubernetesResource manifest says before it is rendered: which objects it names, and what keeps it from naming.

Placeholders are replaced by harmless words first, and put back into the names that are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.amounts import too_many
from app.models.stored import members
from app.rules.actions.targets import TargetObject, takes_values
from app.rules.actions.templated import placeholders_of
from app.rules.manifests.documents import doubled_problem, load_documents, objects_in
from app.rules.manifests.trees import Budget, ManifestError
from app.rules.remember import remembered

MOST_VALUES = 60_000
"""Values that the manifests of a workflow may have together. Reading one takes some 10 µs, in which nothing else is
done; a status has room for three thousand objects."""
_STAND_IN = "p1aceh0lder{}x"
_STOOD_IN = re.compile(r"p1aceh0lder(\d+)x")
_ENCLOSED = re.compile(r"\$\([^$()]*\)|\{\{[^{}]*\}\}")
"""What may be a placeholder; replacing each by itself would take the square of the time."""
_SHORT = 4096
"""Characters of manifests whose problems are remembered."""
MEMBER = "resource.manifest"
"""Where manifests are, below the action."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What reading a manifest tells."""

    problems: tuple[str, ...]
    structural: bool
    """A placeholder stands alone on a line of it."""
    values: int
    """Values that were read; more than were allowed when there are more."""
    targets: tuple[TargetObject, ...] = ()
    """The objects it names; Lists are opened."""
    open_targets: tuple[TargetObject, ...] = ()
    """Those of them whose names take values of the run."""
    doubled: str = ""
    """What strict reading says against keys that stand more than once in one object."""


def read_manifest(text: str, most: int) -> Manifest:
    """What a manifest tells that may have so many values."""
    return _known(text) if len(text) <= _SHORT else _read(text, most)


@remembered(_SHORT)
def _known(text: str) -> Manifest:
    return _read(text, MOST_VALUES)


def _read(text: str, most: int) -> Manifest:
    words = {each: _STAND_IN.format(n) for n, each in enumerate({found.text: 0 for found in placeholders_of(text)})}
    structural = bool(words) and any(line.strip() in words for line in text.splitlines())
    written = list(words)
    budget = Budget(most)
    try:
        documents = load_documents(_stood_in(text, words), budget)
    except ManifestError as error:
        problem = f"KubernetesResource.Manifest is not valid YAML: {error}"
        return Manifest((problem,), structural, most - budget.left)
    objects = [obj for document in documents for obj in objects_in(document)]
    if not objects:
        return Manifest(("KubernetesResource.Manifest contains no object",), structural, most - budget.left)
    if problem := too_many(len(objects)):
        return Manifest((f"KubernetesResource.Manifest: {problem}",), structural, most - budget.left)
    problems, targets = [], []
    for index, document in enumerate(objects):
        label = f"KubernetesResource.Manifest{f' document {index}' if len(objects) > 1 else ''}"
        missing = _missing(document)
        if missing:
            problems.append(f"{label}: {missing}")
        else:
            targets.append(_target(label, document, written))
    return Manifest(
        tuple(problems),
        structural,
        most - budget.left,
        tuple(targets),
        tuple(filter(takes_values, targets)) if words else (),
        _put_back(doubled_problem(budget.doubled), written),
    )


def _stood_in(text: str, words: Mapping[str, str]) -> str:
    """The text with a word in place of each placeholder."""
    return text if not words else _ENCLOSED.sub(lambda found: words.get(found[0], found[0]), text)


def _target(label: str, document: Any, written: Sequence[str]) -> TargetObject:  # noqa: ANN401 - decoded YAML
    metadata = document["metadata"]
    found = (document["apiVersion"], document["kind"], metadata.get("namespace") or "", metadata["name"])
    type_ = document.get("type")
    texts = (*found, type_ if isinstance(type_, str) else "")
    api_version, kind, namespace, name, type_text = (_put_back(text, written) for text in texts)
    return TargetObject(MEMBER, f"{label}: ", api_version, kind, namespace, name, type_text)


def _put_back(text: str, written: Sequence[str]) -> str:
    """The text with the placeholders that words stood in for."""
    if not written:
        return text
    return _STOOD_IN.sub(lambda found: written[int(found[1])] if int(found[1]) < len(written) else found[0], text)


def _missing(document: object) -> str:
    """What keeps a document from being an object of the API; empty when nothing does."""
    if not isinstance(document, dict):
        return f"an object with apiVersion, kind and metadata.name is required, found {_kind_of(document)}"
    metadata = document.get("metadata")
    inner = members(metadata)
    needed = {
        "apiVersion": document.get("apiVersion"),
        "kind": document.get("kind"),
        "metadata.name": inner.get("name"),
    }
    missing = [name for name, value in needed.items() if value is None or value == ""]
    given = {**needed, "metadata.namespace": inner.get("namespace")}
    wrong = [name for name, value in given.items() if value is not None and not isinstance(value, str)]
    if missing:
        hint = ""
        if "metadata.name" in missing and inner.get("generateName"):
            hint = " (generateName cannot be used: a run must find its object again after a restart)"
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} required{hint}"
    return f"{', '.join(wrong)} must be text (put it in quotes)" if wrong else ""


def _kind_of(document: object) -> str:
    return {list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}.get(
        type(document), "something else"
    )
