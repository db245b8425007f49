"""What keeps an HTTP request from being sent, as far as its text tells (rule W39).

Messages name members, schemes and headers, never more of an address or a value, which may hold a password.
"""

from __future__ import annotations

import re
import ssl
from urllib.parse import urlsplit

from app.engine.http_headers import belongs_to_connection, is_header_name
from app.engine.pem import BEGIN_CERTIFICATE, certificates
from app.engine.text import short
from app.models.actions import HttpAction
from app.rules.actions.templated import placeholders_of
from app.rules.durations import timeout_problem
from app.rules.findings import Spot
from app.rules.remember import remembered

_SCHEMES = ("http", "https")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TEMPLATED = re.compile(r"\$\(|\{\{")
_BEGIN = "-----BEGIN "
"""How anything in PEM begins; OpenSSL knows several words for certificates."""
_SHORT = 512
_SHORT_BUNDLE = 8 * 1024
"""Characters of bundles of authorities whose problems are remembered."""
MOST_CERTIFICATES = 500
"""Certificates that are read for one object, of all its bundles together; Mozilla's bundle has some 150. Reading one
takes some 0.2 ms, in which nothing else is done."""


def check_http_request(spot: Spot, http: HttpAction) -> None:
    """Check that the request can be sent. `spot` is the block."""
    problem, scheme = _url_problem(http.url) if http.url else ("", "")
    if problem:
        hint = spot.meant(scheme, _SCHEMES) if scheme else ""
        spot.error("W39", f"HTTP.URL {problem}{hint}", "url", found=scheme, runnable=True)
    for name, value in http.headers.items():
        _check_name(spot, name, "headers")
        if _CONTROL.search(value):
            text = f"HTTP.Headers: the value of {short(name)} has a line end or control character, which HTTP forbids"
            spot.error("W39", text, f"headers.{short(name)}", found=name, runnable=True)
    for index, source in enumerate(http.headers_from):
        _check_name(spot, source.name, f"headersFrom[{index}].name")
        _check_literal(spot, source.secret_key_ref.name, f"headersFrom[{index}].secretKeyRef.name")
        _check_literal(spot, source.secret_key_ref.key, f"headersFrom[{index}].secretKeyRef.key")
    if http.client_certificate_secret_ref is not None:
        _check_literal(spot, http.client_certificate_secret_ref.name, "clientCertificateSecretRef.name")
    if http.request_timeout and (problem := timeout_problem(http.request_timeout)):
        text = f"HTTP.RequestTimeout: invalid value {short(http.request_timeout)}: {problem}"
        spot.error("W39", text, "requestTimeout", found=http.request_timeout, runnable=True)
    if http.ca_bundle and not _holds_certificates(spot, http.ca_bundle):
        text = "HTTP.CABundle must be PEM certificates (-----BEGIN CERTIFICATE-----)"
        spot.error("W39", text, "caBundle", runnable=True)


def _check_literal(spot: Spot, text: str, member: str) -> None:
    """References to Secrets say by themselves what is read, so that admission can ask whether the author may."""
    if found := placeholders_of(text):
        what = f"HTTP.{member[:1].upper()}{member[1:]}"
        spot.error("W39", f"{what}: {found[0].text} is not replaced here: write the name itself", member, found=text)


def _check_name(spot: Spot, name: str, member: str) -> None:
    if belongs_to_connection(name):
        what = f"HTTP.{member[:1].upper()}{member[1:]}"
        text = f"{what}: '{short(name)}' belongs to the connection, which the controller makes: leave it out"
        where = f"{member}.{short(name)}" if member == "headers" else member
        spot.error("W39", text, where, found=name)
    elif not is_header_name(name):
        what = f"HTTP.{member[:1].upper()}{member[1:]}"
        text = f"{what}: '{short(name)}' is no name of a header: letters, digits and - are accepted"
        spot.error("W39", text, member, found=name, runnable=True)


@remembered(_SHORT)
def _url_problem(url: str) -> tuple[str, str]:
    """What is wrong with an address, and the scheme if that is it; what placeholders stand for is not known."""
    templated = _TEMPLATED.search(url)
    literal = url[: templated.start()] if templated else url
    if _CONTROL.search(literal):
        return "has a line end or control character", ""
    scheme, separator, _ = literal.partition("://")
    if templated and not separator:
        begins = any(f"{known}://".startswith(literal.lower()) for known in _SCHEMES)
        return ("" if begins else "must begin with http:// or https://"), ""
    if not separator:
        return "must begin with http:// or https://, found no scheme", ""
    if scheme.lower() not in _SCHEMES:
        return f"must begin with http:// or https://, found '{short(scheme)}'", scheme
    if templated:
        return "", ""
    try:
        parts = urlsplit(literal)
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    return ("" if good else "must have a host, and a port from 1 to 65535 if it has one"), ""


def _holds_certificates(spot: Spot, bundle: str) -> bool:
    """Whether a bundle can be used, as far as it is read; one that is not fails when its action runs."""
    if BEGIN_CERTIFICATE not in bundle:
        return False
    spot.findings.certificates += bundle.count(_BEGIN)
    return spot.findings.certificates > MOST_CERTIFICATES or _can_be_read(bundle)


@remembered(_SHORT_BUNDLE)
def _can_be_read(bundle: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates(bundle))
    except (ssl.SSLError, ValueError):
        return False
    return True
