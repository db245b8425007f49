"""The rules about what is read for an object, and with whose right (decision W5)."""

from __future__ import annotations

from typing import Final

from app.rules.catalogue.rule import ANY, EXECUTION, Checked, Rule

_SOURCE: Final = "params[0](x).valueFrom.manifestRef: "

ACCESS: Final[tuple[Rule, ...]] = (
    Rule(
        "A1",
        ANY,
        "Whoever writes a reference, or a value that its placeholders take, may read what it names: `get`, or `list` "
        "without a name. So for `valueFrom.manifestRef`, `headersFrom` and `clientCertificateSecretRef`.",
        f'{_SOURCE}user "jane" may not get configmaps "site" in namespace other (no rule allows it); what is read for '
        "a parameter or an action needs the right of whoever asks for it: give a Role in namespace other the rule "
        '{apiGroups: [""], resources: [configmaps], resourceNames: [site], verbs: [get]} and bind it to user "jane"',
        checked=Checked.CLUSTER,
    ),
    Rule(
        "A2",
        ANY,
        "No reference names the controller's own namespace, or a kind that is out of bounds.",
        f"{_SOURCE}namespace drplan-system is the controller's own, actions may not write to it, nor they or "
        "parameters read it; use another namespace",
    ),
    Rule(
        "A3",
        ANY,
        "The kind that a reference names is served, so that it is known which right to ask for.",
        f"{_SOURCE}whether user \"jane\" may read this cannot be checked: the API server serves no kind 'Wdiget' in "
        "apiVersion 'example.com/v1'; check the spelling, or install its CustomResourceDefinition",
        checked=Checked.CLUSTER,
    ),
    Rule(
        "A4",
        ANY,
        "No more than 1,000 values are read from the cluster for one object.",
        "more than 1000 values are read from the cluster; give some of them in the object itself",
        checked=Checked.CLUSTER,
    ),
    Rule(
        "A5",
        EXECUTION,
        "References of an execution have no placeholders: they say by themselves what is read.",
        f"{_SOURCE}name has a placeholder; a reference of an execution says by itself what is read",
    ),
)
