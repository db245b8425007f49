"""Rule W27: what a KubernetesResource action makes, changes or deletes is known before it runs."""

from __future__ import annotations

import yaml

from app.engine.templates import placeholders
from app.rules.findings import Spot
from app.rules.manifests import MAX_DEPTH, ManifestError, compose, load_documents
from app.rules.remember import remembered

_STAND_IN = "placeholder"
_SHORT = 4096
"""Characters of manifests that are remembered and may take the short way; nothing in them nests too deep to compose."""

_PREFIX = "tag:yaml.org,2002:"
_TEXT = f"{_PREFIX}str"
_PLAIN = frozenset({_TEXT, f"{_PREFIX}bool", f"{_PREFIX}null"})
_BOOLEANS = frozenset({"true", "false", "yes", "no", "on", "off"})
_REQUIRED = ("apiVersion", "kind")


def check_manifest(spot: Spot, text: str) -> None:
    """Rule W27: every document parses and has apiVersion, kind and metadata.name. `spot` is the manifest.

    Placeholders are replaced by a harmless word first. A manifest in which a placeholder stands alone on a line may get
    its structure only when it is rendered: there, problems are warnings (N2).
    """
    problems, structural = _read(text)
    for problem in problems:
        if structural:
            spot.warn("N2", problem)
        else:
            spot.error("W27", problem)


@remembered(_SHORT)
def _read(text: str) -> tuple[tuple[str, ...], bool]:
    """The problems of a manifest, and whether a placeholder stands alone on a line of it."""
    stand_in, structural = _without_placeholders(text)
    return _problems(stand_in), structural


def _problems(text: str) -> tuple[str, ...]:
    if len(text) <= _SHORT and _obviously_complete(text):
        return ()
    try:
        documents = load_documents(text)
    except ManifestError as error:
        return (f"KubernetesResource.Manifest is not valid YAML: {error}",)
    if not documents:
        return ("KubernetesResource.Manifest contains no object",)
    problems = []
    for index, document in enumerate(documents):
        where = f" document {index}" if len(documents) > 1 else ""
        missing = _missing(document)
        problems += [f"KubernetesResource.Manifest{where}: {missing}"] if missing else []
    return tuple(problems)


def _without_placeholders(text: str) -> tuple[str, bool]:
    """The text with words in place of placeholders, and whether one of them stood alone on its line."""
    written = sorted({found.text for found in placeholders(text)}, key=len, reverse=True)
    structural = bool(written) and any(line.strip() in written for line in text.splitlines())
    for placeholder in written:
        text = text.replace(placeholder, _STAND_IN)
    return text, structural


def _obviously_complete(text: str) -> bool:
    """True when the text surely passes, found out without making values of it; False says nothing.

    Making values is most of the work, and most manifests hold plain texts, numbers and lists of them.
    """
    try:
        roots = compose(text)
    except (yaml.YAMLError, ValueError):
        return False
    return bool(roots) and all(_is_plain(root) and _is_complete(root) for root in roots)


def _is_plain(root: yaml.Node) -> bool:
    """True for a tree without aliases, deep nesting and tags whose values may be unreadable."""
    level, seen = [root], set[int]()
    for _ in range(MAX_DEPTH - 1):
        below: list[yaml.Node] = []
        for node in level:
            if id(node) in seen:
                return False
            seen.add(id(node))
            if isinstance(node, yaml.ScalarNode):
                if not _is_readable(node):
                    return False
            elif node.tag == f"{_PREFIX}seq":
                below += node.value
            elif node.tag == f"{_PREFIX}map" and all(key.tag == _TEXT for key, _ in node.value):
                below += [value for _, value in node.value]
            else:
                return False
        if not below:
            return True
        level = below
    return False


def _is_readable(node: yaml.ScalarNode) -> bool:
    if node.tag == f"{_PREFIX}int":
        return bool(node.value.isdecimal()) and not node.value.startswith("0")
    if node.tag == f"{_PREFIX}bool":
        return node.value.lower() in _BOOLEANS
    return node.tag in _PLAIN


def _is_complete(root: yaml.Node) -> bool:
    return all(_is_text(_member(root, name)) for name in _REQUIRED) and _is_text(
        _member(_member(root, "metadata"), "name")
    )


def _member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in reversed(node.value) if key.value == name), None)


def _is_text(node: yaml.Node | None) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _TEXT and bool(node.value)


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
