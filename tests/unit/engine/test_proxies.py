"""Proxies are chosen as Go's net/http chooses them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.engine.proxies import Proxies, UnusableProxyError
from tests.support.oracle import Oracle

PROXY = {"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "proxy:3129"}


def chosen(environment: Mapping[str, str], url: str) -> str | None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Proxies.from_environment(environment).proxy_for(parts.scheme, parts.hostname or "", port)


CASES = [
    ("127.0.0.0/8,10.0.0.0/8,db.example:8443", "http://10.1.2.3/", None),
    ("10.0.0.0/8", "http://11.1.2.3/", "http://proxy:3128"),
    ("db.example:8443", "https://db.example:8443/", None),
    ("db.example:8443", "https://db.example/", "http://proxy:3129"),
    ("db.example:443", "https://db.example/", None),
    ("db.example", "https://a.db.example/", None),
    (".db.example", "https://db.example/", "http://proxy:3129"),
    (".db.example", "https://a.db.example/", None),
    ("*.db.example", "https://a.db.example/", None),
    ("*.db.example", "https://db.example/", "http://proxy:3129"),
    ("example", "https://anexample/", "http://proxy:3129"),
    ("*", "https://db.example/", None),
    ("a, *", "https://db.example/", None),
    ("*example", "https://db.example/", "http://proxy:3129"),
    ("2001:db8::/32", "https://[2001:db8::1]/", None),
    ("[2001:db8::1]:443", "https://[2001:db8::1]/", None),
    ("2001:db8::1", "https://[2001:db8::1]/", None),
    ("[2001:db8::1]", "https://[2001:db8::1]/", "http://proxy:3129"),
    ("10.0.0.1", "http://[::ffff:10.0.0.1]/", None),
    ("10.0.0.0/8", "http://[::ffff:10.0.0.1]/", None),
    ("::ffff:10.0.0.0/104", "http://10.0.0.1/", None),
    ("10.0.0.0/255.0.0.0", "http://10.0.0.1/", "http://proxy:3128"),
    ("10.0.0.1/8", "http://10.9.9.9/", None),
    (" DB.Example , ", "http://db.example/", None),
    (":80", "http://db.example/", "http://proxy:3128"),
    ("", "http://localhost:8080/", None),
    ("", "http://127.8.9.10/", None),
    ("", "http://[::1]/", None),
    ("", "http://[::ffff:127.0.0.1]/", None),
    ("", "http://a.localhost/", "http://proxy:3128"),
    ("", "http://localhost./", "http://proxy:3128"),
    ("db.example.", "http://db.example/", "http://proxy:3128"),
    ("münchen.example", "http://xn--mnchen-3ya.example/", None),
    ("10.0.0.1:80", "http://10.0.0.1/", None),
    ("10.0.0.1:81", "http://10.0.0.1/", "http://proxy:3128"),
]


@pytest.mark.parametrize(("exceptions", "url", "proxy"), CASES)
def test_exceptions(exceptions: str, url: str, proxy: str | None, oracle: Oracle) -> None:
    environment = {**PROXY, "NO_PROXY": exceptions}
    assert chosen(environment, url) == proxy
    assert oracle.ask("proxy", url, environment).result == (proxy or "")


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({"https_proxy": "http://low"}, "https://a/", "http://low"),
        ({"https_proxy": "http://low", "HTTPS_PROXY": "http://up"}, "https://a/", "http://up"),
        ({"https_proxy": "http://low", "HTTPS_PROXY": ""}, "https://a/", "http://low"),
        ({"HTTPS_PROXY": "http://p", "no_proxy": "a"}, "https://a/", None),
        ({"HTTPS_PROXY": "http://p", "no_proxy": "a", "NO_PROXY": "b"}, "https://a/", "http://p"),
        ({"HTTPS_PROXY": "http://p"}, "http://a/", None),
        ({"HTTP_PROXY": "http://p"}, "https://a/", None),
        ({"ALL_PROXY": "http://p", "all_proxy": "http://p"}, "http://a/", None),
        ({"HTTP_PROXY": "10.0.0.1:3128"}, "http://a/", "http://10.0.0.1:3128"),
        ({"HTTPS_PROXY": "http://p", "REQUEST_METHOD": "GET"}, "https://a/", "http://p"),
        ({"HTTP_PROXY": "http://u:p@p:1"}, "http://a/", "http://u:p@p:1"),
    ],
)
def test_variables(environment: dict[str, str], url: str, proxy: str | None, oracle: Oracle) -> None:
    assert chosen(environment, url) == proxy
    assert oracle.ask("proxy", url, environment).result == (proxy or "")


def test_a_proxy_that_a_request_may_have_set_is_refused_as_in_go(oracle: Oracle) -> None:
    environment = {"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}
    with pytest.raises(UnusableProxyError, match="REQUEST_METHOD"):
        chosen(environment, "http://a/")
    assert oracle.ask("proxy", "http://a/", environment).stage == "execute"


def test_a_proxy_of_another_kind_is_named_without_its_password() -> None:
    with pytest.raises(UnusableProxyError, match="HTTPS_PROXY names a proxy of kind socks5") as caught:
        chosen({"HTTPS_PROXY": "socks5://user:s3cret@p:1080"}, "https://a/")
    assert "s3cret" not in str(caught.value)


_HOSTS = st.sampled_from(
    ["a", "b.a", "c.b.a", "10.0.0.1", "10.0.1.1", "127.0.0.9", "::1", "::ffff:10.0.0.1", "2001:db8::7", "localhost"]
)
_ENTRIES = st.one_of(
    _HOSTS,
    st.sampled_from(
        ["*", "*.a", ".a", ".b.a", "10.0.0.0/23", "10.0.0.0/33", "2001:db8::/33", "[::1]:80", "a:80", ":1"]
    ),
    st.text("ab*.:[]/0182 %-", max_size=9),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(host=_HOSTS, entries=st.lists(_ENTRIES, max_size=3), port=st.sampled_from(["", ":80", ":81"]))
def test_agrees_with_go(oracle: Oracle, host: str, entries: list[str], port: str) -> None:
    url = f"http://{f'[{host}]' if ':' in host else host}{port}/"
    environment = {**PROXY, "NO_PROXY": ",".join(entries)}
    assert (chosen(environment, url) or "") == oracle.ask("proxy", url, environment).result
