"""X.509 for clusters: certificate authorities, server and client certificates, certificate requests, signing keys.

Owns: what our certificates contain (ECDSA P-256, validity, names, usages) and the rules of the built-in signers of
`CertificateSigningRequest`s. Everything here is PEM or DER bytes in, bytes out; files are `sampan.lib.pkidir`'s.
Leaves: who approves a request (a controller), what a certificate may do (authorizers).
`cryptography` costs a tenth of a second to import, so every function imports it when it is called.

Source: RFC 5280; kubernetes `pkg/apis/certificates/helpers.go`, `pkg/controller/certificates/authority/policies.go`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sampan.lib.errors import SampanError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA_DAYS, LEAF_DAYS = 3650, 365
BACKDATE = timedelta(minutes=5)  # clocks of a cluster's machines differ
SHORT = timedelta(hours=8)  # shorter certificates live as long as was asked for, not less the backdating


class BadCertificate(SampanError):
    """A certificate, key or request that can't be read or that is not what its use demands."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Names:
    """Whom a certificate speaks for: subject and subject alternative names, as text."""

    common_name: str
    organizations: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What a certificate says."""

    names: Names
    not_before: datetime
    not_after: datetime
    is_ca: bool
    serial: int
    uid: str = ""


def server_names(*, host: str = "", addresses: Iterable[str] = (), service_address: str = "10.96.0.1",
                 domain: str = "cluster.local", dns: Iterable[str] = ()) -> Names:
    """The names of an API server's certificate: every way in which clients, pods and nodes reach it."""
    services = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{domain}")
    hosts = dict.fromkeys(name for name in ("localhost", host, *services, *dns) if name)
    found = dict.fromkeys(ipaddress.ip_address(text).compressed for text in ("127.0.0.1", "::1", service_address, *addresses) if text)
    return Names("kube-apiserver", dns=tuple(hosts), addresses=tuple(found))


def new_ca(common_name: str, *, now: datetime, days: float = CA_DAYS, key: bytes = b"") -> Pair:
    """A certificate authority; with `key` the authority of that key made anew, so that what it signed stays good."""
    from cryptography.hazmat.primitives import hashes

    private = _private(key) if key else _new_key()
    names = Names(common_name)
    builder = _builder(names, public=private.public_key(), start=now - BACKDATE, end=now + timedelta(days=days))
    builder = _with_extensions(builder.issuer_name(_subject(names)), names, usages=(), is_ca=True,
                               issuer=private.public_key())
    return Pair(_pem(builder.sign(private, hashes.SHA256())), key or _key_pem(private))


def issue(ca: Pair, names: Names, usages: Sequence[str], *, now: datetime, days: float = LEAF_DAYS) -> Pair:
    """A certificate and a new key, signed by `ca`, never longer valid than `ca` itself."""
    private = _new_key()
    end = now + timedelta(days=days)
    certificate = _sign(ca, names, private.public_key(), usages=usages, start=now - BACKDATE, end=end)
    return Pair(certificate, _key_pem(private))


def new_signing_key() -> bytes:
    """A private key (PEM, PKCS 8) for service account tokens."""
    return _key_pem(_new_key())


def public_key(key: bytes) -> bytes:
    """The public half (PEM) of a private key (PEM)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return cast("bytes", _private(key).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def new_request(names: Names, *, key: bytes) -> bytes:
    """A certificate signing request (PEM) for the private key (PEM)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(names))
    if alternatives := _alternatives(names):
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return _pem(builder.sign(_private(key), hashes.SHA256()))


