"""Signed tokens: compact JWS with ES256/384/512 or RS256, verified before anything in them is believed.

Owns signatures, key ids and JWKs. Leaves claims to `serviceaccounts`. `cryptography` is imported on first use.
Source: RFC 7515, 7517, 7518; kubernetes `pkg/serviceaccount/jwt.go`, `openidmetadata.go`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from sampan.lib.errors import SampanError

LONGEST_TOKEN = 64 * 1024
_EC = {"secp256r1": ("ES256", "P-256", 32), "secp384r1": ("ES384", "P-384", 48), "secp521r1": ("ES512", "P-521", 66)}
_HASHES = {"ES256": "SHA256", "ES384": "SHA384", "ES512": "SHA512", "RS256": "SHA256"}


class BadToken(SampanError):
    """A token that is not what it says; the text never quotes it."""


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies; `id` is derived from it as upstream does, so that both sides agree without talking."""

    id: str
    algorithm: str
    key: Any
    coordinate_bytes: int = 0

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        digest = getattr(hashes, _HASHES[self.algorithm])()
        try:
            if self.algorithm == "RS256":
                self.key.verify(signature, signed, padding.PKCS1v15(), digest)
            else:
                size = self.coordinate_bytes
                if len(signature) != 2 * size:
                    return False
                r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
                self.key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> dict[str, str]:
        """As the JWKS endpoint shows it."""
        numbers = self.key.public_numbers()
        head = {"use": "sig", "kid": self.id, "alg": self.algorithm}
        if self.algorithm == "RS256":
            return {**head, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        curve = next(name for algorithm, name, _ in _EC.values() if algorithm == self.algorithm)
        size = self.coordinate_bytes
        return {**head, "kty": "EC", "crv": curve, "x": _number(numbers.x, size), "y": _number(numbers.y, size)}


def read_public_key(pem: bytes) -> PublicKey:
    """A public key of a PEM file (a private key's or a certificate's public half, too).

    Raises:
        BadToken: It is no key that can sign tokens.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    try:
        key: Any = load_pem_private_key(pem, None).public_key() if b"PRIVATE KEY" in pem else load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise BadToken("not a key in PEM form") from error
    return _public(key)


class Signer:
    """Signs with one private key."""

    def __init__(self, pem: bytes) -> None:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            self._key: Any = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise BadToken("not an unencrypted private key in PEM form") from error
        self.public = _public(self._key.public_key())
        self._header = _encode(msgspec.json.encode({"alg": self.public.algorithm, "kid": self.public.id}))

    def sign(self, claims: dict[str, Any]) -> str:
        """The token with these claims."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        signed = self._header + b"." + _encode(msgspec.json.encode(claims))
        digest = getattr(hashes, _HASHES[self.public.algorithm])()
        if self.public.algorithm == "RS256":
            signature: bytes = self._key.sign(signed, padding.PKCS1v15(), digest)
        else:
            r, s = decode_dss_signature(self._key.sign(signed, ec.ECDSA(digest)))
            size = self.public.coordinate_bytes
            signature = r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return (signed + b"." + _encode(signature)).decode()


def unverified_claims(token: str) -> dict[str, Any] | None:
    """What a token says without proof; None when it is no JWT. Only for finding out whose it may be."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > LONGEST_TOKEN:
        return None
    try:
        claims = msgspec.json.decode(_decode(parts[1]))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None  # not a JWT: somebody else may know the token
    return claims if isinstance(claims, dict) else None


def verify(token: str, keys: dict[str, PublicKey]) -> dict[str, Any]:
    """The claims of a token that one of the keys (by id) has signed.

    Raises:
        BadToken: None has.
    """
    head, _, rest = token.partition(".")
    _, _, tail = rest.partition(".")
    try:
        header = msgspec.json.decode(_decode(head))
        signature = _decode(tail)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise BadToken("token is malformed") from error
    if not isinstance(header, dict):
        raise BadToken("token is malformed")
    kid = header.get("kid") or ""
    candidates = [keys[kid]] if kid in keys else [] if kid else list(keys.values())
    if not candidates:
        raise BadToken("invalid signature, no keys found")
    signed = token.rpartition(".")[0].encode()
    for key in candidates:
        # the algorithm is the key's, whatever the header wishes for
        if header.get("alg") == key.algorithm and key.verify(signed, signature):
            claims = unverified_claims(token)
            assert claims is not None
            return claims
    raise BadToken("go-jose/go-jose: error in cryptographic primitive")


def _public(key: Any) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_id = _encode(hashlib.sha256(der).digest()).decode()
    if isinstance(key, rsa.RSAPublicKey):
        return PublicKey(key_id, "RS256", key)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _EC:
        algorithm, _, size = _EC[key.curve.name]
        return PublicKey(key_id, algorithm, key, size)
    raise BadToken("unknown key type, must be RSA or ECDSA on P-256, P-384 or P-521")


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _number(number: int, size: int = 0) -> str:
    return _encode(number.to_bytes(size or (number.bit_length() + 7) // 8, "big")).decode()
