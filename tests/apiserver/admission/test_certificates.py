from __future__ import annotations

import base64
from typing import Any

import pytest

from apiserver.admitting import admit, ask, refusal
from apiserver.readers import MemoryReaders
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS as CSRS
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from sampan.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from sampan.apiserver.auth.authorizers import Authorizers, default_authorizers
from sampan.apiserver.request import User
from sampan.lib import pki

ALICE = User("alice")
SIGNER = "example.com/signer"


@pytest.fixture
def authorizers() -> Authorizers:
    readers = MemoryReaders()
    readers.put(CLUSTER_ROLES, {"metadata": {"name": "r"}, "rules": [
        {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"], "resourceNames": [SIGNER]},
        {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["sign"], "resourceNames": ["example.com/*"]}]})
    readers.put(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "b"}, "subjects": [{"kind": "User", "name": "alice"}],
                                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}})
    return default_authorizers(readers)


def _csr(signer: str = SIGNER, *, certificate: str = "", names: pki.Names = pki.Names("x"), request: bytes = b"") -> dict[str, Any]:
    request = request or pki.new_request(names, key=pki.new_signing_key())
    status = {"certificate": base64.b64encode(certificate.encode()).decode()} if certificate else {}
    return {"metadata": {"name": "c"}, "spec": {"signerName": signer, "request": base64.b64encode(request).decode()}, "status": status}


def test_approving_wants_the_verb_on_the_signer(authorizers: Authorizers) -> None:
    plugin = CertificateApproval(authorizers)
    admit(plugin, ask("UPDATE", CSRS, _csr(), _csr(), subresource="approval", user=ALICE))
    assert refusal(plugin, ask("UPDATE", CSRS, _csr("a.b/c"), _csr("a.b/c"), subresource="approval", user=ALICE)) == (
        'certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to approve requests with '
        'signerName "a.b/c"')


def test_signing_wants_the_verb_on_the_signer_or_its_domain(authorizers: Authorizers) -> None:
    plugin = CertificateSigning(authorizers)
    admit(plugin, ask("UPDATE", CSRS, _csr(certificate="x"), _csr(), subresource="status", user=ALICE))
    signed = ask("UPDATE", CSRS, _csr("a.b/c", certificate="x"), _csr("a.b/c"), subresource="status", user=ALICE)
    assert "user not permitted to sign requests with signerName" in refusal(plugin, signed)
    admit(plugin, ask("UPDATE", CSRS, _csr("a.b/c"), _csr("a.b/c"), subresource="status", user=ALICE))


def test_nobody_asks_for_a_masters_certificate() -> None:
    plugin, masters = CertificateSubjectRestriction(), pki.Names("x", ("system:masters",))
    assert refusal(plugin, ask("CREATE", CSRS, _csr(pki.KUBE_APISERVER_CLIENT, names=masters))) == (
        'certificatesigningrequests.certificates.k8s.io "c" is forbidden: use of kubernetes.io/kube-apiserver-client signer with '
        "system:masters group is not allowed")
    admit(plugin, ask("CREATE", CSRS, _csr(pki.KUBE_APISERVER_CLIENT)))
    admit(plugin, ask("CREATE", CSRS, _csr(SIGNER, names=masters)))
    assert "failed to parse CSR" in refusal(plugin, ask("CREATE", CSRS, _csr(pki.KUBE_APISERVER_CLIENT, request=b"junk")))
