"""What is served: a sound pair at once, for new connections only; a bad one never."""

from __future__ import annotations

import pytest

from app.runtime import metrics
from tests.unit.certificates.tls import DAY, NAMES, NOW, connect, echo_server, new_pair, pair_of, served_by
from webhook.certificates.live import LiveCertificate
from webhook.certificates.making import certificate_pem, make_authority
from webhook.certificates.pair import CertificateError, ServingPair


def live_with(pair: ServingPair) -> LiveCertificate:
    live = LiveCertificate(NAMES)
    assert live.offer(pair, NOW, source="test")
    return live


def bad_pairs() -> dict[str, ServingPair]:
    one, other = new_pair(), new_pair()
    return {
        "do not fit each other": ServingPair(one.certificate, other.key),
        "the certificate expired at": new_pair(now=NOW - 10 * DAY, lifetime=9 * DAY),
        "is not valid before": new_pair(now=NOW + DAY),
        "is no PEM certificate": ServingPair(b"x", one.key),
    }


BAD = bad_pairs()


@pytest.mark.parametrize("text", list(BAD))
def test_a_bad_pair_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(CertificateError, match=text):
        BAD[text].check(NOW)


@pytest.mark.parametrize("text", list(BAD))
async def test_a_bad_pair_leaves_the_one_in_use(text: str) -> None:
    good = new_pair()
    live = live_with(good)
    refused = metrics.certificate_reloads_total.labels("refused")._value.get()
    async with echo_server(live.context) as port:
        assert not live.offer(BAD[text], NOW, source="test")
        assert await served_by(port) == good.leaf
    assert live.problem(NOW) is None
    assert metrics.certificate_reloads_total.labels("refused")._value.get() == refused + 1


async def test_open_connections_survive_a_change_and_new_ones_see_it() -> None:
    first, second = new_pair(), new_pair()
    live = live_with(first)
    async with echo_server(live.context) as port:
        reader, writer = await connect(port, None, "localhost")
        assert live.offer(second, NOW, source="test")
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        assert await served_by(port) == second.leaf
        writer.close()
        await writer.wait_closed()


async def test_without_a_certificate_handshakes_fail_at_once() -> None:
    live = LiveCertificate(NAMES)
    async with echo_server(live.context) as port:
        with pytest.raises(OSError):
            await connect(port, None, "localhost")
    assert live.problem(NOW) == "no certificate: it has not been looked for yet"


def test_an_expired_certificate_in_use_is_a_problem_that_names_the_refused_one() -> None:
    pair = new_pair(lifetime=DAY)
    live = live_with(pair)
    assert live.problem(pair.not_after - DAY / 2) is None
    live.offer(BAD["do not fit each other"], NOW, source="test")
    problem = live.problem(pair.not_after)
    assert problem is not None
    assert problem.startswith(f"the certificate expired at {pair.not_after:%Y-%m-%dT%H:%M:%SZ}; the one there is now")


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "hook", "hook.dr", "hook.dr.svc", "hook.dr.svc.cluster.local"]
)
async def test_clients_that_trust_the_authority_can_connect(name: str) -> None:
    authority = make_authority(NOW, 365 * DAY)
    live = live_with(pair_of(authority))
    async with echo_server(live.context) as port:
        _, writer = await connect(port, certificate_pem(authority.certificate), name)
        writer.close()
        await writer.wait_closed()


def test_the_end_is_a_metric() -> None:
    pair = new_pair()
    live_with(pair)
    shown = metrics.certificate_not_after_seconds.labels("serving")._value.get()
    assert shown == pair.not_after.timestamp()


def test_names_that_are_missing() -> None:
    assert new_pair().missing_names(NAMES) == []
    assert new_pair().missing_names(["other.dr.svc"]) == ["other.dr.svc"]
