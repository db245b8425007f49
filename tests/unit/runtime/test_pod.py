"""Who counts as a dead predecessor, and who does not."""

from __future__ import annotations

import uuid

from app.runtime.pod import identity_of


def test_without_a_pod_a_process_has_no_kin() -> None:
    first, second = identity_of(""), identity_of("")
    assert first.name != second.name
    assert first.kin == second.kin == ""


def test_a_restarted_container_knows_its_predecessor() -> None:
    pod = str(uuid.uuid4())
    first = identity_of(pod)
    assert first.proof is not None
    assert pod in first.kin
    first.proof.close()  # as the end of its process does
    second = identity_of(pod)
    assert second.proof is not None
    assert first.name.startswith(second.kin)
    assert first.name != second.name
    second.proof.close()


def test_two_living_processes_of_a_pod_are_no_kin() -> None:
    """Neither takes the other's lease: the second has no kin, and is none of the first's."""
    pod = str(uuid.uuid4())
    first, second = identity_of(pod), identity_of(pod)
    assert first.proof is not None
    assert (second.kin, second.proof) == ("", None)
    assert not second.name.startswith(first.kin)
    first.proof.close()


def test_pods_are_strangers_to_each_other() -> None:
    one, two = identity_of(str(uuid.uuid4())), identity_of(str(uuid.uuid4()))
    assert one.proof is not None
    assert two.proof is not None
    assert not two.name.startswith(one.kin)
    one.proof.close()
    two.proof.close()
