"""Programs of others that the tests start: where they are, and running one beside a test.

Owns: finding what `tools/go_clients.py` has built, processes with a log that end with the test.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

BUILT = Path(__file__).parents[2] / "build" / "bin"


def built(name: str) -> str:
    """The path of a Go client; without it the test is skipped, or fails where CI=true."""
    return str(require.path(str(BUILT / name), "run tools/go_clients.py (make test does), which wants Go"))


@dataclass(frozen=True)
class Program:
    """A process that runs beside a test, and what it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        """Whether it runs; raises AssertionError with its last words where it has ended with an error."""
        code = self.process.poll()
        assert code in (None, 0), f"{self.process.args!r} ended with {code}:\n{self.said[-3000:]}"
        return code is None

    def stop(self) -> int:
        """Ask it to end, and wait for that; its exit code."""
        self.process.terminate()
        until_true(lambda: self.process.poll() is not None, f"{self.process.args!r} ends when it is told to")
        code: int = self.process.returncode
        return code


@contextmanager
def running(words: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Program]:
    """Run a program; when the block is left it is gone."""
    with log.open("wb") as out:
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        yield Program(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
