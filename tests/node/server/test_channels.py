"""Framing of the remote command sub-protocols."""

from __future__ import annotations

from sampan.node.server.channels import Message, choose, decode, encode, legacy_error, size


def test_the_newest_common_protocol_is_chosen() -> None:
    assert choose(["v4.channel.k8s.io", "v5.channel.k8s.io"]) == "v5.channel.k8s.io"
    assert choose(["base64.channel.k8s.io"]) == "base64.channel.k8s.io"
    assert choose(["SPDY/3.1"]) is None


def test_v5_can_close_stdin_and_v4_cannot() -> None:
    assert decode("v5.channel.k8s.io", b"\xff\x00") == Message("close", 0)
    assert decode("v4.channel.k8s.io", b"\xff\x00") == Message("data", 255, b"\x00")
    assert decode("v5.channel.k8s.io", b"\xff") is None


def test_data_goes_both_ways_in_binary_and_base64() -> None:
    assert decode("v4.channel.k8s.io", encode("v4.channel.k8s.io", 1, b"hi")) == Message("data", 1, b"hi")
    assert decode("base64.channel.k8s.io", encode("base64.channel.k8s.io", 2, b"\x00")) == Message("data", 2, b"\x00")
    assert decode("base64.channel.k8s.io", "0!") is None
    assert decode("v4.channel.k8s.io", b"") is None


def test_old_protocols_have_plain_errors() -> None:
    assert [legacy_error(p) for p in ("v5.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io")] == [False, False, True]


def test_a_size_is_two_small_numbers() -> None:
    assert size(b'{"Width":80,"Height":24}\n') == (80, 24)
    for broken in (b"", b"{", b"[]", b'{"Width":"80"}', b'{"Width":-1}', b'{"Height":65536}', b"\xff"):
        assert size(broken) is None, broken
