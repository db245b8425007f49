"""Which authorities a replica believes: not those that somebody writes into a Secret."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509

from tests.unit.certificates.tls import NAMES
from tests.unit.certificates.world import POLICY, TARGETS, Replica, World, empty
from webhook.certificates.kept import Kept, to_pair_secret, to_trust_secret
from webhook.certificates.making import certificate_pem, fingerprint, make_authority, make_certificate
from webhook.certificates.pair import CertificateError, ServingPair, parse_bundle
from webhook.certificates.rotation import begin


def running(replicas: int = 2) -> tuple[World, list[Replica]]:
    """A world with replicas that are ready."""
    world = World()
    found = [Replica(world) for _ in range(replicas)]
    settle(world, found)
    assert all(replica.ready for replica in found)
    return world, found


def settle(world: World, replicas: list[Replica]) -> None:
    for _ in range(4):
        for replica in replicas:
            replica.look()
        world.seconds += 6


def bundle(world: World) -> list[x509.Certificate]:
    """What every caBundle has; they agree."""
    [pem] = {world.bundles[target] for target in TARGETS}
    return parse_bundle(pem)[0]


def write(world: World, name: str, **data: bytes) -> None:
    """Write into a Secret as somebody who may change it."""
    secret = world.secrets[name]
    found = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}
    secret["data"] = {**secret.get("data", {}), **found}
    world.version += 1
    secret["metadata"]["resourceVersion"] = str(world.version)


STRANGER = begin(World().now(), POLICY)
STRANGE = STRANGER.signer.certificate


@pytest.mark.parametrize("fresh", [False, True], ids=["running", "just started"])
@pytest.mark.parametrize("where", ["a copy", "a pair", "an old layout", "a further authority", "another authority"])
def test_an_authority_that_somebody_writes_into_a_secret_is_not_believed(where: str, fresh: bool) -> None:
    world, replicas = running()
    before, ours = world.kept(), bundle(world)
    pem = certificate_pem(STRANGE)
    theirs = to_trust_secret(STRANGER, empty("ca"))["data"]
    match where:
        case "a copy":
            write(world, "tls", ca_crt=certificate_pem(*before.authorities) + pem)
        case "a pair":
            write(world, "tls", tls_crt=STRANGER.pair.certificate, tls_key=STRANGER.pair.key, ca_crt=pem)
        case "an old layout":
            write(world, "tls", ca_crt=pem, ca_key=base64.b64decode(theirs["ca.key"]))
        case "a further authority":
            write(world, "ca", ca_crt=certificate_pem(*before.authorities) + pem)
        case "another authority":
            write(world, "ca", ca_crt=pem, ca_key=base64.b64decode(theirs["ca.key"]))
    if fresh:
        replicas = [Replica(world) for _ in replicas]
    settle(world, replicas)
    kept = world.kept()
    assert STRANGE not in kept.authorities
    assert STRANGE not in bundle(world)
    assert set(ours) <= set(bundle(world))
    assert all(replica.ready and replica.live.served == kept.pair for replica in replicas)
    assert set(world.secrets["tls"]["data"]) == {"tls.crt", "tls.key", "ca.crt"}
    if not (fresh and where == "another authority"):
        assert kept.authorities == before.authorities, "with its key lost nobody but a running replica has it"


def test_an_authority_of_our_name_in_a_bundle_is_left_there_and_not_spread() -> None:
    world, replicas = running()
    world.set_bundle(TARGETS[0], world.bundles[TARGETS[0]] + certificate_pem(STRANGE))
    settle(world, replicas)
    assert STRANGE not in world.kept().authorities
    assert STRANGE in parse_bundle(world.bundles[TARGETS[0]])[0], "who wrote it there may write there"
    assert STRANGE not in parse_bundle(world.bundles[TARGETS[1]])[0]
    world.seconds += POLICY.authority_lifetime.total_seconds() + 1
    settle(world, replicas)
    assert STRANGE not in parse_bundle(world.bundles[TARGETS[0]])[0], "an ended one of ours goes"


def earlier(world: World) -> Kept:
    """What a version before 0.2 kept: one Secret with everything, an authority for any name, its caBundles."""
    authority = make_authority(world.now(), POLICY.authority_lifetime)
    pair = ServingPair(*make_certificate(authority, NAMES, world.now(), POLICY.lifetime))
    kept = Kept(authorities=(authority.certificate,), key=authority.key, pair=pair)
    old = to_trust_secret(kept, to_pair_secret(kept, empty("tls")))
    world.secrets["tls"] = {**old, "metadata": {**old["metadata"], "resourceVersion": "1"}}
    return kept


def test_what_an_earlier_version_kept_is_taken_over_and_replaced_step_by_step() -> None:
    world = World()
    old = earlier(world)
    for target in TARGETS:
        world.set_bundle(target, certificate_pem(*old.authorities))
    world.seconds += 100
    replicas = [Replica(world), Replica(world)]
    replicas[0].look()
    assert replicas[0].live.served == old.pair
    assert set(world.secrets["tls"]["data"]) == {"tls.crt", "tls.key", "ca.crt"}
    assert world.kept().authorities[-1] == old.authorities[0]
    settle(world, replicas)
    kept = world.kept()
    assert kept.authorities[1:] == old.authorities
    assert kept.issuer == kept.signer.certificate != old.issuer
    assert set(bundle(world)) == set(kept.authorities)
    assert all(replica.ready and replica.live.served == kept.pair for replica in replicas)


def test_what_an_earlier_version_kept_is_not_believed_where_no_bundle_has_it() -> None:
    world = World()
    old = earlier(world)
    replicas = [Replica(world), Replica(world)]
    settle(world, replicas)
    assert not set(old.authorities) & {*world.kept().authorities, *bundle(world)}
    assert all(replica.ready for replica in replicas)


def test_a_missing_secret_is_named_and_the_bundles_are_kept_meanwhile() -> None:
    world, replicas = running(1)
    del world.secrets["ca"]
    for target in TARGETS:
        world.set_bundle(target, b"")
    with pytest.raises(CertificateError, match="Secret dr/ca is missing, and this service may not create it"):
        replicas[0].look()
    served = replicas[0].live.served
    assert served is not None
    assert bundle(world), "what is served stays trusted"
    world.secrets["ca"] = empty("ca")
    replicas[0] = replace_look(replicas[0])
    settle(world, replicas)
    assert world.kept().pair == served


def replace_look(replica: Replica) -> Replica:
    """The same replica, at its next look."""
    replica.end()
    replica._look = None
    return replica


def test_authorities_that_lost_a_race_do_not_stay_in_the_bundles() -> None:
    world = World()
    replicas = [Replica(world) for _ in range(3)]
    for _ in range(40):
        for replica in replicas:
            replica.step()
    settle(world, replicas)
    assert [fingerprint(each) for each in bundle(world)] == [fingerprint(each) for each in world.kept().authorities]
