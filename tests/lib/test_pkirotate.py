"""An authority and signing keys on their way to the next ones: nothing expires, nothing is shown that is not trusted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sampan.lib import pki, pkirotate
from sampan.lib.pkirotate import Authority, Lifetimes, SigningKeys, blocks, spread

START = datetime(2026, 3, 1, tzinfo=UTC)
LIFE = timedelta(days=240)
USAGES = ("digital signature", "client auth")


def authority(folder: Path) -> Authority:
    return Authority(folder, "ca", "kubernetes", LIFE)


def leaf(ca: Authority, now: datetime) -> pki.Pair:
    return pki.issue(pki.Pair(ca.crt.read_bytes(), ca.key.read_bytes()), pki.Names("x"), USAGES, now=now, days=30)


def test_whoever_follows_the_bundle_trusts_all_that_is_shown_through_three_authorities(tmp_path: Path) -> None:
    # given an authority that is asked every day what to do, and somebody who reads the bundle some days later
    ca, bundles, leaves, authorities = authority(tmp_path), list[bytes](), list[tuple[datetime, bytes]](), set[bytes]()
    for day in range(600):
        now = START + timedelta(days=day)
        state = ca.step(now)
        assert state.again > now
        bundles.append(ca.bundle.read_bytes())
        leaves.append((now, leaf(ca, now).certificate))
        authorities.add(ca.crt.read_bytes())
        late = bundles[max(0, day - spread(LIFE).days)]
        # then every certificate of the last month is of somebody in it, and its end is not that of its authority
        for made, certificate in leaves[-30::7]:
            assert pki.signed_by(certificate, late), day
            assert pki.facts_of(certificate).not_after >= made + timedelta(days=30)
        # and nobody in what is trusted now has ended
        assert all(pki.facts_of(pem).not_after > now for pem in blocks(bundles[-1]))
    assert len(authorities) == 4
    assert len(blocks(bundles[-1])) <= 3


def test_an_authority_that_ended_while_nobody_looked_is_replaced_at_once(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    ca.step(START)
    before = ca.crt.read_bytes()
    # when nobody asked for years
    now = START + timedelta(days=2000)
    ca.step(now)
    # then there is a new one, which alone is trusted
    assert ca.crt.read_bytes() != before
    assert ca.bundle.read_bytes() == ca.crt.read_bytes()
    assert pki.signed_by(leaf(ca, now).certificate, ca.bundle.read_bytes())


class Cut(Exception):
    """The machine went off."""


@pytest.mark.parametrize("writes", range(12))
def test_a_rotation_that_is_cut_anywhere_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    # given an authority, whose next one is trusted, and signing keys
    ca, keys = authority(tmp_path), SigningKeys(tmp_path, "sa", Lifetimes(signing_key=LIFE))
    ca.step(START)
    keys.step(START)
    shown, signer = leaf(ca, START + timedelta(days=159)).certificate, pki.public_key(keys.key.read_bytes())
    ca.step(START + timedelta(days=160))
    keys.step(START + timedelta(days=234))
    real, left = pkirotate.write_private, writes

    def until_cut(path: Path, data: bytes) -> None:
        nonlocal left
        if left == 0:
            raise Cut
        left -= 1
        real(path, data)

    # when the step to it ends in the middle
    monkeypatch.setattr(pkirotate, "write_private", until_cut)
    now = START + timedelta(days=241)
    try:
        ca.step(START + timedelta(days=168))
        keys.step(now)
    except Cut:
        pass
    monkeypatch.setattr(pkirotate, "write_private", real)
    # then the next start finishes it, and all that was shown and will be is trusted
    for _ in range(2):
        ca.step(START + timedelta(days=168))
        keys.step(now)
    bundle = ca.bundle.read_bytes()
    assert pki.signed_by(shown, bundle)
    assert pki.signed_by(leaf(ca, START + timedelta(days=168)).certificate, bundle)
    trusted = keys.public.read_bytes()
    assert signer in blocks(trusted)
    assert pki.public_key(keys.key.read_bytes()) in blocks(trusted)


def test_a_signing_key_is_trusted_before_it_signs_and_after_it_has_signed(tmp_path: Path) -> None:
    # given keys that change every 240 days and are trusted for 300 more
    keys = SigningKeys(tmp_path, "sa", Lifetimes(signing_key=LIFE, tokens=timedelta(days=300)))
    last_signed: dict[bytes, datetime] = {}
    was: set[bytes] = set()
    for day in range(0, 1000, 2):
        now = START + timedelta(days=day)
        keys.step(now)
        signer, trusted = pki.public_key(keys.key.read_bytes()), blocks(keys.public.read_bytes())
        # then what signs comes first, was trusted the day before, and what signed within 300 days is
        assert trusted[0] == signer
        assert not was or signer in was
        last_signed[signer] = now
        assert {pem for pem, at in last_signed.items() if now - at <= timedelta(days=298)} <= set(trusted)
        was = set(trusted)
    assert len(last_signed) == 5
    assert len(was) <= 4


def test_a_key_that_somebody_added_goes_on_verifying(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path, "sa", Lifetimes())
    keys.step(START)
    other = pki.public_key(pki.new_signing_key())
    keys.public.write_bytes(keys.public.read_bytes() + other)
    keys.step(START + timedelta(days=1))
    assert other in blocks(keys.public.read_bytes())


@pytest.mark.parametrize("memory", [b"{", b"[]", b'{"of": "", "made": "x", "following": "", "retired": {}}'])
def test_without_its_memory_a_key_stays(tmp_path: Path, memory: bytes) -> None:
    keys = SigningKeys(tmp_path, "sa", Lifetimes())
    keys.step(START)
    before = keys.key.read_bytes(), keys.public.read_bytes()
    (tmp_path / "sa.json").write_bytes(memory)
    keys.step(START + timedelta(days=400))
    assert (keys.key.read_bytes(), keys.public.read_bytes()) == before
