"""Sealing and opening stored values: AES-GCM, AES-CBC and none, in upstream's format.

A sealed value is `k8s:enc:<provider>:v1:<key name>:` and the ciphertext. Of several providers and keys the first seals, all
open; what another than the first opened is stale. AES-GCM vouches for the storage key too, so a value can't be moved.
`cryptography` is imported with the first key. Source: apiserver `pkg/storage/value/transformer.go`,
`value/encrypt/{aes,identity}`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

SEALED = b"k8s:enc:"
NONCE_BYTES = 12
BLOCK_BYTES = 16


class CannotOpen(Exception):
    """A value that nobody here can read; upstream's words, nothing of the value."""


class Opened(NamedTuple):
    """A plain value; `stale`: it would be sealed otherwise today."""

    value: bytes
    stale: bool


class Provider(Protocol):
    """One provider of a configuration."""

    prefix: bytes

    def seal(self, value: bytes, key: bytes) -> bytes:
        """What follows the prefix."""
        ...

    def open(self, sealed: bytes, key: bytes) -> Opened:
        """The value of what follows the prefix.

        Raises:
            CannotOpen: It is not to be read with this provider's keys.
        """
        ...


class Identity:
    """Leaves values as they are, and knows sealed ones when it sees them."""

    prefix = b""

    def seal(self, value: bytes, key: bytes) -> bytes:
        return value

    def open(self, sealed: bytes, key: bytes) -> Opened:
        """The value itself.

        Raises:
            CannotOpen: It is sealed.
        """
        if sealed.startswith(SEALED):
            raise CannotOpen("identity transformer tried to read encrypted data")
        return Opened(sealed, stale=False)


class NamedKey(NamedTuple):
    """A key of a provider."""

    name: str
    secret: bytes


class _Keyed(ABC):
    """A provider with several keys; a subclass knows one cipher."""

    prefix = b""

    def __init__(self, keys: Sequence[NamedKey]) -> None:
        self._keys = tuple((f"{key.name}:".encode(), self._cipher(key.secret)) for key in keys)

    def seal(self, value: bytes, key: bytes) -> bytes:
        """With the first key."""
        name, cipher = self._keys[0]
        return name + self._seal(cipher, value, key)

    def open(self, sealed: bytes, key: bytes) -> Opened:
        """With the key that is named.

        Raises:
            CannotOpen: There is none of that name, or it does not fit.
        """
        failed: list[str] = []
        for place, (name, cipher) in enumerate(self._keys):
            if sealed.startswith(name):
                try:
                    return Opened(self._open(cipher, sealed[len(name):], key), stale=place != 0)
                except CannotOpen as error:
                    failed.append(str(error))
        raise CannotOpen(_all(failed) or "no matching key was found for the provided AES transformer")

    @abstractmethod
    def _cipher(self, secret: bytes) -> Any:
        """What the two others are given for a key."""

    @abstractmethod
    def _seal(self, cipher: Any, value: bytes, key: bytes) -> bytes:
        """What follows the key's name."""

    @abstractmethod
    def _open(self, cipher: Any, sealed: bytes, key: bytes) -> bytes:
        """The value of what follows the key's name.

        Raises:
            CannotOpen: It was not sealed with this key.
        """


class AesGcm(_Keyed):
    """A random nonce, the ciphertext, its tag; the storage key is authenticated."""

    prefix = SEALED + b"aesgcm:v1:"

    def _cipher(self, secret: bytes) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(secret)

    def _seal(self, cipher: Any, value: bytes, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + bytes(cipher.encrypt(nonce, value, key))

    def _open(self, cipher: Any, sealed: bytes, key: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        if len(sealed) < NONCE_BYTES + BLOCK_BYTES:
            raise CannotOpen("the stored data was shorter than the required size")
        try:
            return bytes(cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], key))
        except InvalidTag:
            raise CannotOpen("cipher: message authentication failed") from None


class AesCbc(_Keyed):
    """An initialisation vector and the padded ciphertext; nothing is authenticated: AES-GCM is the better choice."""

    prefix = SEALED + b"aescbc:v1:"

    def _cipher(self, secret: bytes) -> Any:
        from cryptography.hazmat.primitives.ciphers import algorithms

        return algorithms.AES(secret)

    def _seal(self, cipher: Any, value: bytes, key: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher, modes

        vector, padding = os.urandom(BLOCK_BYTES), BLOCK_BYTES - len(value) % BLOCK_BYTES
        encryptor = Cipher(cipher, modes.CBC(vector)).encryptor()
        return vector + encryptor.update(value + bytes((padding,)) * padding) + encryptor.finalize()

    def _open(self, cipher: Any, sealed: bytes, key: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher, modes

        if len(sealed) < BLOCK_BYTES:
            raise CannotOpen("the stored data was shorter than the required size")
        if len(sealed) % BLOCK_BYTES:
            raise CannotOpen("the stored data is not a multiple of the block size")
        decryptor = Cipher(cipher, modes.CBC(sealed[:BLOCK_BYTES])).decryptor()
        value = decryptor.update(sealed[BLOCK_BYTES:]) + decryptor.finalize()
        padding = value[-1] if value else 0
        if not 0 < padding <= BLOCK_BYTES or value[-padding:] != bytes((padding,)) * padding:
            raise CannotOpen("invalid padding on input")
        return value[:-padding]


class Providers:
    """What one resource's values are sealed and opened with."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)

    def seal(self, value: bytes, key: str) -> bytes:
        """The value as it is stored under `key`."""
        first = self._providers[0]
        return first.prefix + first.seal(value, key.encode())

    def open(self, stored: bytes, key: str) -> Opened:
        """The value that is stored under `key`.

        Raises:
            CannotOpen: None of the providers can read it.
        """
        failed: list[str] = []
        for place, provider in enumerate(self._providers):
            if not stored.startswith(provider.prefix):
                continue
            try:
                value, stale = provider.open(stored[len(provider.prefix):], key.encode())
            except CannotOpen as error:
                if provider.prefix:  # a provider behind `identity` may know a sealed value
                    failed.append(str(error))
                continue
            return Opened(value, stale or place != 0)
        if failed:
            raise CannotOpen(_all(failed))
        if len(self._providers) == 1 and not self._providers[0].prefix:
            raise CannotOpen("identity transformer tried to read encrypted data")
        raise CannotOpen("no matching prefix found")


PLAIN = Providers((Identity(),))
"""What resources have that no configuration names."""


def _all(errors: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(errors))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]" if distinct else ""
