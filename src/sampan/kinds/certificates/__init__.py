"""Kinds of certificates.k8s.io."""

from sampan.kinds.certificates import certificate_signing_request

KINDS = (certificate_signing_request.KIND,)
