"""What a connection asks of a server's certificate, and what it shows; handshakes are in test_remote and in the extenders' tests."""

from __future__ import annotations

import ssl

import pytest

from sampan.aio.clock import SystemClock
from sampan.client.kubeconfig import Access
from sampan.client.tls import tls_context
from sampan.lib import pki

CA = pki.new_ca("authority", now=SystemClock().now())


def test_only_the_given_authority_is_believed() -> None:
    context = tls_context(Access("https://x", CA.certificate))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [dict(one[0] for one in found["subject"])["commonName"] for found in context.get_ca_certs()] == ["authority"]


def test_an_insecure_one_believes_everybody() -> None:
    context = tls_context(Access("https://x", insecure=True))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_a_certificate_comes_with_its_own_key() -> None:
    mine, other = (pki.issue(CA, pki.Names("me"), ("client auth",), now=SystemClock().now()) for _ in range(2))
    tls_context(Access("https://x", CA.certificate, client_certificate=mine.certificate, client_key=mine.key))
    with pytest.raises(ssl.SSLError):
        tls_context(Access("https://x", CA.certificate, client_certificate=mine.certificate, client_key=other.key))
