"""Sealed values: their format, and what can't be opened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.encryption.ciphers import AesCbc, AesGcm, CannotOpen, Identity, NamedKey, Provider, Providers

ONE, TWO = NamedKey("one", b"1" * 32), NamedKey("two", b"2" * 16)
KEY = "/registry/core/secrets/default/a"


def providers(*of: Provider) -> Providers:
    return Providers(of)


@pytest.mark.parametrize(("provider", "prefix"), [(AesGcm, b"k8s:enc:aesgcm:v1:one:"), (AesCbc, b"k8s:enc:aescbc:v1:one:")])
def test_a_sealed_value_has_upstreams_prefix_and_hides_its_content(provider: type[AesGcm | AesCbc], prefix: bytes) -> None:
    sealed = providers(provider([ONE, TWO])).seal(b'{"secret":"value"}', KEY)
    assert sealed.startswith(prefix)
    assert b"secret" not in sealed
    assert providers(provider([ONE])).open(sealed, KEY) == (b'{"secret":"value"}', False)
    assert providers(provider([ONE])).seal(b"x", KEY) != providers(provider([ONE])).seal(b"x", KEY)


@given(st.binary(max_size=100), st.sampled_from([AesGcm, AesCbc]))
def test_what_was_sealed_is_opened(value: bytes, provider: type[AesGcm | AesCbc]) -> None:
    both = providers(provider([ONE]))
    assert both.open(both.seal(value, KEY), KEY) == (value, False)


def test_a_published_vector_is_opened() -> None:
    # given AES-GCM by NIST's test case 14 (zero key and nonce): the format adds nothing of its own to the algorithm
    zero = AesGcm([NamedKey("z", bytes(32))])
    sealed = b"k8s:enc:aesgcm:v1:z:" + bytes(12) + bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    assert providers(zero).open(sealed, "") == (bytes(16), False)


def test_a_value_is_stale_unless_the_first_key_of_the_first_provider_has_sealed_it() -> None:
    sealed = providers(AesGcm([TWO])).seal(b"x", KEY)
    assert providers(AesGcm([ONE, TWO])).open(sealed, KEY).stale
    assert providers(Identity(), AesGcm([TWO])).open(sealed, KEY).stale
    assert providers(AesGcm([ONE]), Identity()).open(b"plain", KEY) == (b"plain", True)


def test_a_value_that_was_moved_or_changed_is_not_opened() -> None:
    gcm = providers(AesGcm([ONE]))
    sealed = gcm.seal(b"x", KEY)
    for stored, key in ((sealed, KEY + "b"), (sealed[:-1] + bytes((sealed[-1] ^ 1,)), KEY), (sealed[:30], KEY)):
        with pytest.raises(CannotOpen):
            gcm.open(stored, key)


@pytest.mark.parametrize(("of", "stored", "why"), [
    ([Identity()], b"k8s:enc:aesgcm:v1:one:x", "identity transformer tried to read encrypted data"),
    ([AesGcm([ONE])], b"plain", "no matching prefix found"),
    ([AesGcm([ONE])], b"k8s:enc:aesgcm:v1:gone:x", "no matching key was found for the provided AES transformer"),
    ([AesGcm([ONE])], b"k8s:enc:aescbc:v1:one:x", "no matching prefix found"),
    ([AesCbc([ONE])], b"k8s:enc:aescbc:v1:one:" + b"x" * 17, "the stored data is not a multiple of the block size"),
    ([AesCbc([ONE])], b"k8s:enc:aescbc:v1:one:" + b"x" * 16, "invalid padding on input"),
])
def test_what_can_not_be_opened_says_why(of: list[Provider], stored: bytes, why: str) -> None:
    with pytest.raises(CannotOpen) as caught:
        providers(*of).open(stored, KEY)
    assert str(caught.value) == why
