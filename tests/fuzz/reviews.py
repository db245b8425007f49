"""Coverage-guided fuzzing of the review endpoint: `python -m tests.fuzz.reviews [FLAGS OF LIBFUZZER]`.

Bytes become a body that is no review, or a review of a sound object that is spoiled in some places. What must hold is
that no answer is a 5xx, that no review takes a second of processor time, and that reviews leave nothing behind.
Needs the package atheris (Linux), which `make fuzz` does without where it is not installed.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import sys
import time
from typing import Any

import atheris
import orjson
import structlog

with atheris.instrument_imports(include=["app", "webhook"]):
    from app.kube.registrations import mutate_path, validate_path
    from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
    from tests.unit.webhook.client import RESOURCES, Admission, review
    from tests.unit.webhook.test_malformed import (
        DELETE,
        RICH_EXECUTION,
        RICH_PLAN,
        RICH_WORKFLOW,
        ByPosition,
        places,
        spoil,
    )

CPU_SECONDS = 1.0
"""Processor time, which a busy machine does not stretch; instrumented code takes several times as long as it is."""

WARM_UP = 20_000
"""Reviews until all caches hold what they may."""

CHECK_EVERY = 5_000
MOST_BLOCKS = 400_000
"""Blocks of memory that may be in use beyond those after the warm-up."""

OBJECTS = (RICH_WORKFLOW, RICH_PLAN, RICH_EXECUTION)
PLACES = [[place for place in places(each) if place and place != ("kind",)] for each in OBJECTS]
PATHS = [*map(validate_path, (WORKFLOWS, PLANS, EXECUTIONS)), *map(mutate_path, (WORKFLOWS, PLANS))]
WORDS = (
    "$(params.x)",
    "$(outputs.a.body)",
    "{{ .params.x }}",
    "mode == install",
    "params.x == 'a'",
    "---\n",
    "&a [*a]",
)


class Fuzz:
    """Judges one input after the other with one application."""

    def __init__(self) -> None:
        self.lookups = ByPosition(*([each] for each in OBJECTS))
        self.app = Admission(self.lookups).app
        self.loop = asyncio.new_event_loop()
        self.reviews = 0
        self.blocks = 0
        self.slowest = 0.0

    def __call__(self, data: bytes) -> None:
        """Judge one input. Raises AssertionError."""
        source = atheris.FuzzedDataProvider(data)
        path, body = _raw(source) if source.ConsumeIntInRange(0, 15) == 0 else self._spoiled(source)
        started = time.process_time()
        status, answer = self.loop.run_until_complete(self._post(path, body))
        took = time.process_time() - started
        self.slowest = max(self.slowest, took)
        assert took < CPU_SECONDS, f"{took:.2f} s of processor time"
        assert status in (200, 400, 413), status
        if status == 200:
            code = orjson.loads(answer)["response"]["status"]["code"]
            assert code < 500, answer
        self._watch_memory()

    def _spoiled(self, source: atheris.FuzzedDataProvider) -> tuple[str, bytes]:
        at = source.ConsumeIntInRange(0, len(OBJECTS) - 1)
        obj = copy.deepcopy(OBJECTS[at])
        for _ in range(source.ConsumeIntInRange(1, 4)):
            place = PLACES[at][source.ConsumeIntInRange(0, len(PLACES[at]) - 1)]
            spoil(obj, place, _junk(source))
        stored = [obj if source.ConsumeBool() else OBJECTS[at] if n == at else each for n, each in enumerate(OBJECTS)]
        self.lookups.stored_workflows[0], self.lookups.stored_plans[0], self.lookups.executions[0] = stored
        self.lookups.asked.clear()
        resource = RESOURCES[OBJECTS[at]["kind"]]
        operation, new, old = (
            ("CREATE", obj, None),
            ("UPDATE", obj, OBJECTS[at]),
            ("UPDATE", OBJECTS[at], obj),
            ("DELETE", None, obj),
        )[source.ConsumeIntInRange(0, 3)]
        defaults = resource is not EXECUTIONS and source.ConsumeIntInRange(0, 3) == 0
        path = mutate_path(resource) if defaults else validate_path(resource)
        return path, orjson.dumps(review(operation, new, old))

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and body that the application answers with."""
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        await self.app(scope, receive, send)
        return said[0]["status"], b"".join(each.get("body", b"") for each in said[1:])

    def _watch_memory(self) -> None:
        self.reviews += 1
        if self.reviews < WARM_UP or self.reviews % CHECK_EVERY:
            return
        gc.collect()
        blocks = sys.getallocatedblocks()
        self.blocks = self.blocks or blocks
        print(f"{self.reviews} reviews, slowest {self.slowest:.3f} s, {blocks - self.blocks:+} blocks", flush=True)
        assert blocks - self.blocks < MOST_BLOCKS, f"{blocks - self.blocks} blocks more than after the warm-up"


def _raw(source: atheris.FuzzedDataProvider) -> tuple[str, bytes]:
    path = PATHS[source.ConsumeIntInRange(0, len(PATHS) - 1)]
    whole = orjson.dumps(review("CREATE", RICH_WORKFLOW))
    at = source.ConsumeIntInRange(0, len(whole))
    junk = source.ConsumeBytes(source.remaining_bytes())
    return path, whole[:at] + junk + whole[at + len(junk) :]


def _junk(source: atheris.FuzzedDataProvider) -> Any:
    match source.ConsumeIntInRange(0, 9):
        case 0:
            return DELETE
        case 1:
            return None
        case 2:
            return source.ConsumeBool()
        case 3:
            return source.ConsumeInt(6)
        case 4:
            return [_text(source)]
        case 5:
            return {_text(source): _text(source)}
        case 6:
            return _text(source) * source.ConsumeIntInRange(1, 2_000)
        case _:
            return _text(source)


def _text(source: atheris.FuzzedDataProvider) -> str:
    """A text of the input, with a word that means something in front of it or not."""
    word = source.ConsumeIntInRange(0, 2 * len(WORDS))
    return (WORDS[word] if word < len(WORDS) else "") + str(source.ConsumeUnicodeNoSurrogates(40))


def _drop(_logger: object, _method: str, _event: structlog.types.EventDict) -> structlog.types.EventDict:
    raise structlog.DropEvent


def main() -> None:
    """Fuzz until libFuzzer ends it: at the first finding, or after `-max_total_time` seconds."""
    structlog.configure(processors=[_drop])
    atheris.Setup([sys.argv[0], "-len_control=0", "-max_len=1024", *sys.argv[1:]], Fuzz())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
