"""What the source may not contain, because a cancellation could be lost by it or an end be held up for ever.

A process that has lost its lease ends by cancelling its tasks. Each rule here stands for a way in which a task went on
all the same. What is allowed is listed with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster import REPOSITORY

LOSING = {"TaskGroup", "gather", "wait_for", "ensure_future"}
"""Of asyncio: in Python 3.11 and 3.12 each can lose a cancellation, or a task. `app.runtime.groups` does not."""
CATCHING = {"CancelledError", "BaseException", "BaseExceptionGroup", ""}
"""What a handler catches a cancellation by; the last is a bare `except`."""
MAY_CATCH = {
    "app/runtime/groups.py": "it waits for its tasks and raises afterwards",
    "app/runtime/last_work.py": "what was thrown in is passed on to the coroutine that it drives",
}
OWNERS = {"group", "tasks", "self._group"}
"""What tasks are begun by: a group, which waits for them and tells of their failures."""
MAY_BEGIN = {
    "app/runtime/groups.py": "it is the group",
    "app/service/acceptor.py": "ends with its server, which waits for it",
    "app/service/server.py": "waited for in the same function, whatever happens",
    "controller/run/lifetimes.py": "waited for in the same function, whatever happens",
}
MAY_AWAIT_AT_THE_END = {
    "self._release()": "bounded: RELEASE_SECONDS",
    "self._evict()": "closes what nobody uses",
    "_close(response)": "bounded: a second",
    "asyncio.wait([working])": "it was cancelled, and minds that",
    "asyncio.wait({serving}, timeout=self._grace + 2.0)": "bounded",
    "asyncio.wait({serving}, timeout=1.0)": "bounded",
}

Rule = Callable[[ast.AST], Iterator[tuple[int, str]]]


def name_of(node: ast.AST | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def names_of(node: ast.expr | None) -> set[str]:
    return (
        {name_of(each) or ast.unparse(each) for each in node.elts} if isinstance(node, ast.Tuple) else {name_of(node)}
    )


def losing(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and name_of(node.value) == "asyncio" and node.attr in LOSING:
            yield node.lineno, f"asyncio.{node.attr}: use app.runtime.groups"


def swallowing(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and names_of(node.type) & CATCHING:
            if not isinstance(node.body[-1], ast.Raise):
                yield node.lineno, "catches a cancellation and does not end by raising it"
        elif isinstance(node, ast.AsyncFunctionDef):
            yield from suppressing(node)


def suppressing(function: ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    """Look at one coroutine, not at the plain functions in it: those run elsewhere."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        suppressed = node.args if isinstance(node, ast.Call) and name_of(node.func) == "suppress" else []
        if {name_of(each) for each in suppressed} & CATCHING:
            yield suppressed[0].lineno, "suppresses a cancellation"
        if not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def unowned(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "create_task" and ast.unparse(node.value) not in OWNERS:
            yield node.lineno, f"{ast.unparse(node)}: a task that no group owns"


def waiting_at_the_end(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Try | ast.TryStar):
            continue
        for each in (found for statement in node.finalbody for found in ast.walk(statement)):
            if isinstance(each, ast.Await) and ast.unparse(each.value) not in MAY_AWAIT_AT_THE_END:
                yield each.lineno, f"awaits {ast.unparse(each.value)} in `finally`, where nothing bounds it"


RULES: dict[str, tuple[Rule, dict[str, str]]] = {
    "losing": (losing, {}),
    "swallowing": (swallowing, MAY_CATCH),
    "unowned": (unowned, MAY_BEGIN),
    "waiting-at-the-end": (waiting_at_the_end, {}),
}


@pytest.mark.parametrize("name", RULES)
def test_nothing_in_the_source_loses_a_cancellation(name: str) -> None:
    rule, allowed = RULES[name]
    paths = [path for package in ("app", "controller", "webhook") for path in (REPOSITORY / package).rglob("*.py")]
    told = [
        f"{path.relative_to(REPOSITORY)}:{line}: {text}"
        for path in sorted(paths)
        for line, text in rule(ast.parse(path.read_text()))
    ]
    assert not [text for text in told if text.partition(":")[0] not in allowed]
    assert {text.partition(":")[0] for text in told} >= set(allowed), "an exception that is not needed any more"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("losing", "async def f():\n    await asyncio.gather(a(), b())"),
        ("losing", "async def f():\n    async with asyncio.TaskGroup() as g: ..."),
        ("swallowing", "async def f():\n    try: await g()\n    except: pass"),
        ("swallowing", "async def f():\n    try: await g()\n    except (ValueError, asyncio.CancelledError): return"),
        ("swallowing", "async def f():\n    with contextlib.suppress(BaseException): await g()"),
        ("unowned", "async def f():\n    asyncio.create_task(g())"),
        ("waiting-at-the-end", "async def f():\n    try: await g()\n    finally: await queue.join()"),
    ],
)
def test_the_rules_find_what_they_are_for(name: str, source: str) -> None:
    assert list(RULES[name][0](ast.parse(source)))
