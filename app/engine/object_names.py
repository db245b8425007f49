"""What the API server accepts as a name, namespace, API group, version or resource: the one place that decides.

Everything that becomes part of a URL, or names an object in a manifest, a reference or a record, is judged here. The
rules are the API server's own: `path.IsValidPathSegmentName` for names of all kinds, RFC 1123 labels for namespaces,
DNS subdomains for groups, DNS labels (RFC 1035) for versions and resources. A name is also no longer than 253 bytes and
has nothing in it that does not show, because no object has such a name and messages would lie about it.

Every `..._problem` returns what would be accepted, as the end of a sentence that begins with what is meant ("must not
..."); empty text when nothing is wrong. `found` ends the sentence.
"""

from __future__ import annotations

import re
from typing import Final

from app.engine.gotext import quote
from app.engine.text import short

NAME_LIMIT: Final = 253
"""Most bytes of a name."""
LABEL_LIMIT: Final = 63
"""Most characters of a namespace, version or resource."""

_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LABEL_1035: Final = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_KIND: Final = re.compile(r"[A-Za-z](?:[-A-Za-z0-9]*[A-Za-z0-9])?")
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})+")
_ENCODED_STRUCTURE: Final = re.compile(r"%(?:2F|25|2E|[01][0-9A-F]|7F)")

SUBRESOURCES: Final = frozenset({"status", "log"})
"""The sub-resources that are ever asked for."""


def name_problem(name: str) -> str:
    """Return what keeps `name` from being the name of an object of any kind."""
    if not name:
        return "must not be empty"
    if name in (".", "..") or "/" in name or "%" in name:
        return "must not be '.' or '..', or have '/' or '%' in it"
    if not name.isprintable() or name != name.strip():
        return "must not have control characters, line ends or blanks around it"
    if len(name.encode("utf-8", "surrogatepass")) > NAME_LIMIT:
        return f"must have at most {NAME_LIMIT} bytes"
    return ""


def namespace_problem(namespace: str) -> str:
    """Return what keeps `namespace` from being one."""
    if len(namespace) <= LABEL_LIMIT and _LABEL.fullmatch(namespace):
        return ""
    return f"must consist of lower case letters, digits and '-', and have at most {LABEL_LIMIT} characters"


def group_problem(group: str) -> str:
    """Return what keeps `group` from being an API group; the core group is empty."""
    if not group or (len(group) <= NAME_LIMIT and _SUBDOMAIN.fullmatch(group)):
        return ""
    return f"must be a domain name in lower case of at most {NAME_LIMIT} characters"


def version_problem(version: str) -> str:
    """Return what keeps `version` from being the version of an API group."""
    return "" if _is_label_1035(version) else "must be lower case letters, digits and '-', as v1"


def plural_problem(plural: str) -> str:
    """Return what keeps `plural` from being a resource."""
    return "" if _is_label_1035(plural) else "must be lower case letters, digits and '-', as configmaps"


def kind_problem(kind: str) -> str:
    """Return what keeps `kind` from being a kind."""
    if len(kind) <= LABEL_LIMIT and _KIND.fullmatch(kind):
        return ""
    return "must be a word of letters and digits, as ConfigMap"


def api_version_problem(api_version: str) -> str:
    """Return what keeps `api_version` from being `version` or `group/version`."""
    group, slash, version = api_version.partition("/")
    if not slash:
        group, version = "", api_version
    wrong = (slash and not group) or group_problem(group) or version_problem(version)
    return "must be <version> or <group>/<version>, as v1 or apps/v1" if wrong else ""


def subresource_problem(subresource: str) -> str:
    """Return what keeps `subresource` from being one that is ever asked for."""
    return "" if subresource in SUBRESOURCES else f"must be one of {', '.join(sorted(SUBRESOURCES))}"


def path_problem(path: str) -> str:
    """Return what keeps `path` from being the path of a request: the last look before it is sent.

    Empty segments, `.` and `..` would be folded on the way, and an encoded slash, dot or per cent sign be decoded.
    """
    segments = path.split("/")[1:] if path.startswith("/") else [""]
    legal = all(_SEGMENT.fullmatch(each) and each not in (".", "..") for each in segments)
    return "" if legal and not _ENCODED_STRUCTURE.search(path) else "must be made of legal segments"


def found(text: str) -> str:
    """Return the end of a sentence about `text`: what was found."""
    return f", found {quote(short(text))}" if text else ", found none"


def _is_label_1035(text: str) -> bool:
    return len(text) <= LABEL_LIMIT and bool(_LABEL_1035.fullmatch(text))
