"""The authority of those who may ask for reviews: its file, and the names in certificates."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.unit.runtime.pki import Authority
from webhook.callers import CallerCheck, names_in
from webhook.certificates.live import LiveCertificate
from webhook.certificates.pair import CertificateError


def check(file: Path) -> CallerCheck:
    return CallerCheck(file, frozenset(), LiveCertificate(["x"]))


@pytest.mark.parametrize("text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_cannot_be_used_says_what_to_give(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ca.crt"
    file.write_text(text)
    with pytest.raises(CertificateError, match=r"--client-ca-file: .* has no usable PEM certificate"):
        check(file)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CertificateError, match="--client-ca-file: cannot read"):
            check(path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(CertificateError, match="cannot read"):
        check(tmp_path / "binary")


async def test_a_changed_file_is_taken_up_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.callers.LOOK_SECONDS", 0.01)
    file, changes = tmp_path / "ca.crt", list[ssl.SSLContext]()
    file.write_text(Authority("one").pem)
    checked = check(file)
    first = checked.context()
    assert first.verify_mode is ssl.CERT_REQUIRED
    running = asyncio.create_task(checked.run(lambda: changes.append(checked.context())))
    for text in ("broken", "", Authority("two").pem):
        file.write_text(text)
        await asyncio.sleep(0.2)
    running.cancel()
    await asyncio.wait({running})
    assert changes == [checked.context()]
    assert checked.context() is not first
    assert len(checked.context().get_ca_certs()) == 1


def test_names_of_a_certificate() -> None:
    shown = {
        "subject": ((("organizationName", "o"),), (("commonName", "apiserver"),)),
        "subjectAltName": (("DNS", "d"), ("URI", "spiffe://x"), ("IP Address", "10.0.0.1"), ("email", "e")),
    }
    assert list(names_in(shown)) == ["apiserver", "d", "spiffe://x"]
    assert list(names_in({})) == []
