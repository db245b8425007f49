"""Rule W39: authorities of HTTP actions."""

from __future__ import annotations

import pytest

from app.rules.actions.http import MOST_CERTIFICATES
from app.rules.workflow import check_workflow
from tests.unit.rules.builders import Json, http, workflow
from tests.unit.runtime.pki import Authority

PEM = Authority().pem


def calling(bundle: str, name: str = "a") -> Json:
    return http(name, http={"url": "https://x.invalid/", "caBundle": bundle})


def test_text_around_certificates_may_be_of_any_script() -> None:
    assert check_workflow(workflow(calling(f"# NetLock Arany (Class Gold) Főtanúsítvány\n{PEM}"))).ok


@pytest.mark.parametrize("bundle", ["ő", "MIIB", "-----BEGIN CERTIFICATE-----\nő\n-----END CERTIFICATE-----\n"])
def test_what_holds_no_certificate_is_refused_and_runs_once_stored(bundle: str) -> None:
    report = check_workflow(workflow(calling(bundle)))
    assert [(found.rule, found.path) for found in report.errors] == [("W39", "spec.actions[0].http.caBundle")]
    assert report.stoppers == ()


def test_so_many_certificates_are_read_for_one_object() -> None:
    broken = calling(PEM.replace("MII", "???", 1), "b")
    full = calling(PEM * (MOST_CERTIFICATES - 1))
    assert not check_workflow(workflow(full, broken)).ok
    assert check_workflow(workflow(full, calling(PEM, "p"), broken)).ok
    (found,) = check_workflow(workflow(full, calling(PEM, "p"), broken, calling("MIIB", "c"))).errors
    assert found.path == "spec.actions[3].http.caBundle"
