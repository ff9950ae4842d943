from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.lib import pki
from sampan.lib.validity import NoCertificate, validity

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CA = pki.new_ca("kubernetes", now=NOW, days=40_000)


@given(st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1)), st.integers(1, 20_000), st.text("abc", max_size=200))  # noqa: DTZ001 - made aware below
def test_the_times_are_those_that_the_library_reads(start: datetime, days: int, name: str) -> None:
    pair = pki.issue(CA, pki.Names(f"x{name}", dns=("a", "b")), ("client auth",), now=start.replace(tzinfo=UTC, microsecond=0, year=min(start.year, 2090)), days=days) \
        if start.year > 2026 else pki.new_ca(f"x{name}", now=start.replace(tzinfo=UTC, microsecond=0), days=days)
    facts = pki.facts_of(pair.certificate)
    assert validity(pair.certificate) == (facts.not_before, facts.not_after)
    assert validity(pair.certificate + CA.certificate) == (facts.not_before, facts.not_after)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_certificate_is_refused_or_read(at: int, byte: int) -> None:
    import ssl

    der = bytearray(ssl.PEM_cert_to_DER_cert(CA.certificate.decode()))
    der[at % len(der)] = byte
    try:
        start, end = validity(ssl.DER_cert_to_PEM_cert(bytes(der)).encode())
    except NoCertificate:
        return
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)


@pytest.mark.parametrize("body", [b"", b"x", "ä".encode(), b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(body: bytes) -> None:
    with pytest.raises(NoCertificate):
        validity(body)


def test_no_library_is_imported_for_it() -> None:
    program = ("import sys\nfrom sampan.lib.validity import validity\nvalidity(sys.stdin.buffer.read())\n"
               "assert not any(name.startswith('cryptography') for name in sys.modules)\n")
    subprocess.run([sys.executable, "-c", program], input=CA.certificate, check=True)
    assert validity(CA.certificate)[1] - validity(CA.certificate)[0] == timedelta(days=40_000) + pki.BACKDATE
