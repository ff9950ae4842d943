"""What becomes of a certificate signing request. Pure.

Leaves certificates to `sampan.lib.pki`. Source: kube-controller-manager `certificates/{approver,signer,cleaner}`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from sampan.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS
from sampan.api.scalars import Time
from sampan.kinds.meta import condition
from sampan.kinds.plan import Delete, Plan, Update
from sampan.lib import pki

SIGNERS = (pki.KUBE_APISERVER_CLIENT, pki.KUBE_APISERVER_CLIENT_KUBELET, pki.KUBELET_SERVING, pki.LEGACY_UNKNOWN)
KEPT, KEPT_PENDING = timedelta(hours=1), timedelta(hours=24)
SHORTEST = timedelta(minutes=10)


class Recognizer(NamedTuple):
    """A kind of request that is approved if its user may create `subresource` of certificatesigningrequests."""

    subresource: str
    message: str


SELF = Recognizer("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")
NODE = Recognizer("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def has(csr: CertificateSigningRequest, *types: str) -> bool:
    """Whether it has one of these conditions."""
    return any(condition(csr.status.conditions, type_) is not None for type_ in types)


def recognizers(csr: CertificateSigningRequest) -> list[Recognizer]:
    """As what the request may be approved, in order; none once it has been decided on."""
    if csr.status.certificate or has(csr, "Approved", "Denied") or csr.spec.signerName != pki.KUBE_APISERVER_CLIENT_KUBELET:
        return []
    try:
        names = pki.names_of_request(csr.spec.request)
    except pki.BadCertificate:
        return []
    if pki.why_no_kubelet_client(names, csr.spec.usages):
        return []
    return [SELF, NODE] if names.common_name == csr.spec.username else [NODE]


def _with(csr: CertificateSigningRequest, type_: str, reason: str, message: str, now: datetime) -> CertificateSigningRequest:
    new = CertificateSigningRequestCondition(type=type_, status="True", reason=reason, message=message,
                                             lastUpdateTime=Time.of(now), lastTransitionTime=Time.of(now))
    return replace(csr, status=replace(csr.status, conditions=[*csr.status.conditions, new]))


def approve(csr: CertificateSigningRequest, message: str, now: datetime) -> Plan:
    """The approval."""
    return Plan((Update(CERTIFICATE_SIGNING_REQUESTS, _with(csr, "Approved", "AutoApproved", message, now), "approval"),))


def to_sign(csr: CertificateSigningRequest) -> bool:
    """Whether it is approved, and for one of the built-in signers to sign."""
    return (csr.spec.signerName in SIGNERS and not csr.status.certificate and has(csr, "Approved") and not has(csr, "Denied", "Failed"))


def sign(csr: CertificateSigningRequest, ca: pki.Pair, longest: timedelta, now: datetime) -> Plan:
    """Sign what is approved, or say why not."""
    if not to_sign(csr):
        return Plan()
    try:
        why = pki.why_not_signable(csr.spec.signerName, csr.spec.request, csr.spec.usages)
        if not why:
            wanted = timedelta(seconds=csr.spec.expirationSeconds) if csr.spec.expirationSeconds is not None else longest
            duration = min(max(wanted, SHORTEST), longest)
            certificate = pki.sign_csr(ca, csr.spec.request, csr.spec.usages, now=now, duration=duration)
            signed = replace(csr, status=replace(csr.status, certificate=certificate))
            return Plan((Update(CERTIFICATE_SIGNING_REQUESTS, signed, "status"),))
    except pki.BadCertificate as error:
        why = error.message
    return Plan((Update(CERTIFICATE_SIGNING_REQUESTS, _with(csr, "Failed", "SignerValidationFailure", why, now), "status"),))


def clean(csr: CertificateSigningRequest, now: datetime) -> Plan:
    """Delete it when nobody needs it any more, or say when to look again."""
    due = _due(csr)
    if due is None or due > now:
        return Plan(requeue_after_seconds=(due - now).total_seconds() if due is not None else None)
    return Plan((Delete(CERTIFICATE_SIGNING_REQUESTS, "", csr.metadata.name, csr.metadata.uid),))


def _due(csr: CertificateSigningRequest) -> datetime | None:
    """When nobody needs it any more: an hour after it was signed, denied or failed, a day after it was approved or made, or when its certificate ends."""
    kept = {"Approved": KEPT if csr.status.certificate else KEPT_PENDING, "Denied": KEPT, "Failed": KEPT}
    found = [one.lastUpdateTime.moment() + kept[one.type] for one in csr.status.conditions
             if one.type in kept and one.lastUpdateTime is not None]
    if not csr.status.conditions and csr.metadata.creationTimestamp is not None:
        found.append(csr.metadata.creationTimestamp.moment() + KEPT_PENDING)
    if csr.status.certificate and has(csr, "Approved"):
        try:
            found.append(pki.facts_of(csr.status.certificate).not_after)
        except pki.BadCertificate:
            return min(found, default=None)
    return min(found, default=None)
