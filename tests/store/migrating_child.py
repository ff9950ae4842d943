"""Opens a store whose format is old, and is killed in the middle: `python migrating_child.py FOLDER N`, before the Nth step."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sampan.store import sqlitefiles
from sampan.store.sqlitefiles import Connection, Cursor
from sampan.store.sqliteload import load

steps = iter(range(int(sys.argv[2])))


def step() -> None:
    """One more; the last one is never made."""
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)


class Counted:
    """A connection that dies before a statement."""

    def __init__(self, real: Connection) -> None:
        self._real = real

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        step()
        return self._real.execute(sql, parameters)

    def close(self) -> None:
        self._real.close()


def audit(event: str, _: tuple[Any, ...]) -> None:
    """Also before a file is renamed or removed."""
    if event in ("os.rename", "os.remove"):
        step()


sys.addaudithook(audit)
load(Path(sys.argv[1]), lambda path: Counted(sqlitefiles.connect(path)))
