"""Looks after the watch of executions, which happen at any time and belong to no run (`controller.lookout`)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from app.kube.pages import LIST_PAGE
from devcluster.audit import AuditedRequest


def is_look(request: AuditedRequest) -> bool:
    """Tell whether a request asks for as many executions as are known, or only how many there are."""
    asked = parse_qs(urlsplit(request.uri).query)
    is_list = request.verb == "list" and request.resource == "drplanexecutions" and not request.namespace
    return is_list and "continue" not in asked and asked.get("limit", [""])[0] not in ("", str(LIST_PAGE))
