"""CertificateSigningRequest: who asks for a certificate, whether it was approved, and the certificate.

`requested_by` puts in who asked: the registry calls it with the request's user.
Source: kubernetes `pkg/apis/certificates/{validation/validation.go,v1/defaults.go}`,
`pkg/registry/certificates/certificates/strategy.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from sampan.api import field, goprint, names
from sampan.api.certificates.v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS
from sampan.api.scalars import Time
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings, NameCheck
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age, human_duration
from sampan.lib import pem

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)
LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
MIN_SECONDS = 600


def condition(csr: CertificateSigningRequest, type: str) -> CertificateSigningRequestCondition | None:
    return meta.condition(csr.status.conditions, type)


def is_approved(csr: CertificateSigningRequest) -> bool:
    """Approved and not denied."""
    return condition(csr, APPROVED) is not None and condition(csr, DENIED) is None


def requested_by(csr: CertificateSigningRequest, name: str, uid: str, groups: Sequence[str],
                 extra: Mapping[str, Sequence[str]]) -> None:
    """Write down who asks, whatever the body said. In place."""
    csr.spec.username, csr.spec.uid, csr.spec.groups = name, uid, list(groups)
    csr.spec.extra = {key: list(values) for key, values in extra.items()}


def prepare_create(csr: CertificateSigningRequest) -> None:
    csr.status = CertificateSigningRequestStatus()


def prepare_update(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    new.spec, new.status = old.spec, old.status


def prepare_status(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    """Approved and Denied belong to the approval subresource: where they are as many as before, they stay as they were."""
    new.spec = old.spec
    new.metadata.generation = old.metadata.generation
    for type in (APPROVED, DENIED):
        before = _of_type(old, type)
        if len(_of_type(new, type)) == len(before):
            kept = iter(before)
            new.status.conditions = [next(kept) if one.type == type else one for one in new.status.conditions]


def prepare_approval(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    """Only the conditions change."""
    new.spec = old.spec
    new.metadata.generation = old.metadata.generation
    new.status.certificate = old.status.certificate


def _of_type(csr: CertificateSigningRequest, type: str) -> list[CertificateSigningRequestCondition]:
    return [one for one in csr.status.conditions if one.type == type]


def touch_conditions(new: CertificateSigningRequest, old: CertificateSigningRequest, now: datetime) -> None:
    """Fill in the times of conditions that were added or changed."""
    for one in new.status.conditions:
        if one.lastUpdateTime is None:
            one.lastUpdateTime = Time.of(now)
        if one.lastTransitionTime is None:
            known = (was.lastTransitionTime for was in _of_type(old, one.type)
                     if was.status == one.status and was.lastTransitionTime is not None)
            one.lastTransitionTime = next(known, Time.of(now))


def validate(csr: CertificateSigningRequest) -> Findings:
    spec, out = csr.spec, Findings()
    if problem := _request_problem(spec.request):
        out.append(field.invalid("spec.request", base64.b64encode(spec.request).decode() or None, problem))
    if not spec.usages:
        out.append(field.required("spec.usages"))
    for index, usage in enumerate(spec.usages):
        out += checks.one_of(usage, USAGES, f"spec.usages[{index}]")
    out += [field.duplicate(f"spec.usages[{index}]", spec.usages[index]) for index in checks.repeated(spec.usages)]
    if spec.signerName == LEGACY_SIGNER:
        out.append(field.invalid("spec.signerName", spec.signerName, "the legacy signerName is not allowed via this API version"))
    else:
        out += signer_name(spec.signerName, "spec.signerName")
    if spec.expirationSeconds is not None and spec.expirationSeconds < MIN_SECONDS:
        out.append(field.invalid("spec.expirationSeconds", spec.expirationSeconds,
                                 f"may not specify a duration less than {MIN_SECONDS} seconds (10 minutes)"))
    return out


@lru_cache(maxsize=64)
def _request_problem(request: bytes) -> str:
    """Why a PEM-encoded request can't be used; "" when it can. Its signature is checked."""
    block = next(pem.blocks(request), None)
    if block is None or block.label != b"CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        parsed = x509.load_pem_x509_csr(block.whole)
        return "" if parsed.is_signature_valid else "x509: signature verification failure"
    except (ValueError, InvalidSignature, UnsupportedAlgorithm, TypeError) as error:
        return f"x509: {error}"


