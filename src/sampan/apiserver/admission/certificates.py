"""Who may approve and sign certificate requests, and which subjects are out of the question.

CertificateApproval, CertificateSigning, CertificateSubjectRestriction. Source: kubernetes `plugin/pkg/admission/certificates`.
"""

from __future__ import annotations

from sampan.api.certificates.v1 import CertificateSigningRequest
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.auth.base import Authorizer
from sampan.apiserver.request import Attributes, User
from sampan.lib import pki

GROUP = "certificates.k8s.io"


class CertificateApproval:
    """Approving wants the verb `approve` on the signer."""

    name = "CertificateApproval"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, request: AdmissionRequest) -> bool:
        """The subresource approval."""
        return _is(request, "UPDATE", "approval")

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse who may not."""
        csr: CertificateSigningRequest = request.object
        if not may(self._authorizer, request.user, "approve", csr.spec.signerName):
            raise forbidden(request, f'user not permitted to approve requests with signerName "{csr.spec.signerName}"', final=True)


class CertificateSigning:
    """Putting a certificate (or a failure) into the status wants the verb `sign` on the signer."""

    name = "CertificateSigning"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, request: AdmissionRequest) -> bool:
        """The subresource status."""
        return _is(request, "UPDATE", "status")

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse who may not."""
        new: CertificateSigningRequest = request.object
        old: CertificateSigningRequest = request.old
        if new.status.certificate == old.status.certificate and new.status.conditions == old.status.conditions:
            return
        if not may(self._authorizer, request.user, "sign", old.spec.signerName):
            raise forbidden(request, f'user not permitted to sign requests with signerName "{old.spec.signerName}"', final=True)


class CertificateSubjectRestriction:
    """Nobody asks for a client certificate of the group system:masters."""

    name = "CertificateSubjectRestriction"

    def handles(self, request: AdmissionRequest) -> bool:
        """New requests."""
        return _is(request, "CREATE", "")

    async def validate(self, request: AdmissionRequest) -> None:
        """Look at the subject."""
        csr: CertificateSigningRequest = request.object
        if csr.spec.signerName != pki.KUBE_APISERVER_CLIENT:
            return
        try:
            names = pki.names_of_request(csr.spec.request or b"")
        except pki.BadCertificate as error:
            raise forbidden(request, f"failed to parse CSR: {error.message}", final=True) from error
        if "system:masters" in names.organizations:
            raise forbidden(request, f"use of {pki.KUBE_APISERVER_CLIENT} signer with system:masters group is not allowed", final=True)


def may(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """Whether the user has the verb on the signer, or on all of its domain."""
    domain = signer.partition("/")[0]
    return any(authorizer.authorize(Attributes(user=user, verb=verb, path="", is_resource=True, group=GROUP, version="*",
                                               resource="signers", name=name)).allowed
               for name in (signer, f"{domain}/*"))


def _is(request: AdmissionRequest, operation: str, subresource: str) -> bool:
    return (request.resource.plural == "certificatesigningrequests" and request.operation == operation
            and request.subresource == subresource)
