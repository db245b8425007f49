"""Pytest plugin: which tests need a control plane, which worker runs them, and when each control plane ends.

A fixture that starts a control plane is made by `plane_fixture`. Tests that reach one get the marker `cluster`. A test
that starts one by itself has to carry it, else the start is refused, so that `-m "not cluster"` is true. Tests of one
control plane follow each other, and it ends as soon as the next test does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from devcluster import ControlPlane

Scope = Literal["session", "module", "function"]
TESTS = Path(__file__).parents[1]
UNIT = TESTS / "unit"


@dataclass(frozen=True, slots=True)
class _Plane:
    """A fixture that starts a control plane."""

    scope: Scope
    split: bool


_SHARED: dict[str, _Plane] = {}
"""Those of a session, by the name of the fixture."""
_LOCAL: dict[object, _Plane] = {}
"""Those of a test module, by the fixture itself, as other modules may have fixtures of the same name."""
_FUNCTIONS: set[Callable[..., Any]] = set()
"""The functions of all of them."""
_running: dict[pytest.FixtureDef[Any], pytest.FixtureRequest] = {}
"""The fixtures that hold a control plane now."""
_now: list[pytest.Item] = []
"""The test that is being run."""
_start = ControlPlane.start


def plane_fixture(*, scope: Scope, split: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """A fixture that starts a control plane.

    Args:
        scope: as of `pytest.fixture`; of a session, the control plane is kept only while tests that need it follow.
        split: for a session's: its tests are so many that each worker starts one and takes whole modules of them; else
            one worker takes all of them.
    """

    def made(function: Callable[..., Any]) -> Any:
        fixture = pytest.fixture(scope=scope)(function)
        if scope == "session":
            _SHARED[function.__name__] = _Plane(scope, split)
        else:
            _LOCAL[fixture] = _Plane(scope, split)
        _FUNCTIONS.add(function)
        return fixture

    return made


def _planes_of(item: pytest.Item) -> dict[str, _Plane]:
    """The fixtures of a test that start a control plane, by name."""
    module = getattr(item, "module", None)
    found = {}
    for name in sorted(getattr(item, "fixturenames", ())):
        if plane := _LOCAL.get(getattr(module, name, None)) or _SHARED.get(name):
            found[name] = plane
    return found


def _group(item: pytest.Item, planes: Mapping[str, _Plane]) -> str | None:
    """What one worker has to run as a whole; a control plane of one test alone makes no group."""
    for name, plane in planes.items():
        if plane.scope == "session" and not plane.split:
            return name
    if all(plane.scope == "function" for plane in planes.values()):
        return None
    return ".".join(item.path.relative_to(TESTS).with_suffix("").parts)


def _order(item: pytest.Item) -> tuple[int, str, str]:
    """Long ones first: tests of one control plane after each other, then what needs none, the fastest at the end."""
    if item.get_closest_marker("cluster") is None:
        return (2 if item.path.is_relative_to(UNIT) else 1), "", ""
    groups = "_".join(sorted(str(mark.args[0]) for mark in item.iter_markers("xdist_group")))
    return 0, " ".join(_planes_of(item)), groups


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark, group and order tests by the control planes that they need."""
    for item in items:
        planes = _planes_of(item)
        if planes or item.get_closest_marker("apiserver"):
            item.add_marker("cluster")
        grouped = item.get_closest_marker("xdist_group") is not None
        if planes and not grouped and (group := _group(item, planes)):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_order)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Remember what holds a control plane."""
    if fixturedef.func in _FUNCTIONS:
        _running[fixturedef] = request
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """End the control planes that the next test does not need; at the end of all, pytest does so itself."""
    try:
        return (yield)
    finally:
        wanted = set() if nextitem is None else set(_planes_of(nextitem))
        for fixture in [fixture for fixture in _running if fixture.argname not in wanted]:
            fixture.finish(_running.pop(fixture))  # type: ignore[arg-type]  # it is the request of its setup


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Know which test is being run."""
    _now.append(item)
    try:
        return (yield)
    finally:
        _now.remove(item)


def _start_if_told(plane: ControlPlane) -> ControlPlane:
    for item in _now:
        if item.get_closest_marker("cluster") is None:
            raise RuntimeError(
                f"{item.nodeid} starts a control plane, but is not marked so: make the fixture by "
                "tests.support.planes.plane_fixture, or give a test that starts one by itself @pytest.mark.cluster"
            )
    return _start(plane)


def pytest_configure() -> None:
    """Refuse control planes that tests are not marked for."""
    ControlPlane.start = _start_if_told  # type: ignore[method-assign,assignment]


def pytest_unconfigure() -> None:
    """Leave the class as it was."""
    ControlPlane.start = _start  # type: ignore[method-assign]
