"""Huge pages under a large heap.

Objects of a cluster lie all over hundreds of MiB, and each touch of a page that the processor has forgotten walks its tables, in a
virtual machine twice: a fifth of the CPU of a fleet of 5,000 nodes. Where the kernel gives huge pages only to those who ask
(`madvise`, the default of most distributions), parts of the heap that are in use nearly throughout are made huge; what
is mostly free is left as it is, so that memory does not grow by it.
Source: madvise(2) (MADV_COLLAPSE, Linux 6.1), mincore(2), kernel `admin-guide/mm/transhuge`.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

HUGE = 2 * 1024 * 1024
LEAST_BYTES = 128 * 1024 * 1024
"""A smaller process gains little."""
STEP_BYTES = 16 * 1024 * 1024
"""The heap has grown by so much when it is gone through again."""
FULL = 0.875
"""This part of the small pages is in use where a huge one replaces them."""
MADV_COLLAPSE = 25
ENOUGH_REFUSALS = 8
"""After so many, and nothing made, it is the kernel's: one may be the memory's."""
SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def offered(switch: Path = SWITCH) -> bool:
    """Whether this kernel has huge pages for those who ask, or for all."""
    try:
        return "[never]" not in switch.read_text()
    except OSError:
        return False


def heap(maps: Iterable[str]) -> list[tuple[int, int]]:
    """First and last address of what holds a process's objects, cut to whole huge pages; `maps` are lines of /proc/PID/maps. Pure."""
    found = []
    for line in maps:
        where, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights != "rw-p" or inode != "0" or (name and name[0].strip() != "[heap]"):
            continue
        first, last = (int(address, 16) for address in where.split("-"))
        first, last = -(-first // HUGE) * HUGE, last // HUGE * HUGE
        if first < last:
            found.append((first, last))
    return found


def full(resident: bytes, pages: int, part: float = FULL) -> Iterator[int]:
    """Which huge pages are in use, by number; `resident` has a byte for each small page, `pages` of them in a huge one. Pure."""
    for index in range(len(resident) // pages):
        if resident.count(1, index * pages, (index + 1) * pages) >= part * pages:
            yield index


class HugePages:
    """One a process: look whether it is `due` now and then; then `gather` each of `wanted`, in a thread, with pauses."""

    def __init__(self, *, least_bytes: int = LEAST_BYTES, step_bytes: int = STEP_BYTES) -> None:
        self._least, self._step, self._before = least_bytes, step_bytes, 0
        self._huge: set[int] = set()
        self._refusals = 0
        self.offered = offered()
        """Turns false when the kernel refuses: it is older than the call."""

    def due(self) -> bool:
        """Whether the process is large, and has grown since the last time."""
        if not self.offered:
            return False
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
        if resident < max(self._least, self._before + self._step):
            return False
        self._before = resident
        return True

    def wanted(self) -> list[int]:
        """The addresses of what is in use and not huge yet."""
        libc: Any = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/self/maps").open() as maps:
            regions = heap(maps)
        used: set[int] = set()
        for first, last in regions:
            resident = ctypes.create_string_buffer((last - first) // mmap.PAGESIZE)
            if libc.mincore(ctypes.c_void_p(first), ctypes.c_size_t(last - first), resident) == 0:  # else it has gone
                used.update(first + index * HUGE for index in full(resident.raw, HUGE // mmap.PAGESIZE))
        self._huge &= used
        return sorted(used - self._huge)

    def gather(self, address: int) -> bool:
        """Make one part huge; whether this kernel does. Takes some milliseconds, in which other threads may wait for memory of theirs."""
        libc: Any = ctypes.CDLL(None, use_errno=True)
        if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(HUGE), MADV_COLLAPSE) == 0:
            self._huge.add(address)
        elif ctypes.get_errno() == errno.EINVAL:  # else there is none to be had now, or the memory has gone
            self._refusals += 1
            if not self._huge and self._refusals >= ENOUGH_REFUSALS:
                self.offered = False
                log.debug("the kernel does not make huge pages on request")
        return self.offered
