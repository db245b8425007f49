"""Certificates in a folder: made once, followed, refused when broken; the kubelet's exchange by symlink."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.unit.certificates.tls import DAY, NAMES, NOW, echo_server, new_pair, served_by
from webhook.certificates.folder import FolderCertificates, make_missing, read_files
from webhook.certificates.live import LiveCertificate
from webhook.certificates.pair import CertificateError, ServingPair


def put(folder: Path, pair: ServingPair) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)


def mount(volume: Path, version: str, pair: ServingPair) -> None:
    """Exchange the files as the kubelet does: a new folder, then the symlink `..data` in one step."""
    put(volume / version, pair)
    scratch = volume / "..data_tmp"
    scratch.symlink_to(version)
    scratch.rename(volume / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"..data/{name}")


def started(folder: Path) -> tuple[FolderCertificates, LiveCertificate]:
    live = LiveCertificate(NAMES)
    certificates = FolderCertificates(folder, live)
    certificates.start(NAMES)
    return certificates, live


def test_a_pair_is_made_once_and_keys_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    _, live = started(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "ca.key", "tls.crt", "tls.key"]
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
    assert (folder / "tls.key").stat().st_mode & 0o077 == 0
    assert started(folder)[1].served == live.served


def test_a_new_pair_is_signed_by_the_authority_that_is_there(tmp_path: Path) -> None:
    started(tmp_path)
    authority = (tmp_path / "ca.crt").read_bytes()
    (tmp_path / "tls.crt").unlink()
    (tmp_path / "tls.key").unlink()
    _, live = started(tmp_path)
    assert live.served is not None
    live.served.leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))


def test_what_was_made_here_is_renewed_at_a_start_near_its_end(tmp_path: Path) -> None:
    make_missing(tmp_path, NAMES, NOW - timedelta(days=300))
    old = read_files(tmp_path).pair
    _, live = started(tmp_path)
    assert live.served is not None
    assert live.served != old
    assert live.served.not_after > NOW + 364 * DAY


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "tls.key").unlink()
    with pytest.raises(CertificateError, match=r"tls\.key is missing: provide tls\.crt and tls\.key, or neither"):
        started(tmp_path)


def test_a_start_with_a_pair_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    put(tmp_path, ServingPair(new_pair().certificate, new_pair().key))
    with pytest.raises(CertificateError, match="do not fit each other"):
        started(tmp_path)


async def test_changed_files_are_loaded(tmp_path: Path) -> None:
    put(tmp_path, new_pair())
    certificates, live = started(tmp_path)
    second = new_pair()
    put(tmp_path, second)
    await certificates.look()
    async with echo_server(live.context) as port:
        assert await served_by(port) == second.leaf


async def test_half_exchanged_files_are_refused_and_loaded_when_whole(tmp_path: Path) -> None:
    first, second = new_pair(), new_pair()
    put(tmp_path, first)
    certificates, live = started(tmp_path)
    (tmp_path / "tls.crt").write_bytes(second.certificate)
    await certificates.look()
    async with echo_server(live.context) as port:
        assert await served_by(port) == first.leaf
        (tmp_path / "tls.key").write_bytes(second.key)
        await certificates.look()
        assert await served_by(port) == second.leaf


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
async def test_removed_files_change_nothing(tmp_path: Path, name: str) -> None:
    first = new_pair()
    put(tmp_path, first)
    certificates, live = started(tmp_path)
    (tmp_path / name).unlink()
    await certificates.look()
    assert live.served == first
    assert live.problem(NOW) is None


async def test_the_kubelets_exchange_by_symlink_is_followed(tmp_path: Path) -> None:
    first, second = new_pair(), new_pair()
    mount(tmp_path, "..1", first)
    certificates, live = started(tmp_path)
    assert live.served == first
    mount(tmp_path, "..2", second)
    await certificates.look()
    assert live.served == second


def test_both_files_are_read_from_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = new_pair(), new_pair()
    mount(tmp_path, "..1", first)
    original = Path.read_bytes

    def exchange_in_between(path: Path) -> bytes:
        content = original(path)
        if path.name == "tls.crt":
            mount(tmp_path, "..2", second)
        return content

    monkeypatch.setattr(Path, "read_bytes", exchange_in_between)
    assert read_files(tmp_path).pair == first
