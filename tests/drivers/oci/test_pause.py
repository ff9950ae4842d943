"""The pause program: it waits, reaps what it inherits, and ends when told."""

from __future__ import annotations

import signal
import struct
import subprocess
from pathlib import Path

import pytest

from sampan.drivers.oci.image import machine_architecture, read_layout
from sampan.drivers.oci.pause import pause_image, pause_program
from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS, until_true


def waits(pid: int) -> bool:
    """Whether the program has come to rt_sigtimedwait."""
    number = {"amd64": "128", "arm64": "137"}[machine_architecture()]
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == number


REAPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)      # orphans come to us, whatever we become
if os.fork() == 0:
    os.fork() or (os.read(0, 1), os._exit(0))  # the grandchild lives until stdin closes
    os._exit(0)
os.wait()
print("ready", flush=True)
os.execv(sys.argv[1], ["pause"])
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    require.linux()
    path = tmp_path / "pause"
    path.write_bytes(pause_program(machine_architecture()))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_until_it_is_told_to_end(program: Path, number: signal.Signals) -> None:
    process = subprocess.Popen([program])
    until_true(lambda: waits(process.pid), "it waits for signals")
    for ignored in (signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        process.send_signal(ignored)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 0


def test_it_reaps_orphans(program: Path) -> None:
    # given a process that adopted an orphan and became pause
    process = subprocess.Popen(["python3", "-c", REAPER, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    orphan = int(children.read_text().split()[0])
    until_true(lambda: waits(process.pid), "it waits for signals")
    # when the orphan ends
    process.stdin.close()
    # then not even a zombie of it stays
    until_true(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan is gone")
    process.terminate()
    assert process.wait(PATIENCE_SECONDS) == 0
    process.stdout.close()


@pytest.mark.parametrize(("architecture", "machine", "size"), [("amd64", 62, 214), ("arm64", 183, 248)])
def test_it_is_a_small_static_executable(architecture: str, machine: int, size: int) -> None:
    program = pause_program(architecture)
    assert len(program) == size
    assert program[:6] == b"\x7fELF\x02\x01"
    assert struct.unpack_from("<HH", program, 16) == (2, machine)
    assert program[-8:] == b"\xff" * 8


def test_its_arm64_branches_go_where_they_should() -> None:
    # given the program as words, decoded by hand
    words = [word for (word,) in struct.iter_unpack("<I", pause_program("arm64")[120:-8])]
    wait, reap, end = 6, 18, 27
    jumps = {at: at + ((word >> 5 & 0x7FFFF) ^ 0x40000) - 0x40000 for at, word in enumerate(words) if word >> 24 == 0x54}
    assert jumps == {13: end, 15: end, 17: wait, 25: reap, 26: wait}


def test_the_image_has_both_architectures(tmp_path: Path) -> None:
    file = tmp_path / "pause.tar"
    file.write_bytes(pause_image())
    for architecture in ("amd64", "arm64"):
        image = read_layout(file, architecture)
        assert image.config.entrypoint == ("/pause",)
        assert pause_program(architecture) in image.layers[0]
