"""Files of audit events: rotation, age, and disks that are full."""

from __future__ import annotations

import asyncio
import logging
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sampan.aio.clock import VirtualClock
from sampan.apiserver.audit.file import AuditFile, AuditSink, Rotation
from sampan.apiserver.audit.policy import load
from sampan.lib.errors import ConfigError
from sampan.testing.server import LEAN, running_server

POLICY = b"{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}"


def test_a_full_file_is_renamed_and_old_ones_go(tmp_path: Path) -> None:
    clock = VirtualClock()
    file = AuditFile(str(tmp_path / "audit.log"), clock, Rotation(megabytes=0, backups=2))

    async def run() -> None:
        for number in range(5):
            file.write(b"%d\n" % number)
            await clock.advance(1)

    asyncio.run(run())
    file.close()
    assert [path.read_bytes() for path in sorted(tmp_path.glob("audit-*.log"))] == [b"2\n", b"3\n"]
    assert (tmp_path / "audit.log").read_bytes() == b"4\n"


def test_renamed_files_go_when_they_are_old(tmp_path: Path) -> None:
    clock = VirtualClock()
    file = AuditFile(str(tmp_path / "audit.log"), clock, Rotation(megabytes=0, backups=0, days=2))

    async def run() -> None:
        for number in range(5):
            file.write(b"%d\n" % number)
            await clock.advance(86_400)

    asyncio.run(run())
    file.close()
    # the rotation at the start of day 4 removes what was renamed before day 2
    assert [path.read_bytes() for path in sorted(tmp_path.glob("audit-*.log"))] == [b"1\n", b"2\n", b"3\n"]


def test_a_full_disk_is_said_and_counted_and_breaks_no_request(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> tuple[list[int], str]:
        # given a log whose device has no room
        settings = replace(LEAN, audit_policy=load(POLICY, "p"), audit_log="/dev/full")
        async with running_server(settings=settings) as server:
            codes = [(await server.client.raw("GET", "/version")).code for _ in range(3)]
            return codes, (await server.client.raw("GET", "/metrics")).body.decode()

    with caplog.at_level(logging.ERROR):
        codes, metrics = asyncio.run(run())
    # then every request is answered, the loss is said once and counted
    assert codes == [200, 200, 200]
    assert [record.message for record in caplog.records].count("audit events are lost: the audit log can't be written") == 1
    lost = next(line for line in metrics.splitlines() if line.startswith('apiserver_audit_error_total{plugin="log"}'))
    assert float(lost.split()[1]) >= 6


def test_half_a_line_that_a_full_disk_left_spoils_no_later_line(tmp_path: Path) -> None:
    # given a process whose files may have ten bytes, until they may have more
    program = f"""
import resource, signal
from sampan.aio.clock import SystemClock
from sampan.apiserver.audit.file import AuditFile, AuditSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = AuditFile({str(tmp_path / "audit.log")!r}, SystemClock())
sink = AuditSink(file.write, SystemClock())
resource.setrlimit(resource.RLIMIT_FSIZE, (10, {resource.RLIM_INFINITY}))
sink.write(b"123456\\n"); sink.write(b"abcdef\\n"); sink.write(b"lost\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))
sink.write(b"after\\n")
print(sink.events, sink.errors)
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["4", "2"]
    assert (tmp_path / "audit.log").read_bytes() == b"123456\nabc\nafter\n"


def test_a_closed_pipe_is_an_error_that_is_counted() -> None:
    def broken(_: bytes) -> None:
        raise BrokenPipeError

    sink = AuditSink(broken, VirtualClock())
    sink.write(b"x")
    assert (sink.events, sink.errors) == (1, 1)


def test_a_path_that_can_not_be_is_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def run() -> None:
        settings = replace(LEAN, audit_policy=load(POLICY, "p"), audit_log=str(tmp_path / "file" / "audit.log"))
        async with running_server(settings=settings):
            pass

    with pytest.raises((ConfigError, ExceptionGroup)) as caught:
        asyncio.run(run())
    error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert isinstance(error, ConfigError)
    assert "can't be written" in error.message