def facts_of(certificate: bytes) -> Facts:
    """Read a certificate, PEM or DER.

    Raises:
        BadCertificate: It is neither.
    """
    from cryptography import x509

    cert = _certificate(certificate)
    try:
        is_ca = bool(cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        is_ca = False
    uids = cert.subject.get_attributes_for_oid(x509.ObjectIdentifier("1.3.6.1.4.1.57683.2"))
    return Facts(_names(cert), cert.not_valid_before_utc, cert.not_valid_after_utc, is_ca, cert.serial_number,
                 _text(uids[0].value) if uids else "")


def signed_by(certificate: bytes, authorities: bytes) -> bool:
    """Whether one of the authorities (PEM, one or more) signed the certificate."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    cert = _certificate(certificate)
    for authority in x509.load_pem_x509_certificates(authorities):
        try:
            cert.verify_directly_issued_by(authority)
            return True
        except (InvalidSignature, ValueError, TypeError):
            continue  # not this one: another may have
    return False


def belongs_to(certificate: bytes, key: bytes) -> bool:
    """Whether the private key is the certificate's."""
    return bool(_certificate(certificate).public_key() == _private(key).public_key())


# --- certificate signing requests -----------------------------------------------------------------------------------

KUBE_APISERVER_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBE_APISERVER_CLIENT_KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"

_CLIENT = ("digital signature", "key encipherment", "client auth")
_SERVING = ("key encipherment", "digital signature", "server auth")


def names_of_request(request: bytes) -> Names:
    """What a certificate signing request (PEM) asks for.

    Raises:
        BadCertificate: It is no PEM block of type CERTIFICATE REQUEST, can't be read, or is not signed by its key.
    """
    return _names(_request(request))


def why_not_signable(signer: str, request: bytes, usages: Sequence[str]) -> str:
    """Why the built-in signer would not sign the request, in upstream's words; "" when it would."""
    names = names_of_request(request)
    if signer == KUBE_APISERVER_CLIENT:
        stray = next((usage for usage in usages if usage not in _CLIENT), None)
        if stray is not None:
            return f"invalid usage for client certificate: {stray}"
        return "" if "client auth" in usages else "missing required usage for client certificate: client auth"
    if signer == KUBE_APISERVER_CLIENT_KUBELET:
        return why_no_kubelet_client(names, usages)
    if signer == KUBELET_SERVING:
        return why_no_kubelet_serving(names, usages)
    return ""


def why_no_kubelet_client(names: Names, usages: Sequence[str]) -> str:
    """Why a request is not one of a kubelet for a client certificate; "" when it is."""
    if names.organizations != ("system:nodes",):
        return "subject organization is not system:nodes"
    for found, word in ((names.dns, "DNS"), (names.emails, "Email"), (names.addresses, "IP"), (names.uris, "URI")):
        if found:
            return f"{word} subjectAltNames are not allowed"
    if not names.common_name.startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    return _why_not_usages(usages, _CLIENT)


def why_no_kubelet_serving(names: Names, usages: Sequence[str]) -> str:
    """Why a request is not one of a kubelet for a serving certificate; "" when it is."""
    if names.organizations != ("system:nodes",):
        return "subject organization is not system:nodes"
    if not names.dns and not names.addresses:
        return "DNS or IP subjectAltName is required"
    if names.emails:
        return "Email subjectAltNames are not allowed"
    if names.uris:
        return "URI subjectAltNames are not allowed"
    if not names.common_name.startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    return _why_not_usages(usages, _SERVING)


def _why_not_usages(usages: Sequence[str], wanted: tuple[str, ...]) -> str:
    without = set(wanted) - {"key encipherment"}  # an ECDSA key has no use for it
    if set(usages) in (set(wanted), without):
        return ""
    return f"usages did not match [{' '.join(sorted(wanted))}]"


def sign_csr(ca: Pair, request: bytes, usages: Sequence[str], *, now: datetime, duration: timedelta) -> bytes:
    """The certificate (PEM) for a request that was approved. The rules of its signer are the caller's to ask.

    Raises:
        BadCertificate: The request can't be read, or a usage is not known.
    """
    csr = _request(request)
    unknown = [usage for usage in usages if usage not in _KEY_USAGES and usage not in _EXTENDED]
    if unknown:
        raise BadCertificate(f"unrecognized usage values: {unknown}")
    end = now + duration - (timedelta() if duration < SHORT else BACKDATE)
    return _sign(ca, _names(csr), csr.public_key(), usages=usages, start=now - BACKDATE, end=end,
                 subject=csr.subject)


# --- how it is done -------------------------------------------------------------------------------------------------

# certificates.k8s.io names → RFC 5280's flags, and extended usages
_KEY_USAGES = {
    "signing": "digital_signature", "digital signature": "digital_signature",
    "content commitment": "content_commitment", "key encipherment": "key_encipherment",
    "key agreement": "key_agreement", "data encipherment": "data_encipherment", "cert sign": "key_cert_sign",
    "crl sign": "crl_sign", "encipher only": "encipher_only", "decipher only": "decipher_only",
}
_EXTENDED = {
    "any": "2.5.29.37.0", "server auth": "1.3.6.1.5.5.7.3.1", "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3", "email protection": "1.3.6.1.5.5.7.3.4", "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec end system": "1.3.6.1.5.5.7.3.5", "ipsec tunnel": "1.3.6.1.5.5.7.3.6", "ipsec user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8", "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3", "netscape sgc": "2.16.840.1.113730.4.1",
}


def _sign(ca: Pair, names: Names, public: Any, *, usages: Sequence[str], start: datetime, end: datetime,
          subject: x509.Name | None = None) -> bytes:
    from cryptography.hazmat.primitives import hashes

    authority, private = _certificate(ca.certificate), _private(ca.key)
    builder = _builder(names, public=public, start=start, end=min(end, authority.not_valid_after_utc), subject=subject)
    builder = _with_extensions(builder.issuer_name(authority.subject), names, usages=usages, is_ca=False,
                               issuer=private.public_key())
    return _pem(builder.sign(private, hashes.SHA256()))


def _builder(names: Names, *, public: Any, start: datetime, end: datetime,
             subject: x509.Name | None = None) -> x509.CertificateBuilder:
    from cryptography import x509

    return (x509.CertificateBuilder().serial_number(x509.random_serial_number())
            .subject_name(subject or _subject(names)).public_key(public)
            .not_valid_before(start).not_valid_after(end))


def _with_extensions(builder: x509.CertificateBuilder, names: Names, *, usages: Sequence[str], is_ca: bool,
                     issuer: Any) -> x509.CertificateBuilder:
    from cryptography import x509

    flags = dict.fromkeys(_KEY_USAGES.values(), False)
    for usage in ("digital signature", "cert sign", "key encipherment") if is_ca else usages:
        if usage in _KEY_USAGES:
            flags[_KEY_USAGES[usage]] = True
    if not is_ca and not any(flags.values()):
        flags["digital_signature"] = True
    if not flags["key_agreement"]:  # without it these two say nothing and can't be encoded
        flags["encipher_only"] = flags["decipher_only"] = False
    builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    extended = list(dict.fromkeys(_EXTENDED[usage] for usage in usages if usage in _EXTENDED))
    if extended:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in extended]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)
    if is_ca:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(issuer), critical=False)
    else:
        builder = builder.add_extension(key_id, critical=False)
    if alternatives := _alternatives(names):
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder


