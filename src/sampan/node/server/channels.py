"""The remote command sub-protocols over WebSocket, `v5.channel.k8s.io` down to `channel.k8s.io`. Pure framing.

A message's first byte is the channel: 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize; v5 adds 255, which closes the
channel named by the next byte. `base64.channel.k8s.io` has the channel as a digit and base64 after it.
Source: `k8s.io/apimachinery/pkg/util/remotecommand`, KEP-4006.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

from sampan.api import codec

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io",
             "v4.base64.channel.k8s.io", "base64.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


@dataclass(frozen=True)
class Message:
    """What a client sent: data on a channel, or `closed` channels."""

    kind: Literal["data", "close"]
    channel: int
    data: bytes = b""


def choose(offered: list[str]) -> str | None:
    """The best protocol that both sides speak."""
    return next((name for name in PROTOCOLS if name in offered), None)


def decode(protocol: str, message: bytes | str) -> Message | None:
    """One message of the client; None for an empty or broken one."""
    if "base64" in protocol:
        text = message if isinstance(message, str) else message.decode(errors="replace")
        if not text or not text[0].isdigit():
            return None
        try:
            return Message("data", int(text[0]), base64.b64decode(text[1:], validate=True))
        except binascii.Error:
            return None
    raw = message.encode() if isinstance(message, str) else message
    if not raw:
        return None
    if raw[0] == CLOSE and protocol == "v5.channel.k8s.io":
        return Message("close", raw[1]) if len(raw) > 1 else None
    return Message("data", raw[0], raw[1:])


def encode(protocol: str, channel: int, data: bytes) -> bytes | str:
    """One message to the client (text for base64 protocols)."""
    if "base64" in protocol:
        return f"{channel}{base64.b64encode(data).decode()}"
    return bytes([channel]) + data


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a terminal; None for what is no size."""
    try:
        found = codec.loads(data)
    except codec.DecodeError:
        return None
    if not isinstance(found, dict):
        return None
    sides = found.get("Width", 0), found.get("Height", 0)
    if any(not isinstance(side, int) or not 0 <= side < 1 << 16 for side in sides):
        return None
    return sides


def legacy_error(protocol: str) -> bool:
    """Before v4 the error channel has plain text instead of a Status."""
    return protocol.replace("base64.", "") not in ("v5.channel.k8s.io", "v4.channel.k8s.io")
