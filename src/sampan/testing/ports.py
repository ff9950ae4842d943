"""Ports of loopback for servers that tests start.

A port that the kernel chose (bind to port 0) is anybody's again once it is closed: until the server binds it, any outgoing
connection of the machine may have got it. So these come from below the range that the kernel gives to connections, and from
below the node ports.
Source: ip(7), `ip_local_port_range`.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

FIRST, LAST = 12_000, 29_999
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_pick = random.SystemRandom()


def free_port() -> int:
    """A port that nobody has now, for TCP and UDP, and that no outgoing connection will be given."""
    last = min(LAST, _ephemeral() - 1)
    for _ in range(1000):
        port = _pick.randint(FIRST, last) if last >= FIRST else 0
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return int(tcp.getsockname()[1])
    raise OSError(f"no port from {FIRST} to {last} is free on 127.0.0.1")


def _ephemeral() -> int:
    """The first port that the kernel gives to connections."""
    try:
        return int(RANGE.read_text().split()[0])
    except OSError:  # not Linux
        return 49_152
