"""What is to be done with the Secret at which moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from tests.unit.certificates.tls import DAY, NAMES, NOW
from webhook.certificates.bundles import merged
from webhook.certificates.kept import (
    OURS_LABEL,
    ROTATE,
    TRUSTED_UNTIL,
    Kept,
    is_empty,
    is_ours,
    parse_secret,
    to_secret,
)
from webhook.certificates.making import certificate_pem, fingerprint, make_authority
from webhook.certificates.pair import CertificateError, parse_bundle
from webhook.certificates.rotation import (
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

POLICY = Policy(NAMES, 90 * DAY, 1800 * DAY, timedelta(seconds=60))
MARGIN = POLICY.margin
FRESH = begin(NOW, POLICY, ())


def seen(*confirmed: x509.Certificate, listed: tuple[x509.Certificate, ...] | None = ()) -> Seen:
    return Seen(frozenset(fingerprint(c) for c in confirmed), listed)


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
    step = decide(FRESH, NOW, replace(POLICY, names=(*NAMES, "new.dr.svc")), seen())
    assert step == Issue("it is not for new.dr.svc")


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


def test_lost_authorities_of_ours_are_adopted_for_a_certificates_life() -> None:
    stray = make_authority(NOW, 1800 * DAY).certificate
    step = decide(FRESH, NOW, POLICY, seen(listed=(stray,)))
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
    written = to_secret(SWITCHED, namespace="dr", name="tls")
    assert is_ours(written)
    assert not is_empty(written)
    found = parse_secret(written)
    assert (found.pair, found.authorities, found.trusted_until) == (
        SWITCHED.pair,
        SWITCHED.authorities,
        SWITCHED.trusted_until,
    )


def test_writing_keeps_what_others_put_there_and_takes_the_request_away() -> None:
    base = {
        "metadata": {
            "name": "tls",
            "resourceVersion": "7",
            "labels": {"a": "b"},
            "annotations": {ROTATE: "true", "c": "d"},
        },
        "type": "Opaque",
        "data": {"other": "eA=="},
    }
    written = to_secret(FRESH, namespace="dr", name="tls", base=base)
    assert written["metadata"]["labels"]["a"] == "b"
    assert written["metadata"]["annotations"] == {"c": "d", TRUSTED_UNTIL: "{}"}
    assert (written["type"], written["data"]["other"], written["metadata"]["resourceVersion"]) == (
        "Opaque",
        "eA==",
        "7",
    )


def broken(**data: Any) -> dict[str, Any]:
    secret = to_secret(FRESH, namespace="dr", name="tls")
    return {**secret, "data": {**secret["data"], **{key.replace("_", "."): value for key, value in data.items()}}}


OTHER = to_secret(begin(NOW, POLICY, ()), namespace="dr", name="tls")["data"]


@pytest.mark.parametrize(
    ("secret", "text"),
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
def test_an_unusable_secret_is_explained(secret: dict[str, Any], text: str) -> None:
    with pytest.raises(CertificateError, match=text):
        parse_secret(secret)


def test_an_unreadable_note_of_times_counts_as_none() -> None:
    secret = to_secret(SWITCHED, namespace="dr", name="tls")
    secret["metadata"]["annotations"][TRUSTED_UNTIL] = "[nonsense"
    assert parse_secret(secret).until(OLD) == OLD.not_valid_after_utc
    assert OURS_LABEL in secret["metadata"]["labels"]


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
