"""Ports for servers of tests."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sampan.testing import ports


def test_a_port_is_below_those_of_connections_and_of_nodes() -> None:
    found = [ports.free_port() for _ in range(20)]
    assert all(ports.FIRST <= port <= ports.LAST for port in found)
    with socket.create_server(("127.0.0.1", found[0])):
        pass


def test_a_port_that_somebody_has_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as taken:
            port = ports.free_port()
            taken.bind(("127.0.0.1", port))
            monkeypatch.setattr(ports, "FIRST", port)
            monkeypatch.setattr(ports, "LAST", port)
            with pytest.raises(OSError, match="no port"):
                ports.free_port()
            monkeypatch.undo()


def test_where_connections_begin_lower_the_kernel_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = tmp_path / "range"
    written.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "RANGE", written)
    assert ports.free_port() > 0
    monkeypatch.setattr(ports, "RANGE", tmp_path / "none")
    assert ports.FIRST <= ports.free_port() <= ports.LAST
