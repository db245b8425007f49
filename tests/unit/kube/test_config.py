"""Finding and reading kubeconfigs and service accounts."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.kube import config
from app.kube.config import ConnectionConfig, load_connection
from app.kube.errors import ConnectionConfigError


def write(path: Path, **changes: Any) -> Path:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
    }
    document.update(changes)
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_plain_kubeconfig(tmp_path: Path) -> None:
    found = load_connection(str(write(tmp_path / "kc")))
    assert (found.server, found.token, found.namespace) == ("https://127.0.0.1:6443", "t0ken", "team")
    assert found.plugin is None


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    found = load_connection(str(write(tmp_path / "kc")))
    assert "t0ken" not in repr(found)


def test_data_and_files(tmp_path: Path) -> None:
    pem = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
    write(
        tmp_path / "kc",
        clusters=[{"name": "c", "cluster": {"server": "https://a", "certificate-authority-data": pem}}],
        users=[{"name": "u", "user": {"client-certificate": "pki/tls.crt", "client-key": "pki/tls.key"}}],
    )
    found = load_connection(str(tmp_path / "kc"))
    assert found.ca_data == "-----BEGIN CERTIFICATE-----"
    assert found.client_cert_file == str(tmp_path / "pki/tls.crt")


def test_files_in_kubeconfig_are_merged_and_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "a", contexts=[{"name": "other", "context": {"cluster": "c", "user": "u"}}])
    second = write(tmp_path / "b", users=[{"name": "u", "user": {"token": "second"}}])
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}")
    found = load_connection()
    assert found.token == "t0ken"
    assert found.namespace == "team"


def test_the_flag_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    assert load_connection(str(write(tmp_path / "kc"))).token == "t0ken"


def test_a_named_context(tmp_path: Path) -> None:
    contexts = [
        {"name": "main", "context": {"cluster": "c", "user": "u"}},
        {"name": "two", "context": {"cluster": "c", "user": "u", "namespace": "two"}},
    ]
    assert load_connection(str(write(tmp_path / "kc", contexts=contexts)), "two").namespace == "two"


def test_in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "namespace").write_text("drplan-system")
    monkeypatch.setattr(config, "SERVICE_ACCOUNT_DIR", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    found = load_connection()
    assert found.server == "https://[fd00::1]:6443"
    assert found.token_file == str(tmp_path / "token")
    assert found.namespace == "drplan-system"


def test_a_plugin_user_is_recognised(tmp_path: Path) -> None:
    path = write(tmp_path / "kc", users=[{"name": "u", "user": {"exec": {"command": "get-token"}}}])
    found = load_connection(str(path))
    assert found.plugin is not None
    assert (found.plugin.kubeconfig, found.plugin.context) == (str(path), "main")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"current-context": ""}, "has no current-context"),
        ({"current-context": "nope"}, "has no context 'nope'; it has main"),
        ({"clusters": []}, "uses cluster 'c', which is not defined; defined are none"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "has no server"),
        ({"clusters": [{"name": "c", "cluster": {"server": "ftp://x"}}]}, "an http:// or https:// address is needed"),
        ({"users": [{"name": "u", "user": {"client-key-data": "%%"}}]}, "client-key-data is not base64"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConnectionConfigError, match=text):
        load_connection(str(write(tmp_path / "kc", **changes)))


def test_files_that_are_no_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("a: [")
    (tmp_path / "empty").write_text("")
    for name, text in (("missing", "cannot be read"), ("broken", "not valid YAML"), ("empty", "is empty")):
        with pytest.raises(ConnectionConfigError, match=text):
            load_connection(str(tmp_path / name))


def test_nothing_configured_says_what_was_tried() -> None:
    with pytest.raises(ConnectionConfigError, match=r"--kubeconfig and KUBECONFIG are not set.*does not exist"):
        load_connection()


def test_http_servers_are_allowed() -> None:
    assert ConnectionConfig(server="http://127.0.0.1:8080").server == "http://127.0.0.1:8080"


def test_the_dear_library_is_not_imported_for_plain_users() -> None:
    code = "import app.kube.client, app.kube.config, sys; sys.exit('kubernetes_asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
