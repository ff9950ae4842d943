"""Certificates are judged by OpenSSL itself, through `ssl`, wherever that is possible."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sampan.lib import pki

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - OpenSSL judges by the real time


def test_a_server_and_a_client_certificate_make_a_tls_connection(tmp_path: Path) -> None:
    # given a server that demands client certificates of the same authority
    ca = pki.new_ca("kubernetes", now=NOW)
    server = pki.issue(ca, pki.server_names(host="box"), ("server auth",), now=NOW)
    client = pki.issue(ca, pki.Names("alice", ("devs", "ops")), ("client auth",), now=NOW)
    ours, theirs = socket.socketpair()
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here.load_cert_chain(*_files(tmp_path, "server", server))
    here.load_verify_locations(cadata=ca.certificate.decode())
    here.verify_mode = ssl.CERT_REQUIRED
    there = ssl.create_default_context(cadata=ca.certificate.decode())
    there.load_cert_chain(*_files(tmp_path, "client", client))
    seen: list[bytes] = []

    def serve() -> None:
        with here.wrap_socket(ours, server_side=True) as connection:
            seen.append(connection.getpeercert(binary_form=True) or b"")
            connection.sendall(b"hello")

    # when a client connects by one of the service names
    thread = threading.Thread(target=serve)
    thread.start()
    with there.wrap_socket(theirs, server_hostname="kubernetes.default.svc") as connection:
        answer = connection.recv(5)
    thread.join(10)
    # then both are content, and the certificate says who the client is
    assert answer == b"hello"
    names = pki.facts_of(seen[0]).names
    assert (names.common_name, names.organizations) == ("alice", ("devs", "ops"))


def test_a_server_certificate_speaks_for_every_way_in() -> None:
    ca = pki.new_ca("kubernetes", now=NOW)
    wanted = pki.server_names(host="box", addresses=["192.168.7.2", "fd00::0:7"])
    facts = pki.facts_of(pki.issue(ca, wanted, ("server auth",), now=NOW).certificate)
    assert facts.names.dns == ("localhost", "box", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                               "kubernetes.default.svc.cluster.local")
    assert facts.names.addresses == ("127.0.0.1", "::1", "10.96.0.1", "192.168.7.2", "fd00::7")
    assert not facts.is_ca


def test_a_certificate_never_outlives_its_authority() -> None:
    ca = pki.new_ca("kubernetes", now=NOW, days=30)
    facts = pki.facts_of(pki.issue(ca, pki.Names("x"), ("client auth",), now=NOW, days=365).certificate)
    assert facts.not_after == NOW + timedelta(days=30)


def test_a_renewed_authority_still_vouches_for_what_it_signed() -> None:
    ca = pki.new_ca("kubernetes", now=NOW)
    leaf = pki.issue(ca, pki.Names("x"), ("client auth",), now=NOW).certificate
    renewed = pki.new_ca("kubernetes", now=NOW + timedelta(days=3000), key=ca.key)
    assert renewed.certificate != ca.certificate
    assert pki.signed_by(leaf, renewed.certificate)
    assert not pki.signed_by(leaf, pki.new_ca("kubernetes", now=NOW).certificate)


def test_an_unreadable_certificate_is_told_and_a_key_is_never_quoted() -> None:
    with pytest.raises(pki.BadCertificate, match="not a certificate"):
        pki.facts_of(b"junk")
    with pytest.raises(pki.BadCertificate) as caught:
        pki.public_key(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    assert "c2VjcmV0" not in str(caught.value)
    assert "key" not in repr(pki.Pair(b"c", b"key-material"))[5:]


NODE = pki.Names("system:node:n1", ("system:nodes",))


@pytest.mark.parametrize(("signer", "names", "usages", "why"), [
    (pki.KUBE_APISERVER_CLIENT_KUBELET, NODE, ("digital signature", "key encipherment", "client auth"), ""),
    (pki.KUBE_APISERVER_CLIENT_KUBELET, NODE, ("client auth", "digital signature"), ""),
    (pki.KUBE_APISERVER_CLIENT_KUBELET, NODE, ("server auth", "digital signature"),
     "usages did not match [client auth digital signature key encipherment]"),
    (pki.KUBE_APISERVER_CLIENT_KUBELET, pki.Names("system:node:n1", ("system:nodes",), dns=("n1",)),
     ("client auth", "digital signature"), "DNS subjectAltNames are not allowed"),
    (pki.KUBE_APISERVER_CLIENT_KUBELET, pki.Names("n1", ("system:nodes",)), ("client auth", "digital signature"),
     "subject common name does not begin with system:node:"),
    (pki.KUBE_APISERVER_CLIENT_KUBELET, pki.Names("system:node:n1", ("system:nodes", "system:masters")),
     ("client auth", "digital signature"), "subject organization is not system:nodes"),
    (pki.KUBELET_SERVING, NODE, ("server auth", "digital signature"), "DNS or IP subjectAltName is required"),
    (pki.KUBELET_SERVING, pki.Names("system:node:n1", ("system:nodes",), addresses=("10.0.0.1",)),
     ("server auth", "digital signature"), ""),
    (pki.KUBELET_SERVING, pki.Names("system:node:n1", ("system:nodes",), addresses=("10.0.0.1",), uris=("a://b",)),
     ("server auth", "digital signature"), "URI subjectAltNames are not allowed"),
    (pki.KUBE_APISERVER_CLIENT, pki.Names("anybody"), ("client auth",), ""),
    (pki.KUBE_APISERVER_CLIENT, pki.Names("anybody"), ("server auth", "client auth"),
     "invalid usage for client certificate: server auth"),
    (pki.KUBE_APISERVER_CLIENT, pki.Names("anybody"), ("digital signature",), "missing required usage for client certificate: client auth"),
    (pki.LEGACY_UNKNOWN, pki.Names("anybody", dns=("x.y",)), ("server auth",), ""),
])
def test_signers_refuse_what_is_not_theirs(signer: str, names: pki.Names, usages: tuple[str, ...], why: str) -> None:
    request = pki.new_request(names, key=pki.new_signing_key())
    assert pki.why_not_signable(signer, request, usages) == why


def test_a_signed_request_keeps_its_names_and_its_life() -> None:
    # given a request with every kind of alternative name
    ca, key = pki.new_ca("kubernetes", now=NOW), pki.new_signing_key()
    names = pki.Names("system:node:n1", ("system:nodes",), ("n1", "n1.example"), ("10.0.0.7",), ("a@b.c",), ("spiffe://x",))
    request = pki.new_request(names, key=key)
    # when it is signed for a short and for a long time
    short = pki.sign_csr(ca, request, ("server auth", "digital signature"), now=NOW, duration=timedelta(hours=1))
    long = pki.sign_csr(ca, request, ("server auth", "digital signature"), now=NOW, duration=timedelta(days=100))
    # then the long one pays for its backdating, as upstream's does
    assert pki.facts_of(short).names == names
    assert pki.facts_of(short).not_after == NOW + timedelta(hours=1)
    assert pki.facts_of(long).not_after == NOW + timedelta(days=100) - timedelta(minutes=5)
    assert pki.facts_of(long).not_before == NOW - timedelta(minutes=5)
    assert pki.belongs_to(short, key)
    assert pki.signed_by(short, ca.certificate)


def test_a_request_that_is_none_is_refused() -> None:
    with pytest.raises(pki.BadCertificate, match="PEM block type must be CERTIFICATE REQUEST"):
        pki.names_of_request(pki.new_ca("x", now=NOW).certificate)
    broken = bytearray(pki.new_request(NODE, key=pki.new_signing_key()))
    broken[-60] = ord("A") if broken[-60] != ord("A") else ord("B")
    with pytest.raises(pki.BadCertificate):
        pki.names_of_request(bytes(broken))


def _files(folder: Path, name: str, pair: pki.Pair) -> tuple[str, str]:
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    crt.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return str(crt), str(key)