def signer_name(name: str, at: str) -> Findings:
    """`example.com/signer-name`: a domain of two labels and more, and a path of DNS names between dots (`ValidateSignerName`)."""
    if not name:
        return [field.required(at)]
    domain, slash, path = name.partition("/")
    if not slash or "/" in path:
        return [field.invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")]
    out: Findings = []
    if len(domain) > 253:
        out.append(field.too_long(at, 253))
    out += _labels(domain, names.dns1123_label, at)
    if "." not in domain:
        out.append(field.invalid(at, domain, "should be a domain with at least two segments separated by dots"))
    out += _labels(path, names.dns1123_subdomain, at)
    if len(name) > 571:
        out.append(field.too_long(at, 571))
    return out


def _labels(text: str, check: NameCheck, at: str) -> Findings:
    """What is wrong with the first part between dots that is not valid."""
    for label in text.split("."):
        if messages := check(label):
            return [field.invalid(at, text, f"validating label {goprint.quote(label)}: {message}") for message in messages]
    return []


def _conditions(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Findings:
    """What was already so in `old` may stay: both approved and denied, types that repeat or are empty."""
    out: Findings = []
    at = "status.conditions"
    before = [one.type for one in old.status.conditions]
    seen: set[str] = set()
    for index, one in enumerate(new.status.conditions):
        where = f"{at}[{index}]"
        if not one.type and "" not in before:
            out.append(field.required(f"{where}.type"))
        allowed = ("True",) if one.type in (APPROVED, DENIED, FAILED) else ("False", "True", "Unknown")
        if not one.status:
            out.append(field.required(f"{where}.status"))
        else:
            out += checks.one_of(one.status, allowed, f"{where}.status")
        if {one.type, *seen} >= {APPROVED, DENIED} and one.type in (APPROVED, DENIED) and not {APPROVED, DENIED} <= {*before}:
            out.append(field.invalid(at, one.type, "Approved and Denied conditions are mutually exclusive"))
        if one.type in seen and len({*before}) == len(before):
            out.append(field.duplicate(f"{where}.type", one.type))
        seen.add(one.type)
    return out


def validate_status(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Findings:
    out = validate(new) + _conditions(new, old)
    changed = new.status.certificate != old.status.certificate
    if changed and not certificate_problem(old.status.certificate) and (problem := certificate_problem(new.status.certificate)):
        out.append(field.invalid("status.certificate", "<certificate data>", problem))
    out += _kept(new, old) + _no_approval(new, old)
    if changed and old.status.certificate:
        out.append(field.forbidden("status.certificate", "updates may not modify existing certificate content"))
    return out


def validate_approval(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Findings:
    return validate(new) + _conditions(new, old) + _kept(new, old)


def _kept(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Findings:
    return [field.forbidden("status.conditions", f'updates may not remove a condition of type "{type}"')
            for type in (APPROVED, DENIED, FAILED) if len(_of_type(new, type)) < len(_of_type(old, type))]


def _no_approval(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Findings:
    """Only who writes the approval decides. Conditions that stay as many were put back before."""
    return [field.forbidden("status.conditions", f'updates may not add a condition of type "{type}"')
            for type in (APPROVED, DENIED) if len(_of_type(new, type)) > len(_of_type(old, type))]


def certificate_problem(text: bytes) -> str:
    """Why this is no chain of certificates; "" when it is one, or nothing."""
    if not text:
        return ""
    found = False
    for block in pem.blocks(text):
        found = True
        if block.label != b"CERTIFICATE":
            return f"only CERTIFICATE PEM blocks are allowed, found {goprint.quote(block.label.decode('ascii', 'replace'))}"
        if b":" in block.inside:
            return "no PEM block headers are permitted"
        try:
            x509.load_pem_x509_certificate(block.whole)
        except ValueError as error:
            return f"x509: {error}"
    return "" if found else "must contain at least one CERTIFICATE PEM block"


def _state(csr: CertificateSigningRequest) -> str:
    words = [word for type, word in ((APPROVED, "Approved"), (DENIED, "Denied")) if condition(csr, type) is not None]
    if not words:
        words = ["Pending"]
    if condition(csr, FAILED) is not None:
        words.append("Failed")
    if csr.status.certificate:
        words.append("Issued")
    return ",".join(words)


def _requested(csr: CertificateSigningRequest) -> str:
    return "<none>" if csr.spec.expirationSeconds is None else human_duration(csr.spec.expirationSeconds)


KIND: Kind[CertificateSigningRequest] = Kind(
    resource=CERTIFICATE_SIGNING_REQUESTS,
    metadata="both",
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    name_check=lambda _: (),
    subkinds=(
        SubKind("status", prepare_status, validate_status, touch_conditions, "both"),
        SubKind("approval", prepare_approval, validate_approval, touch_conditions, "both"),
    ),
    requested_by=requested_by,
    columns=(
        Column("Name", lambda csr, _: csr.metadata.name, format="name"),
        Column("Age", age),
        Column("SignerName", lambda csr, _: csr.spec.signerName or "<none>"),
        Column("Requestor", lambda csr, _: csr.spec.username),
        Column("RequestedDuration", lambda csr, _: _requested(csr)),
        Column("Condition", lambda csr, _: _state(csr)),
    ),
    fields={"spec.signerName": lambda csr: csr.spec.signerName},
)
