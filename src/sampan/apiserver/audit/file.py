"""Where audit events are written: a file that is kept small, and what is said when it can't be written.

Files are 0600, append only, renamed when they are full. A line that can't be written (a full disk) is lost: requests go
on, the log says so once a minute, `apiserver_audit_error_total` counts it.
Source: apiserver `plugin/pkg/audit/log`, `pkg/audit/metrics.go`; lumberjack for the meaning of 0.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sampan.lib.clock import Clock
from sampan.lib.errors import ConfigError

log = logging.getLogger(__name__)

DEFAULT_MEGABYTES = 100
SAID_EVERY = timedelta(minutes=1)
_STAMP = "%Y-%m-%dT%H-%M-%S.%f"


@dataclass(frozen=True)
class Rotation:
    """When a file is full and how long full ones stay; 0: as many, as old as there are."""

    megabytes: int = DEFAULT_MEGABYTES
    backups: int = 10
    days: int = 0


class AuditFile:
    """Lines at the end of a file, `-` for the standard output."""

    def __init__(self, path: str, clock: Clock, rotation: Rotation = Rotation()) -> None:
        self._path, self._clock, self._rotation = path, clock, rotation
        self._most = rotation.megabytes << 20
        self._file = -1
        self._size = 0
        self._torn = False

    def check(self) -> None:
        """Open it now, so that a wrong path is told at the start.

        Raises:
            ConfigError: It can't be written.
        """
        if self._path == "-" or self._file >= 0:
            return
        try:
            self._open()
        except OSError as error:
            raise ConfigError(f"the audit log {self._path} can't be written: {error.strerror or error}",
                              hint="give a file in a folder that can be written with --audit-log-path") from error

    def write(self, text: bytes) -> None:
        """Append.

        Raises:
            OSError: The file can't be written.
        """
        if self._path == "-":
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
            return
        if self._file < 0:
            self._open()
        if self._size and self._size + len(text) > self._most:
            self._rotate()
        if self._torn:  # what is left of a line that the disk had no room for is a line of its own
            text = b"\n" + text
        left = memoryview(text)
        while left:
            written = os.write(self._file, left)
            self._torn = written < len(left)
            self._size += written
            left = left[written:]

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        self.close()
        path, now = Path(self._path), self._clock.now()
        path.rename(path.with_name(f"{path.stem}-{now.strftime(_STAMP)}{path.suffix}"))
        old = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))
        gone = old[:max(len(old) - self._rotation.backups, 0)] if self._rotation.backups else []
        if self._rotation.days:
            first = f"{path.stem}-{(now - timedelta(days=self._rotation.days)).strftime(_STAMP)}"
            gone += [one for one in old if one.name < first]
        for one in gone:
            one.unlink(missing_ok=True)
        self._open()


class AuditSink:
    """Writes events and counts them; one that can't be written is lost, and said."""

    def __init__(self, write: Callable[[bytes], None], clock: Clock) -> None:
        self._write, self._clock = write, clock
        self.events = self.errors = 0
        self._said: datetime | None = None

    def write(self, line: bytes) -> None:
        """Write one event; never raises for a file that can't be written."""
        self.events += 1
        try:
            self._write(line)
        except (OSError, ValueError) as error:  # ValueError: a closed standard output
            self.errors += 1
            now = self._clock.now()
            if self._said is None or now - self._said >= SAID_EVERY:
                self._said = now
                log.error("audit events are lost: the audit log can't be written",
                          extra={"error": getattr(error, "strerror", None) or str(error), "lost": self.errors})

    def collect(self) -> Iterator[Any]:
        """prometheus-client's way of asking."""
        from prometheus_client.core import CounterMetricFamily

        yield CounterMetricFamily("apiserver_audit_event_total", "Counter of audit events generated and sent to the audit backend.", value=self.events)
        errors = CounterMetricFamily("apiserver_audit_error_total", "Counter of audit events that failed to be audited properly. Plugin "
                                     "identifies the plugin affected by the error.", labels=["plugin"])
        errors.add_metric(["log"], self.errors)
        yield errors
