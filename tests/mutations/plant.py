"""Plants one mistake in a copy of the sources and runs the tests that must notice it. The checkout is never touched.

    python tests/mutations/plant.py             everything that is planted, one line each
    python tests/mutations/plant.py scheduler   what has this in its file's name
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300
FAILED = 1  # pytest's exit code when tests ran and some failed


class Unplanted(Exception):
    """The text that a mutation replaces is not in its file, or more than once."""


class Plantation:
    """A copy of `src`, in which one mutation at a time is planted."""

    def __init__(self, folder: Path) -> None:
        self._source = folder / "src"
        shutil.copytree(ROOT / "src", self._source, ignore=shutil.ignore_patterns("__pycache__"))

    def outcome(self, file: str, text: str, instead: str, tests: tuple[str, ...]) -> str:
        """Empty when a test failed, else what went wrong.

        Raises:
            Unplanted: The file does not have the text exactly once.
        """
        path = self._source / "sampan" / file
        before = path.read_text()
        if (times := before.count(text)) != 1:
            raise Unplanted(f"src/sampan/{file} has {text!r} {times} times, not once: bring tests/mutations/planted.py up to date")
        path.write_text(before.replace(text, instead))
        try:
            code, said = self._run(tests)
        finally:
            path.write_text(before)
        if code == FAILED:
            return ""
        if code == 0:
            return f"{' '.join(tests)} pass although src/sampan/{file} has {instead!r} instead of {text!r}: write the test that is missing"
        return f"{' '.join(tests)} could not be run with {instead!r} in src/sampan/{file} (pytest says {code}):\n{said[-1500:]}"

    def _run(self, tests: tuple[str, ...]) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no", "-m", "not kernel and not e2e",
                   *(f"tests/{test}" for test in tests)]
        environment = {**os.environ, "PYTHONPATH": str(self._source), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return FAILED, "the tests did not end"  # a mistake that makes everything wait is noticed, too
        return done.returncode, done.stdout + done.stderr


def main(words: list[str]) -> int:
    """Plant what is asked for; the exit code says whether all was noticed."""
    sys.path.insert(0, str(ROOT / "tests"))
    from mutations.planted import ALL

    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        plantation = Plantation(Path(folder))
        for one in ALL:
            if words and not any(word in one.file for word in words):
                continue
            try:
                said = plantation.outcome(*one)
            except Unplanted as error:
                said = str(error)
            survived += bool(said)
            sys.stdout.write(f"{one.file}: {said or 'noticed'}\n")
            sys.stdout.flush()
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
