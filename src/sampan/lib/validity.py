"""From when to when a certificate is good, read without a library: for processes that only want to know when to ask for the next.

Nothing is verified here, and nothing else is read. Source: RFC 5280, 4.1; X.690 (DER).
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from sampan.lib.errors import SampanError
from sampan.lib.pkirotate import blocks

SEQUENCE, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x17, 0x18, 0xA0


class NoCertificate(SampanError):
    """The bytes are no certificate."""


def validity(pem: bytes) -> tuple[datetime, datetime]:
    """The first certificate's times.

    Raises:
        NoCertificate: There is none.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(next(iter(blocks(pem)), b"").decode("ascii"))
        _, certificate, _ = _element(der)
        _, signed, _ = _element(certificate)
        tag, _, rest = _element(signed)
        for _ in range(4 if tag == VERSION else 3):  # serial number, algorithm, issuer, validity
            tag, body, rest = _element(rest)
        if tag != SEQUENCE:
            raise NoCertificate("the certificate's validity is not where it should be")
        first, start, rest = _element(body)
        second, end, _ = _element(rest)
        return _time(first, start), _time(second, end)
    except (ValueError, IndexError) as error:
        raise NoCertificate(f"not a certificate: {error}") from error


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what follows it."""
    tag, length, at = data[0], data[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(data[2:at])
    if at + length > len(data):
        raise ValueError("it ends too early")
    return tag, data[at:at + length], data[at + length:]


def _time(tag: int, body: bytes) -> datetime:
    if tag not in (UTC_TIME, GENERALIZED_TIME):
        raise ValueError("its validity has no times")
    text = body.decode("ascii")
    if tag == UTC_TIME:  # two digits of the year: 1950 to 2049
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
