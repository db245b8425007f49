"""The base image by its digest, asked of a container engine that is a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from supply.base_image import TAG, BaseImageError, chosen, main, resolve

DIGEST = f"sha256:{'a1' * 32}"
PINNED = f"{TAG}@{DIGEST}"


def test_an_image_with_its_digest_is_taken(tmp_path: Path) -> None:
    assert chosen(f"mirror/{PINNED}", tmp_path / "none", allow_tag=False) == f"mirror/{PINNED}"


def test_the_recorded_one_is_taken_where_none_is_given(tmp_path: Path) -> None:
    recorded = tmp_path / "base-image"
    recorded.write_text(f"{PINNED}\n")
    assert chosen("", recorded, allow_tag=False) == PINNED
    assert chosen(f"other@{DIGEST}", recorded, allow_tag=False) == f"other@{DIGEST}"


@pytest.mark.parametrize("given", ["", TAG, "python", f"{TAG}@sha256:12", f"{TAG}@md5:{'a' * 64}", f"a b@{DIGEST}"])
def test_a_tag_alone_is_refused_unless_it_is_wanted(tmp_path: Path, given: str) -> None:
    with pytest.raises(BaseImageError, match="make base-image"):
        chosen(given, tmp_path / "none", allow_tag=False)
    assert chosen(given, tmp_path / "none", allow_tag=True) == (given or TAG)


def engine(folder: Path, digests: str, code: int = 0) -> str:
    script = folder / "engine"
    script.write_text(f"#!/bin/sh\n[ $1 = pull ] && exit {code}\necho '{digests}'\n")
    script.chmod(0o755)
    return str(script)


def test_the_engine_is_asked_for_the_digest(tmp_path: Path) -> None:
    assert resolve(engine(tmp_path, f'["python@{DIGEST}"]'), TAG) == PINNED


@pytest.mark.parametrize("digests", ["null", "[]", f'["python@{DIGEST}", "python@sha256:{"b2" * 32}"]'])
def test_without_one_digest_none_is_made_up(tmp_path: Path, digests: str) -> None:
    with pytest.raises(BaseImageError, match="digests of"):
        resolve(engine(tmp_path, digests), TAG)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    assert main(["--record", "--engine", engine(tmp_path, "[]", code=1)]) == 1
    assert main(["--record", "--engine", str(tmp_path / "none")]) == 1
    assert not (tmp_path / "base-image").exists()
    assert main(["--record", "--engine", engine(tmp_path, f'["python@{DIGEST}"]')]) == 0
    assert (tmp_path / "base-image").read_text() == f"{PINNED}\n"
    capsys.readouterr()
    assert main([]) == 0
    assert capsys.readouterr().out == f"{PINNED}\n"
