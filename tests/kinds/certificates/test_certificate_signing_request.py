"""CertificateSigningRequests."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kinds.core.making import changed, created, findings
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS as CSRS
from sampan.kinds.certificates import certificate_signing_request as csrs

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def request() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return base64.b64encode(pem).decode()


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "r"}, "spec": {"request": request(), "signerName": "x.example.com/y",
                                                "usages": ["client auth"]} | spec}


def test_a_whole_request_passes() -> None:
    assert findings(CSRS, body()) == []


def test_a_request_says_what_is_wrong_with_it() -> None:
    assert findings(CSRS, body(request="eA==", signerName="nodomain", usages=[], expirationSeconds=5)) == [
        'spec.request: Invalid value: "eA==": PEM block type must be CERTIFICATE REQUEST', "spec.usages: Required value",
        "spec.signerName: Invalid value: \"nodomain\": must be a fully qualified domain and path of the form "
        "'example.com/signer-name'",
        "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)"]


def test_who_asked_is_written_over_what_the_body_said() -> None:
    csr = created(CSRS, body(username="root", groups=["system:masters"]))
    csrs.requested_by(csr, "dave", "u1", ("devs",), {"team": ("blue",)})
    assert (csr.spec.username, csr.spec.groups, csr.spec.extra) == ("dave", ["devs"], {"team": ["blue"]})


def test_only_the_approval_subresource_approves() -> None:
    old = created(CSRS, body())
    approve = {"status": {"conditions": [{"type": "Approved", "status": "True"}]}}
    assert changed(CSRS, old, approve, "status")[1] == [
        'status.conditions: Forbidden: updates may not add a condition of type "Approved"']
    approved, wrong = changed(CSRS, old, approve, "approval")
    csrs.touch_conditions(approved, old, NOW)
    assert wrong == []
    assert csrs.is_approved(approved)
    assert approved.status.conditions[0].lastUpdateTime == "2026-01-01T00:00:00Z"
    assert changed(CSRS, approved, {"status": {"conditions": [{"type": "Denied", "status": "True"}]}}, "approval")[1] == [
        'status.conditions: Forbidden: updates may not remove a condition of type "Approved"']


def test_a_condition_of_approval_is_true() -> None:
    old = created(CSRS, body())
    assert changed(CSRS, old, {"status": {"conditions": [{"type": "Approved", "status": "False"}]}}, "approval")[1] == [
        'status.conditions[0].status: Unsupported value: "False": supported values: "True"']


@pytest.mark.parametrize(("name", "wrong"), [
    ("a.b/c.d", []),
    ("kubernetes.io/legacy-unknown", ['"kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version']),
    ("ab/c", ['"ab": should be a domain with at least two segments separated by dots']),
    ("a.b/c_d", ['"c_d": validating label "c_d": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
                 "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
                 "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]),
    ("a.b/c/d", ["\"a.b/c/d\": must be a fully qualified domain and path of the form 'example.com/signer-name'"]),
])
def test_a_signer_is_a_domain_and_a_path(name: str, wrong: list[str]) -> None:
    assert findings(CSRS, body(signerName=name)) == [f"spec.signerName: Invalid value: {why}" for why in wrong]


def test_conditions_other_than_approval_are_the_signers() -> None:
    # given an approved request
    old = changed(CSRS, created(CSRS, body()), {"status": {"conditions": [{"type": "Approved", "status": "True"}]}}, "approval")[0]
    # when a signer writes the approval differently, adds a denial and a condition of its own
    conditions = [{"type": "Approved", "status": "True", "reason": "Other"}, {"type": "Failed", "status": "False"}, {"type": "", "status": ""}]
    new, wrong = changed(CSRS, old, {"status": {"conditions": conditions}}, "status")
    # then the approval is as it was, and the rest is judged
    assert new.status.conditions[0].reason == ""
    assert wrong == ['status.conditions[1].status: Unsupported value: "False": supported values: "True"',
                     "status.conditions[2].type: Required value", "status.conditions[2].status: Required value"]
    denied = [{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}]
    assert changed(CSRS, old, {"status": {"conditions": denied}}, "approval")[1] == [
        'status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive']


def test_a_certificate_is_one() -> None:
    old = created(CSRS, body())
    assert changed(CSRS, old, {"status": {"certificate": "eA=="}}, "status")[1] == [
        'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block']


def test_what_was_asked_for_stays() -> None:
    old = created(CSRS, body())
    assert changed(CSRS, old, {"spec": {"signerName": "a.b/c"}})[0].spec.signerName == "x.example.com/y"
