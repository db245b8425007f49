"""Certificates: made once, used again, refused when broken; a real TLS handshake."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from webhook.certificates import CertificateError, certificates, service_names

NAMES = service_names("hook", "dr")


def test_names() -> None:
    assert NAMES == ["localhost", "hook.dr.svc", "hook.dr.svc.cluster.local"]


def test_a_pair_is_made_once_and_keys_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    first = certificates(folder, NAMES)
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "ca.key", "tls.crt", "tls.key"]
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
    assert (folder / "tls.key").stat().st_mode & 0o077 == 0
    assert certificates(folder, NAMES) == first


def test_a_new_pair_is_signed_by_the_authority_that_is_there(tmp_path: Path) -> None:
    first = certificates(tmp_path, NAMES)
    (tmp_path / "tls.crt").unlink()
    (tmp_path / "tls.key").unlink()
    second = certificates(tmp_path, NAMES)
    assert second.authority == first.authority
    assert second.certificate != first.certificate


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    certificates(tmp_path, NAMES)
    (tmp_path / "tls.key").unlink()
    with pytest.raises(CertificateError, match=r"tls\.key is missing: provide tls\.crt and tls\.key, or neither"):
        certificates(tmp_path, NAMES)


def test_a_pair_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    certificates(tmp_path, NAMES)
    (tmp_path / "tls.key").write_text(certificates(None, NAMES).key)
    with pytest.raises(CertificateError, match="do not fit each other"):
        certificates(tmp_path, NAMES).context()


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text("x")
    (tmp_path / "tls.key").write_text("x")
    with pytest.raises(CertificateError, match="is no PEM certificate"):
        certificates(tmp_path, NAMES)


def test_an_expired_certificate_is_a_problem() -> None:
    pair = certificates(None, NAMES)
    assert pair.problem(pair.not_after - timedelta(days=1)) is None
    assert pair.problem(pair.not_after) == f"the certificate expired at {pair.not_after:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "hook.dr.svc", "hook.dr.svc.cluster.local"])
async def test_clients_that_trust_the_authority_can_connect(name: str) -> None:
    pair = certificates(None, NAMES)

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=pair.context())
    async with server:
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cadata=pair.authority)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
        writer.close()
        await writer.wait_closed()
