"""Which parts of the heap become huge, and that they do."""

from __future__ import annotations

import mmap
from pathlib import Path

from sampan.lib.hugepages import ENOUGH_REFUSALS, HUGE, HugePages, full, heap, offered
from sampan.testing import require

MAPS = """\
00400000-00a00000 r-xp 00000000 fe:00 1234                               /usr/bin/python3
02000000-02500000 rw-p 00000000 00:00 0                                  [heap]
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
7f0000300000-7f0000a80000 rw-p 00000000 00:00 0
7f0001000000-7f0001800000 rw-s 00000000 00:01 77                         /dev/shm/shared
7f0002000000-7f0002800000 ---p 00000000 00:00 0
7f0003000000-7f0003800000 rw-p 00000000 fe:00 1235                       /usr/lib/x.so
7ffc00000000-7ffc00800000 rw-p 00000000 00:00 0                          [stack]
"""


def test_only_the_processs_own_objects_count_and_whole_huge_pages_of_them() -> None:
    assert heap(MAPS.splitlines(keepends=True)) == [(0x02000000, 0x02400000), (0x7F0000400000, 0x7F0000A00000)]


def test_what_is_mostly_free_stays_small() -> None:
    used, half, free = b"\1" * 8, b"\1\0" * 4, b"\0" * 8
    assert list(full(used + used + half + used + free, 8)) == [0, 1, 3]
    # also where one small page of eight is free
    assert list(full(b"\1" * 7 + b"\0", 8)) == [0]


def test_a_kernel_without_them_is_not_asked(tmp_path: Path) -> None:
    switch = tmp_path / "enabled"
    assert not offered(switch)
    switch.write_text("always madvise [never]\n")
    assert not offered(switch)
    switch.write_text("always [madvise] never\n")
    assert offered(switch)


def test_a_small_process_is_left_alone() -> None:
    assert not HugePages(least_bytes=1 << 40).due()


def test_one_that_has_not_grown_is_left_alone() -> None:
    pages = HugePages(least_bytes=0, step_bytes=1 << 40)
    assert not pages.due()


def test_memory_in_use_becomes_huge_where_the_kernel_can() -> None:
    pages = HugePages(least_bytes=0, step_bytes=1)
    with mmap.mmap(-1, 8 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:] = b"x" * len(memory)
        before = _huge_kib()
        # when
        assert pages.due() == offered()
        for address in pages.wanted():
            pages.gather(address)
        if not pages.offered:
            require.missing("huge pages on request")
        # then
        assert _huge_kib() > before
        assert len(pages.wanted()) < 4, "what is huge is not done again"
        assert memory[:] == b"x" * len(memory)


def test_a_kernel_that_refuses_again_and_again_is_not_asked_any_more() -> None:
    pages, nowhere = HugePages(), 1  # no address of a page: what an older kernel says to every one
    pages.offered = True
    answers = [pages.gather(nowhere) for _ in range(ENOUGH_REFUSALS)]
    assert answers == [True] * (ENOUGH_REFUSALS - 1) + [False]
    assert not pages.due()


def _huge_kib() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:"))
