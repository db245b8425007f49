"""Trees of YAML: composed by libyaml, which counts levels and values on the way, so that no text can ask for too much.

It leaves open what scalars are; `app.rules.manifests.documents` makes values of the trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from app.rules.manifests.scalars import TEXT

MAX_DEPTH = 100
"""Levels of nesting that a manifest may have."""

MAX_NODES = 200_000
"""Values that a manifest may have, aliases expanded."""

PLAIN: Final = ""
"""The tag of a scalar without quotes and tag, whose text says what it is."""
_ANCHOR_AGAIN: Final = "found duplicate anchor"
_IN_PYTHON: Final[Any] = yaml.composer.Composer
UNREADABLE = (yaml.YAMLError, ValueError)
"""What reading a text may raise; a ValueError of one that is no Unicode."""


class ManifestError(ValueError):
    """The text is no YAML that can be read; the message says where.

    `line` and `column` count from 1; 0 when the problem has no single place.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(slots=True)
class Budget:
    """How many values may be read; several texts can share one."""

    left: int = MAX_NODES
    """Values that may still be read, aliases expanded and each scalar one however long; negative: there were more."""
    doubled: list[str] = field(default_factory=list)
    """Keys that stand more than once in one object, of which the last counts, at most some of them."""


class _Composer(yaml.CSafeLoader):
    """Composes trees. It leaves open what scalars are, and stops at the first value too many or too deep."""

    def __init__(self, text: str, left: int) -> None:
        super().__init__(text)
        self.left = left
        self.level = 0

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:  # noqa: ANN401 - a pair or a bool
        """The tag of a value without one; that of lists and objects does not matter."""
        del value
        return TEXT if kind is yaml.ScalarNode and not implicit[0] else PLAIN

    def descend_resolver(self, *_: object) -> None:
        """Count a value that begins; the composer tells where it is for the resolver's sake."""
        self.level += 1
        self.left -= 1
        if self.level > MAX_DEPTH:
            raise ManifestError(f"nested deeper than {MAX_DEPTH} levels")
        if self.left < 0:
            raise TooManyError("")

    def ascend_resolver(self) -> None:
        """Leave the value."""
        self.level -= 1


class _AnchorsAgain(_Composer):
    """Lets an anchor be set anew, as YAML does: an alias means the last one. Slower, so only where it is needed."""

    def __init__(self, text: str, left: int) -> None:
        super().__init__(text, left)
        self.anchors: dict[str, yaml.Node] = {}

    def get_single_node(self) -> Any:  # noqa: ANN401 - a tree
        """Compose by the composer in Python, from the events of the one in C."""
        return _IN_PYTHON.get_single_node(self)

    def compose_document(self) -> Any:  # noqa: ANN401 - a tree
        """Compose one document."""
        return _IN_PYTHON.compose_document(self)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> Any:  # noqa: ANN401 - a key's node
        """Compose one value, and forget an earlier one of the same anchor."""
        event: Any = self.peek_event()
        if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            self.anchors.pop(event.anchor, None)
        return _IN_PYTHON.compose_node(self, parent, index)

    compose_scalar_node = _IN_PYTHON.compose_scalar_node
    compose_sequence_node = _IN_PYTHON.compose_sequence_node
    compose_mapping_node = _IN_PYTHON.compose_mapping_node


class TooManyError(ManifestError):
    """The budget is used up."""


def composed(text: str, budget: Budget) -> yaml.Node | None:
    """The tree of a text. What stands in front of an error counts; what is whole is counted when it is made.

    The last line ends as every other does, which is what a block scalar on it goes by.
    """
    whole = text if text.endswith("\n") else f"{text}\n"
    composer = _Composer(whole, budget.left)
    try:
        try:
            return composer.get_single_node()
        except yaml.composer.ComposerError as error:
            if not (error.context or "").startswith(_ANCHOR_AGAIN):
                raise
        composer.dispose()
        composer = _AnchorsAgain(whole, budget.left)
        tree: yaml.Node | None = composer.get_single_node()
        return tree
    except (ManifestError, *UNREADABLE):
        budget.left = composer.left
        raise
    finally:
        composer.dispose()
