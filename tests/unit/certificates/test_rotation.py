"""What is to be done with the Secret at which moment."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from app.runtime.tls import load_pem_pair
from tests.unit.certificates.tls import DAY, NAMES, NOW
from tests.unit.certificates.world import empty
from webhook.certificates.bundles import merged
from webhook.certificates.kept import (
    OURS_LABEL,
    ROTATE,
    TRUSTED_UNTIL,
    Kept,
    Secret,
    is_ours,
    parse_pair,
    parse_trust,
    to_pair_secret,
    to_trust_secret,
)
from webhook.certificates.making import (
    certificate_pem,
    cluster_names,
    fingerprint,
    is_limited_to,
    make_authority,
    make_certificate,
)
from webhook.certificates.pair import CertificateError, ServingPair, new_context, parse_bundle
from webhook.certificates.rotation import (
    MOST_AUTHORITIES,
    AddAuthority,
    Adopt,
    Drop,
    Issue,
    Policy,
    Seen,
    Step,
    apply,
    begin,
    decide,
    may_serve,
    published_long_ago,
    trusted,
)

POLICY = Policy(cluster_names("hook", "dr"), 90 * DAY, 1800 * DAY, timedelta(seconds=60))
MARGIN = POLICY.margin
FRESH = begin(NOW, POLICY)


def seen(
    *confirmed: x509.Certificate,
    listed: tuple[x509.Certificate, ...] | None = (),
    known: tuple[x509.Certificate, ...] = (),
) -> Seen:
    return Seen(frozenset(fingerprint(c) for c in confirmed), listed, {fingerprint(c) for c in known})


def changed(kept: Kept, step: Step, now: datetime = NOW) -> Kept:
    return apply(step, kept, now, POLICY)


ADDED = changed(FRESH, AddAuthority("test"))
OLD, NEW = ADDED.authorities[1], ADDED.authorities[0]
SWITCHED = changed(ADDED, Issue("test"))
ENDED = FRESH.pair.not_after


@pytest.mark.parametrize(
    ("kept", "now", "known", "expected"),
    [
        pytest.param(FRESH, NOW, seen(), None, id="fresh"),
        pytest.param(FRESH, NOW + 60 * DAY - timedelta(seconds=1), seen(), None, id="just before two thirds"),
        pytest.param(FRESH, NOW + 60 * DAY, seen(), Issue, id="two thirds"),
        pytest.param(FRESH, NOW + 60 * DAY, seen(listed=None), Issue, id="two thirds, caBundles not readable"),
        pytest.param(FRESH, NOW + 1200 * DAY, seen(), AddAuthority, id="two thirds of the authority"),
        pytest.param(FRESH, NOW + 1200 * DAY, seen(listed=None), Issue, id="no new authority that cannot be published"),
        pytest.param(FRESH, NOW + 1800 * DAY, seen(listed=None), AddAuthority, id="the authority has expired"),
        pytest.param(replace(FRESH, rotate=True), NOW, seen(), AddAuthority, id="asked for"),
        pytest.param(replace(FRESH, rotate=True), NOW, seen(listed=None), None, id="asked for, not publishable"),
        pytest.param(ADDED, NOW, seen(OLD), None, id="the new authority is not known yet"),
        pytest.param(ADDED, NOW + 60 * DAY, seen(OLD), None, id="not even when renewal is due"),
        pytest.param(ADDED, NOW, seen(OLD, NEW), Issue, id="the new authority is known"),
        pytest.param(ADDED, ENDED, seen(OLD), Issue, id="nothing to lose"),
        pytest.param(replace(ADDED, rotate=True), NOW, seen(OLD), None, id="one change of authority at a time"),
        pytest.param(SWITCHED, NOW, seen(OLD, NEW, listed=(OLD, NEW)), None, id="the old one is kept"),
        pytest.param(SWITCHED, ENDED + 3 * MARGIN, seen(NEW, listed=(OLD, NEW)), Issue, id="renewal goes first"),
    ],
)
def test_the_next_step(kept: Kept, now: datetime, known: Seen, expected: type[Step] | None) -> None:
    step = decide(kept, now, POLICY, known)
    assert (None if step is None else type(step)) == expected


def test_a_pair_for_other_names_is_made_anew() -> None:
    more = replace(POLICY, names=(*POLICY.names, "new.dr.svc"))
    assert decide(FRESH, NOW, more, seen()) == AddAuthority("it is not limited to the names of the Service")
    limited = replace(changed(FRESH, AddAuthority("test")), trusted_until={})
    authority = make_authority(NOW, POLICY.authority_lifetime, more.names)
    kept = replace(limited, authorities=(authority.certificate, *FRESH.authorities), key=authority.key)
    assert decide(kept, NOW, more, seen(authority.certificate)) == Issue("the new authority is known everywhere")
    pair = ServingPair(*make_certificate(authority, POLICY.names, NOW, DAY, local=False))
    assert decide(replace(kept, pair=pair), NOW, more, seen()) == Issue("it is not for new.dr.svc")


def test_an_authority_is_limited_to_the_names_of_the_service_and_to_no_address() -> None:
    authority = FRESH.signer.certificate
    assert is_limited_to(authority, POLICY.names)
    assert authority.not_valid_after_utc - NOW == POLICY.authority_lifetime
    assert not is_limited_to(make_authority(NOW, DAY).certificate, POLICY.names)
    assert not is_limited_to(make_authority(NOW, DAY, NAMES).certificate, POLICY.names)
    alternatives = FRESH.pair.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.IPAddress) == []
    assert "localhost" not in FRESH.pair.names()
    earlier = make_authority(NOW, POLICY.authority_lifetime)
    pair = ServingPair(*make_certificate(earlier, NAMES, NOW, 90 * DAY))
    kept = Kept(authorities=(earlier.certificate,), key=earlier.key, pair=pair)
    assert decide(kept, NOW, POLICY, seen()) == AddAuthority("it is not limited to the names of the Service")
    assert decide(kept, NOW, POLICY, seen(listed=None)) is None, "only where it can be published"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "kubernetes.default.svc", "hook.other.svc", "example.com"])
def test_what_it_signs_for_other_names_is_believed_by_nobody(name: str) -> None:
    authority = FRESH.signer
    local = name == "127.0.0.1"
    certificate, key = make_certificate(authority, ["hook.dr.svc"] if local else [name], NOW, DAY, local=local)
    context = new_context()
    load_pem_pair(context, certificate.decode(), key.decode())
    believing = ssl.create_default_context(cadata=certificate_pem(authority.certificate).decode())
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = believing.wrap_bio(there, back, server_hostname=name)
    server = context.wrap_bio(back, there, server_side=True)

    def shake() -> None:
        for side in (client, server) * 3:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()

    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        shake()


def test_asking_for_more_and_more_authorities_has_an_end() -> None:
    kept, now = FRESH, NOW
    for _ in range(20):
        step = decide(replace(kept, rotate=True), now, POLICY, seen(*kept.authorities, listed=kept.authorities))
        if step is None:
            break
        kept = changed(kept, step, now)
    assert len(kept.authorities) == MOST_AUTHORITIES


def test_the_old_authority_leaves_the_bundles_first_and_the_secret_last() -> None:
    kept = changed(SWITCHED, Issue("renewal"), NOW + 60 * DAY)
    assert trusted(kept, ENDED, POLICY) == (NEW, OLD)
    assert trusted(kept, ENDED + MARGIN, POLICY) == (NEW,)
    late = ENDED + 3 * MARGIN
    assert decide(kept, late, POLICY, seen(NEW, listed=(NEW, OLD))) is None
    assert decide(kept, late, POLICY, seen(NEW, listed=None)) is None
    step = decide(kept, late, POLICY, seen(NEW, listed=(NEW,)))
    assert step == Drop(frozenset({fingerprint(OLD)}))
    assert changed(kept, step).authorities == (NEW,)


def test_lost_authorities_that_are_known_are_adopted_for_a_certificates_life() -> None:
    stray = make_authority(NOW, 1800 * DAY).certificate
    assert decide(FRESH, NOW, POLICY, seen(listed=(stray,))) is None, "its name is no proof"
    step = decide(FRESH, NOW, POLICY, seen(listed=(stray,), known=(stray,)))
    assert step == Adopt((stray,))
    kept = changed(FRESH, step)
    assert kept.signer == FRESH.signer
    assert kept.until(stray) == NOW + POLICY.lifetime


def test_who_may_serve_the_pair_of_the_secret() -> None:
    old = FRESH.pair
    assert may_serve(SWITCHED, None, (), NOW)
    assert not may_serve(SWITCHED, old, {fingerprint(OLD)}, NOW)
    assert may_serve(SWITCHED, old, {fingerprint(OLD), fingerprint(NEW)}, NOW)
    assert may_serve(SWITCHED, old, (), ENDED)


def test_without_upkeep_an_authority_counts_as_known_after_a_sixth_of_a_certificates_life() -> None:
    assert published_long_ago(FRESH, NOW + 15 * DAY - timedelta(seconds=1), POLICY) == frozenset()
    assert published_long_ago(FRESH, NOW + 15 * DAY, POLICY) == {fingerprint(OLD)}


def test_what_is_written_is_read_again() -> None:
    trust, pair = to_trust_secret(SWITCHED, empty("ca")), to_pair_secret(SWITCHED, empty("tls"))
    assert is_ours(trust)
    assert is_ours(pair)
    assert set(pair["data"]) == {"tls.crt", "tls.key", "ca.crt"}
    assert set(trust["data"]) == {"ca.crt", "ca.key"}
    found = parse_trust(trust)
    assert (found.authorities, found.trusted_until) == (SWITCHED.authorities, SWITCHED.trusted_until)
    assert parse_pair(pair, found.authorities) == SWITCHED.pair


def test_writing_keeps_what_others_put_there_and_takes_the_request_away() -> None:
    base = {
        "metadata": {
            "name": "tls",
            "resourceVersion": "7",
            "labels": {"a": "b"},
            "annotations": {ROTATE: "true", "c": "d", TRUSTED_UNTIL: "{}"},
        },
        "type": "Opaque",
        "data": {"other": "eA==", "ca.key": "a2V5"},
    }
    for written, data in (
        (to_trust_secret(FRESH, base), {"other", "ca.crt", "ca.key"}),
        (to_pair_secret(FRESH, base), {"other", "tls.crt", "tls.key", "ca.crt"}),
    ):
        assert written["metadata"]["labels"] == {"a": "b", OURS_LABEL: "self-managed"}
        assert (written["type"], written["metadata"]["resourceVersion"]) == ("Opaque", "7")
        assert written["metadata"]["annotations"].items() >= {"c": "d"}.items()
        assert ROTATE not in written["metadata"]["annotations"]
        assert set(written["data"]) == data
    assert ROTATE in to_pair_secret(replace(FRESH, rotate=True), base)["metadata"]["annotations"]


def broken(**data: Any) -> tuple[Secret, Secret]:
    both = to_trust_secret(FRESH, empty("ca")), to_pair_secret(FRESH, empty("tls"))
    found = {key.replace("_", "."): value for key, value in data.items()}
    trust, pair = ({**each, "data": {**each["data"], **found}} for each in both)
    return trust, pair


STRANGER = begin(NOW, POLICY)
OTHER = {**to_trust_secret(STRANGER, empty("ca"))["data"], **to_pair_secret(STRANGER, empty("tls"))["data"]}


@pytest.mark.parametrize(
    ("secrets", "text"),
    [
        (broken(ca_key=""), "ca.key missing"),
        (broken(tls_crt="", tls_key=""), "tls.crt, tls.key missing"),
        (broken(tls_crt="!"), "tls.crt is not base64"),
        (broken(ca_crt="eA=="), "ca.crt is not a list of PEM certificates"),
        (broken(ca_key="eA=="), "ca.key is no readable PEM key"),
        (broken(ca_key=OTHER["ca.key"]), "ca.key is not the key of the first certificate"),
        (broken(tls_key=OTHER["tls.key"]), "tls.crt and tls.key do not fit each other"),
        (broken(tls_crt=OTHER["tls.crt"], tls_key=OTHER["tls.key"]), "signed by none of the authorities"),
    ],
)
def test_an_unusable_secret_is_explained(secrets: tuple[Secret, Secret], text: str) -> None:
    trust, pair = secrets
    with pytest.raises(CertificateError, match=text):
        parse_pair(pair, parse_trust(trust).authorities)


def test_an_unreadable_note_of_times_counts_as_none() -> None:
    secret = to_trust_secret(SWITCHED, empty("ca"))
    secret["metadata"]["annotations"][TRUSTED_UNTIL] = "[nonsense"
    assert parse_trust(secret).until(OLD) == OLD.not_valid_after_utc


FOREIGN = make_authority(NOW, DAY).certificate


@pytest.mark.parametrize(
    ("there", "after"),
    [
        pytest.param(b"", (NEW, OLD), id="empty"),
        pytest.param(b"\n", (NEW, OLD), id="a chart's placeholder"),
        pytest.param(b"garbage", (NEW, OLD), id="garbage"),
        pytest.param(certificate_pem(FOREIGN), (FOREIGN, NEW, OLD), id="foreign ones stay in front"),
        pytest.param(certificate_pem(OLD, FOREIGN), (OLD, FOREIGN, NEW), id="the order stays"),
    ],
)
def test_a_bundle_gets_what_is_wanted(there: bytes, after: tuple[x509.Certificate, ...]) -> None:
    result = merged(there, (NEW, OLD), (NEW, OLD))
    assert parse_bundle(result) == (list(after), 0)
    assert merged(result, (NEW, OLD), (NEW, OLD)) is result


def test_only_what_the_secret_has_given_up_is_taken_out() -> None:
    there = certificate_pem(OLD, FOREIGN, NEW)
    assert parse_bundle(merged(there, (NEW,), (NEW, OLD)))[0] == [FOREIGN, NEW]
