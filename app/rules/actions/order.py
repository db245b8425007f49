"""In which order the actions of a workflow run, as far as it matters to what one may use of another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from app.engine.graph import ancestors, dependencies
from app.engine.when import names_modes_only
from app.models.actions import Action


class Order:
    """The actions of a workflow; what stands before what is worked out when first asked, because few ask."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self.actions = actions
        self.is_graph = any(action.depends_on for action in actions)
        """False: they run in the order written."""

    @cached_property
    def named(self) -> dict[str, Action]:
        """The actions by name; of several with one name the first."""
        return {action.name: action for action in reversed(self.actions)}

    @cached_property
    def conditions_length(self) -> int:
        """Characters that the different conditions (`when`) have together, those that only name modes left out."""
        return sum(len(when) for when in {action.when for action in self.actions} if not names_modes_only(when))

    def is_before(self, name: str, index: int) -> bool:
        """Tell whether an action has certainly ended before the one at `index` starts.

        Without any dependsOn that is what stands before it; in a graph what it depends on, directly or through others.
        """
        if not self.is_graph:
            return self._first.get(name, index) < index
        if name not in self.named:
            return False
        earlier = self._ancestors[self.actions[index].name.strip()]
        return bool(earlier >> self._positions[name.strip()] & 1)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """How many parts the names of actions have, divided at dots: each number once, the smallest first."""
        return tuple(sorted({name.count(".") + 1 for name in self.named}))

    @cached_property
    def _first(self) -> dict[str, int]:
        return {action.name: index for index, action in reversed([*enumerate(self.actions)])}

    @cached_property
    def _ancestors(self) -> dict[str, int]:
        return ancestors(self._graph)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self._graph)}

    @cached_property
    def _graph(self) -> dict[str, tuple[str, ...]]:
        return dependencies([action.name for action in self.actions], [action.depends_on for action in self.actions])

    def is_sound(self) -> bool:
        """True when every action depends only on ones written before it: then nothing is unknown, and no cycle."""
        seen: set[str] = set()
        for action in self.actions if self.is_graph else ():
            if any(dep not in seen for dep in action.depends_on):
                return False
            seen.add(action.name)
        names = {action.name for action in self.actions}
        return len(names) == len({name.strip() for name in names})
