"""CertificateSigningRequest: who asks for a certificate, whether it was approved, and the certificate.

`requested_by` puts in who asked: the registry calls it with the request's user.
Source: kubernetes `pkg/apis/certificates/{validation/validation.go,v1/defaults.go}`,
`pkg/registry/certificates/certificates/strategy.go`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from sampan.api import field, names
from sampan.api.certificates.v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS
from sampan.api.scalars import Time
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age, human_duration

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)
MIN_SECONDS = 600
_PEM = re.compile(rb"-----BEGIN ([^-]*)-----\s*(.*?)\s*-----END \1-----", re.DOTALL)


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


def _keep_spec_and_metadata(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    new.spec = old.spec
    meta.keep_metadata(new, old)


def prepare_status(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    """Approved and Denied belong to the approval subresource: here they stay as they were."""
    _keep_spec_and_metadata(new, old)
    kept = [one for one in new.status.conditions if one.type not in (APPROVED, DENIED)]
    new.status.conditions = [one for one in old.status.conditions if one.type in (APPROVED, DENIED)] + kept


def prepare_approval(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    """Only the conditions change."""
    _keep_spec_and_metadata(new, old)
    new.status.certificate = old.status.certificate


def touch_conditions(new: CertificateSigningRequest, old: CertificateSigningRequest, now: datetime) -> None:
    """Fill in the times of conditions that were added or changed."""
    before = {one.type: one for one in old.status.conditions}
    for one in new.status.conditions:
        was = before.get(one.type)
        if one.lastTransitionTime is None:
            same = was is not None and was.status == one.status
            one.lastTransitionTime = was.lastTransitionTime if was is not None and same else Time.of(now)
        if one.lastUpdateTime is None:
            one.lastUpdateTime = Time.of(now)


def validate(csr: CertificateSigningRequest) -> Findings:
    spec, out = csr.spec, Findings()
    if problem := _request_problem(spec.request):
        out.append(field.invalid("spec.request", base64.b64encode(spec.request).decode(), problem))
    if not spec.usages:
        out.append(field.required("spec.usages"))
    for index, usage in enumerate(spec.usages):
        out += checks.one_of(usage, USAGES, f"spec.usages[{index}]")
        if usage in spec.usages[:index]:
            out.append(field.duplicate(f"spec.usages[{index}]", usage))
    out += _signer_name(spec.signerName, "spec.signerName")
    if spec.expirationSeconds is not None and spec.expirationSeconds < MIN_SECONDS:
        out.append(field.invalid("spec.expirationSeconds", spec.expirationSeconds,
                                 f"may not specify a duration less than {MIN_SECONDS} seconds"))
    return out + _conditions(csr)


@lru_cache(maxsize=64)
def _request_problem(request: bytes) -> str:
    """Why a PEM-encoded request can't be used; "" when it can. Its signature is checked."""
    block = _PEM.search(request)
    if block is None or block[1] != b"CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        parsed = x509.load_pem_x509_csr(block[0])
        return "" if parsed.is_signature_valid else "x509: signature verification failure"
    except (ValueError, InvalidSignature, UnsupportedAlgorithm, TypeError) as error:
        return f"x509: {error}"


def _signer_name(name: str, at: str) -> Findings:
    """`example.com/signer-name`; the path may have `:` and dots, the domain at least one dot."""
    if not name:
        return [field.required(at)]
    domain, slash, path = name.partition("/")
    if not slash or "/" in path or not domain or not path:
        return [field.invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")]
    out: Findings = []
    if "." not in domain:
        out.append(field.invalid(at, domain, "should be a domain with at least two segments separated by dots"))
    out += [field.invalid(at, domain, f"validating label {label!r}: {message}".replace("'", '"', 2))
            for label in domain.split(".") for message in names.dns1123_label(label)]
    if not all(not names.dns1123_subdomain(part) for part in path.split(":")):
        out.append(field.invalid(at, path, "must consist of labels, dots and colons"))
    if len(name) > 571:
        out.append(field.too_long(at, 571))
    return out


def _conditions(csr: CertificateSigningRequest) -> Findings:
    out: Findings = []
    seen: set[str] = set()
    at = "status.conditions"
    for index, one in enumerate(csr.status.conditions):
        where = f"{at}[{index}]"
        if not one.type:
            out.append(field.required(f"{where}.type"))
        allowed = ("True",) if one.type in (APPROVED, DENIED, FAILED) else ("True", "False", "Unknown")
        if not one.status:
            out.append(field.required(f"{where}.status"))
        else:
            out += checks.one_of(one.status, allowed, f"{where}.status")
        if one.type in seen:
            out.append(field.duplicate(f"{where}.type", one.type))
        seen.add(one.type)
        if (one.type == APPROVED and DENIED in seen) or (one.type == DENIED and APPROVED in seen):
            out.append(field.invalid(f"{where}.type", one.type, "Approved and Denied conditions are mutually exclusive"))
    return out


def validate_status(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Findings:
    certificate = new.status.certificate
    out = _conditions(new)
    if certificate != old.status.certificate:
        if old.status.certificate:
            out.append(field.forbidden("status.certificate", "updates may not change certificate content"))
        elif problem := certificate_problem(certificate):
            out.append(field.invalid("status.certificate", "<certificate data>", problem))
    return out + _kept(new, old, (FAILED,))


def validate_approval(new: CertificateSigningRequest, old: CertificateSigningRequest) -> Findings:
    return _conditions(new) + _kept(new, old, (APPROVED, DENIED, FAILED))


def _kept(new: CertificateSigningRequest, old: CertificateSigningRequest, types: Sequence[str]) -> Findings:
    now = {one.type for one in new.status.conditions}
    return [field.forbidden("status.conditions", f'updates may not remove a condition of type "{one.type}"')
            for one in old.status.conditions if one.type in types and one.type not in now]


def certificate_problem(pem: bytes) -> str:
    """Why this is no chain of certificates; "" when it is one."""
    blocks = list(_PEM.finditer(pem))
    if not blocks:
        return "must contain at least one CERTIFICATE PEM block"
    for block in blocks:
        if block[1] != b"CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block[1].decode("ascii", "replace")}"'
        try:
            x509.load_pem_x509_certificate(block[0])
        except ValueError as error:
            return f"x509: {error}"
    return ""


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
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    name_check=lambda _: (),
    subkinds=(
        SubKind("status", prepare_status, validate_status, touch_conditions),
        SubKind("approval", prepare_approval, validate_approval, touch_conditions),
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
