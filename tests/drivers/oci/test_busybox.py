"""The busybox image out of this machine's busybox."""

from __future__ import annotations

import io
import struct
import sys
import tarfile
from pathlib import Path

import pytest

from sampan.drivers.oci.busybox import busybox_image, find_busybox, is_static, machine_of
from sampan.drivers.oci.image import machine_architecture
from sampan.lib.errors import ConfigError
from sampan.testing import require


def test_the_image_has_the_commands_and_accounts_of_a_small_system() -> None:
    require.program("busybox", "busybox-static")
    image = busybox_image()
    assert image.architecture == machine_architecture()
    with tarfile.open(fileobj=io.BytesIO(image.layers[0])) as tar:
        found = {member.name: member for member in tar}
        passwd = tar.extractfile("etc/passwd")
        assert passwd is not None
        assert b"root:x:0:0:" in passwd.read()
    assert found["bin/busybox"].isfile()
    assert found["bin/sh"].linkname == "/bin/busybox"
    assert {"httpd", "wget", "nslookup", "cat"} <= {path.rpartition("/")[2] for path in found}
    assert found["tmp"].mode == 0o1777


def test_a_program_that_needs_libraries_is_not_static() -> None:
    require.linux()
    require.program("busybox", "busybox-static")
    assert is_static(find_busybox())
    assert not is_static(Path(sys.executable).resolve())
    assert not is_static(Path(__file__))


def test_the_architecture_is_read_from_the_program(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HH", 2, 183))
    assert machine_of(file) == "arm64"
    file.write_text("#!/bin/sh")
    with pytest.raises(ConfigError, match="not a program for"):
        machine_of(file)
