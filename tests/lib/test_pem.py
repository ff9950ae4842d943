"""Blocks of PEM text."""

from __future__ import annotations

import pytest

from sampan.lib.pem import blocks


def block(label: bytes, inside: bytes = b"AAAA") -> bytes:
    return b"-----BEGIN %b-----\n%b\n-----END %b-----" % (label, inside, label)


def test_blocks_are_found_among_other_text() -> None:
    found = list(blocks(b"# first\n" + block(b"CERTIFICATE") + b"\nthen\n" + block(b"EC KEY", b"B: c\n\nDDDD") + b"\n"))
    assert [(one.label, one.inside) for one in found] == [(b"CERTIFICATE", b"AAAA"), (b"EC KEY", b"B: c\n\nDDDD")]
    assert found[0].whole == block(b"CERTIFICATE")


@pytest.mark.parametrize("text", [
    b"", b"x", b"-----BEGIN ", b"-----BEGIN X", b"-----BEGIN X-----", b"-----BEGIN X-----\nAAAA\n-----END Y-----", b"-----BEGIN X\nY-----\n-----END X\nY-----"])
def test_what_is_no_block_is_passed_over(text: bytes) -> None:
    assert list(blocks(text)) == []
    # and what follows it is found all the same
    if not text.endswith((b"BEGIN ", b"X", b"X-----")):
        assert [one.label for one in blocks(text + b"\n" + block(b"Z"))] == [b"Z"]


def test_a_block_within_an_unfinished_one_is_found() -> None:
    assert [one.label for one in blocks(b"-----BEGIN X-----\n" + block(b"Y"))] == [b"Y"]


@pytest.mark.parametrize("text", [
    b"-----BEGIN X-----" + b" " * 3_000_000, b"-----BEGIN X-----\n" * 200_000, b"-----BEGIN X-----\n" * 200_000 + b"-----END Y-----",
    b"".join(b"-----BEGIN %d-----\n" % number for number in range(100_000)), b"-----BEGIN " * 300_000, b"-----BEGIN X" + b"-" * 3_000_000])
def test_hostile_text_is_read_once(text: bytes) -> None:
    # quadratic time would be minutes for these
    assert list(blocks(text)) == []
