"""The threads of a `SqliteStore`: one that writes, one that checkpoints.

The writer takes all jobs that have queued and commits them as one transaction, so that everybody who waits shares
one fsync. It decides nothing: jobs were decided on the event loop, in their order. When a commit fails it drops
every job until the loop has said `resume`, since those were decided on top of what failed.
Checkpoints run on a connection and a thread of their own, so that no commit pays for them; only when writers were
faster than they for long does the writer lend a hand, lest the write-ahead log grow without bound.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from sampan.store import sqliterows as rows
from sampan.store.base import StoreError, StoreUnavailable
from sampan.store.sqlitefiles import Connection, translated

log = logging.getLogger(__name__)

BATCH_MOST = 4096
CHECKPOINT_BYTES = 8 << 20
WAL_MOST_FRAMES = 16_384  # 64 MiB


class Job(msgspec.Struct):
    """What one transaction writes."""

    rows: Sequence[rows.Row] = ()
    meta: Sequence[tuple[str, int]] = ()
    remove: Sequence[int] = ()


class _Mark:
    """A word to the writer."""


_RESUME, _STOP = _Mark(), _Mark()


class Checkpointer:
    """Moves the write-ahead log into the file when there is enough of it."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self._wanted = threading.Semaphore(0)
        self._stopping = False
        self.behind = False  # the log has grown too long: writers are faster
        self._thread = threading.Thread(target=self._run, name="store checkpoint", daemon=True)
        self._thread.start()

    def want(self) -> None:
        """There is something to do."""
        self._wanted.release()

    def stop(self) -> None:
        """Finish what runs, end, close the connection."""
        self._stopping = True
        self._wanted.release()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            self._wanted.acquire()
            if self._stopping:
                return
            while self._wanted.acquire(blocking=False):
                pass
            try:
                _, frames, moved = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self.behind = frames > WAL_MOST_FRAMES and moved < frames
            except sqlite3.Error as error:
                # nothing is lost: what was committed is in the write-ahead log, and the next one tries again
                log.warning("checkpoint failed: %s", translated(error, self._path).message)


class Writer:
    """The thread that writes. `committed(n)` and `failed(error)` are called on it, in the order of events."""

    def __init__(self, connection: Connection, checkpointer: Checkpointer, path: Path,
                 committed: Callable[[int], None], failed: Callable[[StoreError], None]) -> None:
        self._connection, self._checkpointer, self._path = connection, checkpointer, path
        self._committed, self._failed = committed, failed
        self._queue: queue.SimpleQueue[Sequence[Job] | _Mark] = queue.SimpleQueue()
        self._stalled = False
        self._since_checkpoint = 0
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    def put(self, jobs: Sequence[Job]) -> None:
        """Write them after all that were put before."""
        self._queue.put(jobs)

    def resume(self) -> None:
        """All jobs put so far are void: go on with those that follow."""
        self._queue.put(_RESUME)

    def stop(self) -> None:
        """Write what has queued, end, close the connection."""
        self._queue.put(_STOP)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            batch, mark = self._take()
            if batch and not self._stalled:
                self._write(batch)
            if mark is _RESUME:
                self._stalled = False
            elif mark is _STOP:
                return

    def _take(self) -> tuple[list[Job], _Mark | None]:
        """Wait for work; all of it up to a word to the writer."""
        batch: list[Job] = []
        item = self._queue.get()
        while not isinstance(item, _Mark):
            batch += item
            if len(batch) >= BATCH_MOST:
                return batch, None
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, None
        return batch, item

    def _write(self, batch: list[Job]) -> None:
        try:
            self._commit(batch)
        except sqlite3.Error as error:
            self._stalled = True
            self._failed(self._after_failure(error))
        except Exception as error:  # noqa: BLE001 - reported to everybody who waits
            self._stalled = True
            self._failed(StoreUnavailable(f"{self._path}: {error}"))
        else:
            self._committed(len(batch))
            self._checkpoint(batch)

    def _commit(self, batch: list[Job]) -> None:
        new, old = [row for job in batch for row in job.rows], [id for job in batch for id in job.remove]
        meta = dict(pair for job in batch for pair in job.meta)
        if len(new) <= rows.AT_ONCE and not old and not meta:
            rows.insert(self._connection, new)
            return
        self._connection.execute("BEGIN IMMEDIATE")
        rows.insert(self._connection, new)
        rows.remove(self._connection, old)
        rows.write_meta(self._connection, meta.items())
        self._connection.execute("COMMIT")

    def _after_failure(self, error: sqlite3.Error) -> StoreError:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as again:
            # sqlite has rolled back by itself where the error was grave
            log.debug("rollback: %s", again)
        return translated(error, self._path)

    def _checkpoint(self, batch: list[Job]) -> None:
        self._since_checkpoint += 8192 + sum(len(row[6] or b"") + 4096 for job in batch for row in job.rows)
        if self._since_checkpoint < CHECKPOINT_BYTES:
            return
        self._since_checkpoint = 0
        if self._checkpointer.behind:
            self._checkpointer.behind = False
            try:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error as error:
                log.warning("checkpoint failed: %s", translated(error, self._path).message)
        else:
            self._checkpointer.want()
