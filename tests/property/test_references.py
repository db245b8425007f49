"""What several attempts of an action recorded is never lost, in whatever order and by whatever names they made it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from app.engine.outputs import merged, united
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from tests.property.tries import tries

REFERENCES = st.builds(
    CoreReference,
    api_version=st.sampled_from(["v1", "apps/v1", "apps/v1beta1"]),
    kind=st.sampled_from(["ConfigMap", "Secret"]),
    namespace=st.sampled_from(["", "one", "two"]),
    name=st.sampled_from(["a", "b", "\N{FIRE}"]),
    uid=st.sampled_from(["", "1", "2"]),
)
SEVERAL = st.lists(REFERENCES, max_size=4)


def key(ref: CoreReference) -> tuple[str, ...]:
    """What an object is known by: whatever version of its group it was made in."""
    return ref.api_version.rpartition("/")[0], ref.kind, ref.namespace, ref.name


def as_documents(refs: list[CoreReference]) -> ActionOutputs:
    many = tuple(refs) if len(refs) > 1 else ()
    return ActionOutputs(resource_ref=refs[0] if refs else None, resource_refs=many)


def as_children(refs: list[CoreReference]) -> ActionOutputs:
    return ActionOutputs(subscription_refs=tuple(refs))


def documents_of(outputs: ActionOutputs) -> tuple[CoreReference, ...]:
    return outputs.resource_refs or ((outputs.resource_ref,) if outputs.resource_ref else ())


def check(
    attempts: list[list[CoreReference]],
    made: Callable[[list[CoreReference]], ActionOutputs],
    found: Callable[[ActionOutputs], tuple[CoreReference, ...]],
) -> None:
    together = reduce(merged, (made(list(united((), tuple(refs)))) if refs else None for refs in attempts), None)
    recorded = found(together) if together is not None else ()
    in_order = [ref for refs in attempts for ref in refs]
    assert [key(ref) for ref in recorded] == list(dict.fromkeys(map(key, in_order))), "lost, twice, or out of order"
    for ref in recorded:
        uids = [each.uid for each in in_order if key(each) == key(ref) and each.uid]
        assert ref.uid == (uids[-1] if uids else "")


@tries(300)
@given(st.lists(SEVERAL, max_size=4))
def test_documents_of_all_attempts_are_kept(attempts: list[list[CoreReference]]) -> None:
    check(attempts, as_documents, documents_of)


@tries(300)
@given(st.lists(SEVERAL, max_size=4))
def test_children_of_all_attempts_are_kept(attempts: list[list[CoreReference]]) -> None:
    check(attempts, as_children, lambda outputs: outputs.subscription_refs)


@tries(100)
@given(st.lists(st.sampled_from(["", "1", "2"]), min_size=1, max_size=5))
def test_the_one_object_keeps_its_last_known_uid(uids: list[str]) -> None:
    made = (ActionOutputs(job_ref=CoreReference(kind="Job", namespace="n", name="j", uid=uid)) for uid in uids)
    together = reduce(merged, made, None)
    assert together is not None
    assert together.job_ref is not None
    assert together.job_ref.uid == ([uid for uid in uids if uid] or [""])[-1]
