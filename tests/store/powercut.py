"""A disk that forgets: an sqlite VFS that knows what was synced, and what a power cut could leave of the rest.

Every write goes to the real file, and is noted until the file is synced. `cut` lays files into a folder as a power cut
might leave them: all that was synced, and of the rest each write whole, in part (up to a sector's boundary) or not at all.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from itertools import count
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
_names = count()


class _Content:
    """What is known of one file: as of its last sync, and what was done since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.since: list[tuple[int, bytes | None]] = []  # (offset, data), or (size, None) for a truncation

    def sync(self) -> None:
        for offset, data in self.since:
            _do(self.synced, offset, data)
        self.since.clear()

    def after_cut(self, rng: random.Random) -> bytes:
        content = bytearray(self.synced)
        for offset, data in self.since:
            fate = rng.randrange(3)
            if fate == 0:
                continue
            torn = data is not None and fate == 1
            _do(content, offset, data[:rng.randrange(0, len(data) + 1, SECTOR)] if torn else data)
        return bytes(content)


def _do(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


class _File(apsw.VFSFile):
    def __init__(self, disk: ForgetfulDisk, filename: Any, flags: list[int]) -> None:
        super().__init__("", filename, flags)
        name = Path(filename.filename() if isinstance(filename, apsw.URIFilename) else filename).name
        self._disk, self._content = disk, disk.contents.setdefault(name, _Content())

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's names
        with self._disk.lock:
            super().xWrite(data, offset)
            self._content.since.append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        with self._disk.lock:
            super().xTruncate(size)
            self._content.since.append((size, None))

    def xSync(self, flags: int) -> None:  # noqa: N802
        if not self._disk.lying:
            with self._disk.lock:
                self._content.sync()
                self._disk.syncs += 1


class ForgetfulDisk(apsw.VFS):
    """Make one a store; `connect` goes into its settings. `lying`: syncing does nothing, as with some cheap disks."""

    def __init__(self, *, lying: bool = False) -> None:
        self.name = f"forgetful-{next(_names)}"
        self.lock = threading.RLock()
        self.lying, self.syncs = lying, 0
        self.contents: dict[str, _Content] = {}
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        with self.lock:
            super().xDelete(filename, syncdir)
            self.contents.pop(Path(filename).name, None)

    def connect(self, path: Path) -> ApswConnection:
        """A connection over this disk."""
        return ApswConnection(apsw.Connection(str(path), vfs=self.name))

    def cut(self, folder: Path, rng: random.Random) -> None:
        """Lay out what a power cut at this moment could leave."""
        folder.mkdir(parents=True)
        with self.lock:
            for name, content in self.contents.items():
                (folder / name).write_bytes(content.after_cut(rng))


class ApswConnection:
    """As much of `sqlite3.Connection` as the store uses."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        connection.set_busy_timeout(30_000)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Any = (), /) -> _Rows:
        try:
            return _Rows(list(self._connection.execute(sql, parameters)))
        except apsw.Error as error:
            translated = sqlite3.OperationalError(str(error))
            translated.sqlite_errorcode = getattr(error, "result", 1)
            raise translated from error

    def close(self) -> None:
        self._connection.close()


class _Rows:
    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None
