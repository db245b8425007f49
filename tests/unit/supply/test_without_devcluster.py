"""`drplan dev` where the local control plane is not installed, as in the image."""

from __future__ import annotations

import sys

import pytest

from drplan.main import main


def test_it_says_where_to_go(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "devcluster", None)
    assert main(["dev", "up"]) == 1
    told = capsys.readouterr().err
    assert "this installation has no local control plane" in told
    assert "make setup" in told


def test_another_missing_module_is_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "devcluster", raising=False)
    monkeypatch.delitem(sys.modules, "devcluster.api", raising=False)
    monkeypatch.setitem(sys.modules, "devcluster.api", None)
    with pytest.raises(ModuleNotFoundError):
        main(["dev", "up"])
