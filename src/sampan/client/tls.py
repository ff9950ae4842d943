"""TLS of connections to a server: whom it must prove to be, and what is shown to it."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from sampan.client.kubeconfig import Access


def tls_context(access: Access) -> ssl.SSLContext:
    """How the server is checked and what is shown to it."""
    context = ssl.create_default_context(cadata=access.ca.decode() if access.ca else None)
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if access.client_certificate:
        # the ssl module reads certificates and keys from files only
        with tempfile.TemporaryDirectory(prefix="sampan-") as folder:
            certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            certificate.write_bytes(access.client_certificate)
            key.touch(0o600)
            key.write_bytes(access.client_key)
            context.load_cert_chain(certificate, key)
    return context
