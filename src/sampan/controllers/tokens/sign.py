"""Signing the tokens of service-account-token Secrets. Source: kubernetes `pkg/serviceaccount/legacy.go`, `jwt.go`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sampan.api.core.v1 import Secret, ServiceAccount
from sampan.lib.errors import ConfigError

Sign = Callable[[ServiceAccount, Secret], str]

_PREFIX = "kubernetes.io/serviceaccount/"
_CURVES: dict[str, tuple[str, hashes.HashAlgorithm, int]] = {
    "secp256r1": ("ES256", hashes.SHA256(), 32), "secp384r1": ("ES384", hashes.SHA384(), 48), "secp521r1": ("ES512", hashes.SHA512(), 66)}


def signer(key: bytes) -> Sign:
    """A function that signs with this private key (PEM).

    Raises:
        ConfigError: It is no RSA or ECDSA key.
    """
    try:
        private = serialization.load_pem_private_key(key, None)
    except ValueError as error:
        raise ConfigError(f"the service account key can't be read: {error}") from error
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError("the service account key must be RSA or ECDSA")
    public = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    kid = _text(hashlib.sha256(public).digest())

    def sign(account: ServiceAccount, secret: Secret) -> str:
        algorithm = "RS256" if isinstance(private, rsa.RSAPrivateKey) else _CURVES[private.curve.name][0]
        head = {"alg": algorithm, "kid": kid}
        signed = f"{_json(head)}.{_json(claims(account, secret))}"
        return f"{signed}.{_text(_signature(private, signed.encode()))}"

    return sign


def claims(account: ServiceAccount, secret: Secret) -> dict[str, str]:
    """What such a token says; it does not expire."""
    meta = account.metadata
    return {
        "iss": "kubernetes/serviceaccount", "sub": f"system:serviceaccount:{meta.namespace}:{meta.name}",
        f"{_PREFIX}namespace": meta.namespace, f"{_PREFIX}secret.name": secret.metadata.name,
        f"{_PREFIX}service-account.name": meta.name, f"{_PREFIX}service-account.uid": meta.uid,
    }


def _signature(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    _, algorithm, size = _CURVES[private.curve.name]
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(algorithm)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _json(value: dict[str, str]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
