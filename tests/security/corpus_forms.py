"""More of the corpus: conditions, patterns, selectors, letters and YAML of forms that are dear by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.security.corpus_parts import Json, cel, filled, http, reads, resource, workflow_of

_PATTERNS = (
    "(a|aa|aaa)*$",
    "(?:(?:.*)*)*",
    "(x+x+)+y",
    "[\\\\p{L}\\\\d_-]{1,999}",
    "(?i)" + "k" * 200,
    "((((.?){9}){9}){9})",
    "\\\\b" * 99,
)

FORMS: dict[str, Callable[[], Json]] = {
    "loops over maps": lambda: cel(
        "params.all(a, params.all(b, params.all(c, params.all(d, params[a] != params[b]))))"
    ),
    "loops over maps put together": lambda: cel(
        f"{{{','.join(f'{n}: {n}' for n in range(60))}}}{'.map(k, {k: k})' * 12} == []"
    ),
    "presence in a chain": lambda: cel(" && ".join(f"has(outputs.a.b{n})" for n in range(40))),
    "one presence of many members": lambda: cel("has(outputs.a" + ".b" * 450 + ")"),
    "texts joined in loops": lambda: cel("[1,2,3].map(a, [1,2,3].map(b, planName + planName + planName)).size() == 3"),
    "numbers without end": lambda: cel("9" * 900 + " == 1"),
    "patterns of every kind": lambda: workflow_of(
        http("a"),
        *filled(lambda n: http(f"b{n}", when=f"planName.matches({json.dumps(_PATTERNS[n % len(_PATTERNS)])})")),
    ),
    "small objects with dear conditions": lambda: workflow_of(
        http("a", when=f"[{','.join(['[1,2]'] * 90)}].all(x, x.all(y, [1,2,3].exists(z, planName.contains(mode))))")
    ),
    "selectors of many values": lambda: reads(
        "{.data}", name="", labelSelector=f"a in ({','.join(f'v{n}' for n in range(1_200))})"
    ),
    "selectors of many parts": lambda: reads("{.data}", name="", labelSelector=",".join(["!a"] * 1_300)),
    "path filters in each other": lambda: reads("{.a[?(@" + ".b[?(@" * 300 + ".c" + ")]" * 300 + ")]}"),
    "paths with ranges": lambda: reads("{range .items[*]}" * 100 + "{.x}" + "{end}" * 100),
    "parameters that name each other": lambda: workflow_of(
        http("a"),
        parameters=[
            {"name": f"p{n}", "default": "".join(f"$(params.p{m % 900})" for m in range(n, n + 40))} for n in range(900)
        ],
    ),
    "letters that grow when they are normalised": lambda: workflow_of(
        *filled(lambda n: http("\ufdfa" * 50 + str(n), dependsOn=["\ufdfa" * 50 + f"{n}\u0301"]))
    ),
    "marks on one letter": lambda: workflow_of(http("a" + "\u0315\u0300\u05ae\u0301b" * 60_000)),
    "letters from right to left": lambda: workflow_of(http("a", http={"url": "http://x/" + "\u202e\u2066" * 100_000})),
    "yaml anchors": lambda: workflow_of(resource("r", "".join(f"- &a{n} x\n" for n in range(80_000)))),
    "yaml aliases of a long text": lambda: workflow_of(
        resource("r", f"a: &a {'x' * 200_000}\nb: [{','.join(['*a'] * 90_000)}]\n")
    ),
    "yaml aliases within themselves": lambda: workflow_of(resource("r", "&a [*a, &b {c: *b, ? *a : *b}]")),
    "yaml flow sequences": lambda: workflow_of(resource("r", "[" * 100_000 + "]" * 100_000)),
    "yaml keys of keys": lambda: workflow_of(resource("r", "? " * 5_000 + "a")),
    "yaml folded text": lambda: workflow_of(resource("r", "a: >\n" + "\n  x\n\n\n" * 100_000)),
    "yaml escapes": lambda: workflow_of(resource("r", 'a: "' + "\\U0001F600" * 100_000 + '"')),
    "yaml dates and exponents": lambda: workflow_of(
        resource(
            "r", "a: 1e" + "9" * 100_000 + "\nb: 9999-99-99T99:99:99Z\nc: " + "-." * 1_000 + "\nd: 0o" + "7" * 100_000
        )
    ),
}
