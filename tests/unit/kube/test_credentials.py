"""Credentials that change while a connection is in use: tokens, authorities, client certificates."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from app.kube.config import ConnectionConfig
from app.kube.credentials import REREAD_SECONDS, Credentials
from app.kube.errors import ConnectionConfigError
from tests.unit.runtime.pki import Authority


def write_pair(folder: Path, pair: tuple[str, str]) -> None:
    (folder / "tls.crt").write_text(pair[0])
    (folder / "tls.key").write_text(pair[1])


async def client_name(authority: Authority, context: ssl.SSLContext | None) -> str:
    """The name that the client certificate shows to a server; raises ssl.SSLError when the handshake fails."""
    assert context is not None
    seen: list[object] = []

    async def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert"))
        writer.close()

    tls = authority.server_context(client_certificates=True)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(look, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        await reader.read()
        writer.close()
    return str(seen)


async def test_a_token_file_is_read_again_when_a_minute_has_passed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    credentials = Credentials(ConnectionConfig(server="http://127.0.0.1:1", token_file=str(token)))
    await credentials.open()
    token.write_text("two\n")
    assert await credentials.headers() == {"Authorization": "Bearer one"}
    credentials._read_at = asyncio.get_running_loop().time() - REREAD_SECONDS
    assert await credentials.headers() == {"Authorization": "Bearer two"}


async def test_an_empty_token_file_is_refused_at_the_start_and_kept_out_later(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("")
    credentials = Credentials(ConnectionConfig(server="http://127.0.0.1:1", token_file=str(token)))
    with pytest.raises(ConnectionConfigError, match="is empty"):
        await credentials.open()
    token.write_text("one")
    await credentials.open()
    token.write_text("")
    assert not await credentials.refresh()
    assert await credentials.headers() == {"Authorization": "Bearer one"}


async def test_of_many_rejected_requests_one_reads_the_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    credentials = Credentials(ConnectionConfig(server="http://127.0.0.1:1", token_file=str(token)))
    await credentials.open()
    token.write_text("two")
    outcomes = await asyncio.gather(*(credentials.refresh(rejected="Bearer one") for _ in range(5)))
    assert outcomes == [True] * 5
    assert not await credentials.refresh(rejected="Bearer two")


async def opened(folder: Path, authority: Authority, name: str) -> Credentials:
    """Credentials with a client pair of this name, from files in the folder, in use."""
    (folder / "ca.crt").write_text(authority.pem)
    write_pair(folder, authority.issue(name))
    credentials = Credentials(
        ConnectionConfig(
            server="https://127.0.0.1:1",
            ca_file=str(folder / "ca.crt"),
            client_cert_file=str(folder / "tls.crt"),
            client_key_file=str(folder / "tls.key"),
        )
    )
    await credentials.open()
    return credentials


async def test_a_replaced_authority_and_client_pair_are_taken_over(tmp_path: Path) -> None:
    old, new = Authority(), Authority()
    credentials = await opened(tmp_path, old, "before")
    assert "before" in await client_name(old, credentials.ssl_context)
    with pytest.raises(ssl.SSLError):
        await client_name(new, credentials.ssl_context)
    (tmp_path / "ca.crt").write_text(new.pem)
    write_pair(tmp_path, new.issue("after"))
    await credentials.refresh()
    assert "after" in await client_name(new, credentials.ssl_context)


async def test_a_pair_that_does_not_fit_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    authority = Authority()
    credentials = await opened(tmp_path, authority, "good")
    write_pair(tmp_path, (authority.issue("bad")[0], authority.issue("other")[1]))
    await credentials.refresh()
    assert "good" in await client_name(authority, credentials.ssl_context)


async def test_certificates_that_cannot_be_used_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    for ca_file in (str(tmp_path / "ca.crt"), str(tmp_path / "missing")):
        config = ConnectionConfig(server="https://127.0.0.1:1", ca_file=ca_file, origin="--kubeconfig k")
        with pytest.raises(ConnectionConfigError, match="--kubeconfig k: certificates cannot be used"):
            await Credentials(config).open()
