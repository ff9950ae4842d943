"""A busybox image from Debian's busybox-static: a shell, httpd, wget and the rest, without any registry.

Source: `busybox --list-full`; the folders and accounts are those that programs expect of a small system.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from sampan.drivers.oci.image import ImageConfig, PlatformImage
from sampan.drivers.oci.layer import Entry, layer_tar
from sampan.lib.errors import ConfigError, MissingPart

NAME = "docker.io/library/busybox:latest"
CANDIDATES = ("/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox")
MACHINES = {62: "amd64", 183: "arm64"}
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSWD = b"""root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
_GROUP = b"""root:x:0:
daemon:x:1:
www-data:x:33:
nogroup:x:65534:
"""


def find_busybox() -> Path:
    """The static busybox of this machine.

    Raises:
        MissingPart: There is none, or only one that needs shared libraries.
    """
    found = next((Path(path) for path in (*CANDIDATES, shutil.which("busybox") or "") if path and Path(path).is_file()), None)
    if found is None or not is_static(found):
        raise MissingPart("a busybox image needs a static busybox, which this machine lacks",
                          hint="as root: apt-get install --no-remove busybox-static")
    return found


def is_static(program: Path) -> bool:
    """Whether an ELF file asks for no interpreter."""
    head = program.read_bytes()
    if head[:5] != b"\x7fELF\x02":
        return False
    start, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    return all(struct.unpack_from("<I", head, start + size * index)[0] != 3 for index in range(count))


def machine_of(program: Path) -> str:
    """The architecture that an ELF file is for. Raises ConfigError."""
    with program.open("rb") as file:
        head = file.read(20)
    machine = MACHINES.get(struct.unpack_from("<H", head, 18)[0]) if head[:4] == b"\x7fELF" else None
    if machine is None:
        raise ConfigError(f"{program} is not a program for {' or '.join(MACHINES.values())}")
    return machine


@lru_cache(maxsize=4)
def busybox_layer(program: Path) -> bytes:
    """The layer: busybox, a link for each of its commands, accounts, /tmp."""
    return layer_tar(_entries(program))


def busybox_image(program: Path | None = None) -> PlatformImage:
    """An image of one architecture; `program` may be another machine's busybox, whose commands are assumed the same."""
    chosen = program or find_busybox()
    return PlatformImage(machine_of(chosen), ImageConfig(command=("sh",), env=(("PATH", SEARCH),)), (busybox_layer(chosen),))


def _entries(program: Path) -> Iterator[Entry]:
    for folder in ("bin", "dev", "etc", "home", "lib", "proc", "sbin", "sys", "usr/bin", "usr/sbin", "usr/lib", "var/log",
                   "var/run", "var/www", "mnt", "opt", "run"):
        yield Entry(folder)
    yield Entry("root", 0o700)
    yield Entry("tmp", 0o1777)
    yield Entry("var/tmp", 0o1777)
    yield Entry("etc/passwd", 0o644, _PASSWD)
    yield Entry("etc/group", 0o644, _GROUP)
    yield Entry("etc/shells", 0o644, b"/bin/sh\n/bin/ash\n")
    yield Entry("etc/nsswitch.conf", 0o644, b"hosts: files dns\n")
    yield Entry("bin/busybox", 0o755, program)
    here = find_busybox()
    listed = subprocess.run([here, "--list-full"], capture_output=True, text=True, check=True, timeout=10).stdout
    for path in listed.split():
        if path != "bin/busybox":
            yield Entry(path, 0o777, link="/bin/busybox")
