"""Rule W27: what a KubernetesResource action makes, changes or deletes is known before it runs."""

from __future__ import annotations

from app.rules.actions.manifest_reading import MEMBER, MOST_VALUES, Manifest, read_manifest
from app.rules.actions.targets import check_target
from app.rules.findings import Findings, Spot


def check_manifest(spot: Spot, text: str, *, strict: bool = True) -> None:
    """Rule W27: every document parses and has apiVersion, kind and metadata.name. `spot` is the action or rollback.

    When it will be read strictly, no key stands more than once in an object.

    A manifest has at most as many objects as can be recorded of one action (`app.engine.amounts`).

    Placeholders are replaced by a harmless word first. A manifest in which a placeholder stands alone on a line may get
    its structure only when it is rendered: there, problems are warnings (N2). What its objects are called is judged by
    rules W45 and W46.
    """
    manifest = _within(spot.findings, text)
    if manifest is None:
        why = f"the manifests of the workflow have more than {MOST_VALUES} values: use several workflows"
        spot.error("W27", f"KubernetesResource.Manifest: {why}", MEMBER, runnable=True)
        return
    doubled = f"KubernetesResource.Manifest: {manifest.doubled}" if strict and manifest.doubled else ""
    for problem in (*manifest.problems, *filter(None, [doubled])):
        if manifest.structural:
            spot.warn("N2", problem, MEMBER)
        else:
            spot.error("W27", problem, MEMBER)
    for target in manifest.targets:
        check_target(spot, target)


def _within(findings: Findings, text: str) -> Manifest | None:
    """What a manifest tells; None when those of the workflow have too many values, or had before this one."""
    left = MOST_VALUES - findings.manifest_values
    if left < 0:
        return None
    manifest = read_manifest(text, left)
    findings.manifest_values += manifest.values
    return manifest if manifest.values <= left else None
