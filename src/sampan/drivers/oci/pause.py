"""The pause image: a static program of some 240 bytes that holds a pod's namespaces open and reaps its orphans.

It blocks all signals and waits for them: on CHLD it reaps, on TERM and INT it exits. (`sleep` in its place would leave
zombies where a pod shares its process namespace, and would not end on TERM as process 1.)

The program is written as a few instructions for each architecture and put together here, so that nothing is
downloaded or compiled. Source: `elf(5)`, `syscalls(2)`, the instruction tables of both architectures.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from sampan.drivers.oci.image import ImageConfig, PlatformImage, layout_tar
from sampan.drivers.oci.layer import Entry, layer_tar

NAME = "docker.io/sampan/pause:1"
BASE = 0x400000
HEADERS = 64 + 56
MACHINES = {"amd64": 62, "arm64": 183}

# an instruction: its bytes, or (size, what makes them of (own offset, offset of label), label)
Instruction = bytes | tuple[int, Callable[[int, int], bytes], str]


def pause_image(architectures: tuple[str, ...] = ("amd64", "arm64")) -> bytes:
    """The layout tar of the pause image."""
    return layout_tar([
        PlatformImage(name, ImageConfig(entrypoint=("/pause",), user="65535:65535"),
                      (layer_tar([Entry("pause", 0o755, pause_program(name))]),))
        for name in architectures], [NAME])


def pause_program(architecture: str) -> bytes:
    """The ELF executable for an architecture."""
    text = assemble(_AMD64 if architecture == "amd64" else _arm64())
    size = HEADERS + len(text)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, MACHINES[architecture], 1,
                         BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    # one segment, readable and executable, that is the whole file
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x10000)
    return header + segment + text


def assemble(program: list[tuple[str, list[Instruction]]]) -> bytes:
    """Put labelled blocks one after another and resolve the labels."""
    offsets, at = {}, 0
    for label, instructions in program:
        offsets[label] = at
        at += sum(len(item) if isinstance(item, bytes) else item[0] for item in instructions)
    out = b""
    for _, instructions in program:
        for item in instructions:
            out += item if isinstance(item, bytes) else item[1](len(out), offsets[item[2]])
    return out


def _rip(opcode: bytes, label: str) -> Instruction:
    """`lea REG, [rip + label]`."""
    return 7, lambda at, to: opcode + struct.pack("<i", to - at - 7), label


def _short(opcode: int, label: str) -> Instruction:
    """A jump within 127 bytes."""
    return 2, lambda at, to: struct.pack("<Bb", opcode, to - at - 2), label


_SYSCALL = b"\x0f\x05"
_AMD64: list[tuple[str, list[Instruction]]] = [
    ("start", [
        b"\x31\xff",                       # xor edi, edi            SIG_BLOCK
        _rip(b"\x48\x8d\x35", "mask"),     # lea rsi, [mask]
        b"\x31\xd2",                       # xor edx, edx
        b"\x6a\x08\x41\x5a",               # push 8; pop r10
        b"\x6a\x0e\x58", _SYSCALL,         # rt_sigprocmask
    ]),
    ("wait", [
        _rip(b"\x48\x8d\x3d", "mask"),     # lea rdi, [mask]
        b"\x31\xf6\x31\xd2",               # xor esi, esi; xor edx, edx
        b"\x6a\x08\x41\x5a",               # push 8; pop r10
        b"\xb8\x80\x00\x00\x00", _SYSCALL,  # rt_sigtimedwait
        b"\x83\xf8\x0f", _short(0x74, "exit"),   # SIGTERM
        b"\x83\xf8\x02", _short(0x74, "exit"),   # SIGINT
        b"\x83\xf8\x11", _short(0x75, "wait"),   # anything but SIGCHLD
    ]),
    ("reap", [
        b"\x6a\xff\x5f",                   # push -1; pop rdi        any child
        b"\x31\xf6",                       # xor esi, esi
        b"\x6a\x01\x5a",                   # push 1; pop rdx         WNOHANG
        b"\x45\x31\xd2",                   # xor r10d, r10d
        b"\x6a\x3d\x58", _SYSCALL,         # wait4
        b"\x85\xc0", _short(0x7F, "reap"),  # while it finds one
        _short(0xEB, "wait"),
    ]),
    ("exit", [b"\x31\xff", b"\x6a\x3c\x58", _SYSCALL]),
    ("mask", [b"\xff" * 8]),
]


def _mov(register: int, value: int) -> bytes:
    """`mov xN, #value`."""
    return struct.pack("<I", 0xD2800000 | value << 5 | register)


def _adr(register: int, label: str) -> Instruction:
    def encode(at: int, to: int) -> bytes:
        distance = to - at
        return struct.pack("<I", 0x10000000 | (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5 | register)
    return 4, encode, label


def _branch(condition: int, label: str) -> Instruction:
    """`b.COND label`; 0 is eq, 1 ne, 12 gt, 14 always."""
    return 4, lambda at, to: struct.pack("<I", 0x54000000 | (to - at >> 2 & 0x7FFFF) << 5 | condition), label


def _compare(value: int) -> bytes:
    """`cmp w0, #value`."""
    return struct.pack("<I", 0x7100001F | value << 10)


def _arm64() -> list[tuple[str, list[Instruction]]]:
    call = struct.pack("<I", 0xD4000001)        # svc #0, the number in x8
    minus_one = struct.pack("<I", 0x92800000)   # mov x0, #-1
    return [
        ("start", [_mov(0, 0), _adr(1, "mask"), _mov(2, 0), _mov(3, 8), _mov(8, 135), call]),     # rt_sigprocmask
        ("wait", [_adr(0, "mask"), _mov(1, 0), _mov(2, 0), _mov(3, 8), _mov(8, 137), call,        # rt_sigtimedwait
                  _compare(15), _branch(0, "exit"), _compare(2), _branch(0, "exit"),
                  _compare(17), _branch(1, "wait")]),
        ("reap", [minus_one, _mov(1, 0), _mov(2, 1), _mov(3, 0), _mov(8, 260), call,              # wait4
                  _compare(0), _branch(12, "reap"), _branch(14, "wait")]),
        ("exit", [_mov(0, 0), _mov(8, 93), call]),
        ("mask", [b"\xff" * 8]),
    ]
