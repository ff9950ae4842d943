"""Replay what a real Kubernetes API server answered against `sampan server`, and hold it to the list of passing ones.

    python tools/recordings.py              every listed recording must pass
    python tools/recordings.py --all        try those that are not listed too (they may wait long for what is missing)
    python tools/recordings.py --grow       the same, and add the new passing ones to the list
    python tools/recordings.py --only ssa   part of the names

The folder comes from RECORDINGS. Where it is not there the replay is left out and says so, but fails with CI=true.
A recording that failed is tried once more, alone. Lists only grow: `tests/recordings/api.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTS = ROOT / "tests" / "recordings"
READY_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`sampan server` in a folder of its own, for as long as the block runs."""

    def __init__(self, tokens: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sampan-recordings-")
        self.port = free_port()
        self.data = Path(self._folder.name)
        command = [sys.executable, "-m", "sampan", "server", "--data", str(self.data / "data"), "--port", str(self.port), "--token-file", str(tokens)]
        self._process = subprocess.Popen(command)

    def __enter__(self) -> Server:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self._process.poll() is not None or time.monotonic() > deadline:
                sys.exit("sampan server did not start")
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._folder.cleanup()


def replay_api(folder: Path, only: list[str]) -> set[str]:
    """The names of the recordings that fail."""
    with Server(folder / "tokens.csv") as server, tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, str(folder / "replay.py"), "check", "--server", f"https://127.0.0.1:{server.port}", "--insecure",
                   "--token-file", str(folder / "tokens.csv"), "--json", report.name, str(folder / "api")]
        for pattern in only:
            command += ["--only", pattern]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        text = Path(report.name).read_text()
        if not text:
            sys.exit(f"the replay did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return {one["file"] for one in json.loads(text)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="PART")
    options = parser.parse_args()
    folder = Path(os.environ.get("RECORDINGS", "../shared/oracle"))
    if not (folder / "replay.py").exists():
        print(f"no recordings in {folder}: nothing is replayed (set RECORDINGS)")
        return 1 if os.environ.get("CI") == "true" else 0
    listed_file = LISTS / "api.txt"
    listed = set(listed_file.read_text().split()) if listed_file.exists() else set()
    every = {str(path.relative_to(folder / "api")) for path in (folder / "api").rglob("*.json")
             if "controllers" not in json.loads(path.read_text()).get("needs", [])}
    pool = every if options.all or options.grow or options.only else every & listed
    chosen = {name for name in pool if not options.only or any(part in name for part in options.only)}
    failed = replay_api(folder, sorted(chosen)) & chosen
    for name in sorted(failed & listed):
        if not replay_api(folder, [name]):
            failed.discard(name)
    new = (chosen - failed) - listed
    broken = sorted(failed & listed)
    print(f"recordings: {len(chosen) - len(failed)} passed, {len(failed)} failed; {len(broken)} of them are listed as passing")
    for name in broken:
        print(f"  broken: {name}")
    for name in sorted(failed - listed):
        print(f"  not yet: {name}")
    if options.grow and new:
        listed_file.parent.mkdir(parents=True, exist_ok=True)
        listed_file.write_text("".join(f"{name}\n" for name in sorted(listed | new)))
        print(f"{len(new)} added to {listed_file.relative_to(ROOT)}")
    elif new:
        print(f"{len(new)} pass that are not listed: add them with --grow")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