def _subject(names: Names) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in names.organizations]
    if names.common_name:
        # names of nodes and services may be longer than X.520's 64; upstream's encoder does not mind either
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, names.common_name, _validate=False))
    return x509.Name(parts)


def _alternatives(names: Names) -> list[x509.GeneralName]:
    from cryptography import x509

    found: list[x509.GeneralName] = [x509.DNSName(text) for text in names.dns]
    found += [x509.IPAddress(ipaddress.ip_address(text)) for text in names.addresses]
    found += [x509.RFC822Name(text) for text in names.emails]
    found += [x509.UniformResourceIdentifier(text) for text in names.uris]
    return found


def _names(source: Any) -> Names:
    """The names in a certificate or a request."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def subject(oid: x509.ObjectIdentifier) -> tuple[str, ...]:
        return tuple(_text(part.value) for part in source.subject.get_attributes_for_oid(oid))

    common = subject(NameOID.COMMON_NAME)
    names = Names(common[-1] if common else "", subject(NameOID.ORGANIZATION_NAME))  # Go keeps the last one, too
    try:
        san = source.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    return Names(names.common_name, names.organizations,
                 dns=tuple(san.get_values_for_type(x509.DNSName)),
                 addresses=tuple(str(address) for address in san.get_values_for_type(x509.IPAddress)),
                 emails=tuple(san.get_values_for_type(x509.RFC822Name)),
                 uris=tuple(san.get_values_for_type(x509.UniformResourceIdentifier)))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _certificate(data: bytes) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(data) if data.startswith(b"-----") or b"-----BEGIN" in data[:4096] \
            else x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise BadCertificate(f"not a certificate: {error}") from error


def _request(data: bytes) -> x509.CertificateSigningRequest:
    from cryptography import x509

    if b"-----BEGIN CERTIFICATE REQUEST-----" not in data:
        raise BadCertificate("PEM block type must be CERTIFICATE REQUEST")
    try:
        request = x509.load_pem_x509_csr(data)
    except ValueError as error:
        raise BadCertificate(f"not a certificate request: {error}") from error
    if not request.is_signature_valid:
        raise BadCertificate("the certificate request is not signed by its own key")
    return request


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _private(key: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        # the library's text may quote the input; a key belongs into no message
        raise BadCertificate("not an unencrypted private key in PEM form") from error


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(signed: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return cast("bytes", signed.public_bytes(Encoding.PEM))
