"""Replay what a real Kubernetes answered, decided and did against Sampan, and hold it to the lists of passing recordings.

    python tools/recordings.py                        every listed recording must pass
    python tools/recordings.py --suite controllers    api, api-strict, controllers or scheduler alone
    python tools/recordings.py --all                  try those that are not listed too (they may wait long for what is missing)
    python tools/recordings.py --grow                 the same, and add the new passing ones to the list
    python tools/recordings.py --only ssa             part of the names
    python tools/recordings.py --strict               compare messages and order as well (for a look: nothing is held to it)

`api` are conversations with `sampan server`; `api-strict` are those of them that agree to the letter (messages, managed
fields, headers, order), and need not be replayed twice; `controllers` are small situations that `sampan controllers` deals with,
under upstream's flags; `scheduler` are clusters with pods that `sampan scheduler` places. The folder comes from RECORDINGS.
Where it is not there the replay is left out and says so, but fails with CI=true. A recording that failed is tried once more,
alone with its like. Lists only grow: `tests/recordings/*.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTS = ROOT / "tests" / "recordings"
READY_SECONDS = 60.0
MOST_SECONDS = 1800

CONTROLLER_FLAGS = (
    "--node-monitor-period=1s", "--node-monitor-grace-period=8s", "--node-eviction-rate=10",
    "--horizontal-pod-autoscaler-sync-period=2s", "--pvclaimbinder-sync-period=2s", "--allocate-node-cidrs",
    "--cluster-cidr=10.244.0.0/16", "--kube-api-qps=500", "--kube-api-burst=1000", "--leader-elect=false")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """`sampan server` in a folder of its own, and what works beside it, for as long as the block runs."""

    def __init__(self, tokens: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sampan-recordings-")
        self.port = free_port()
        self.data = Path(self._folder.name) / "data"
        self.kubeconfig = self.data / "admin.kubeconfig"
        self._running: list[subprocess.Popen[bytes]] = []
        self.start("server", "--data", str(self.data), "--port", str(self.port), "--token-file", str(tokens), "--front-proxy=false")

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self, *command: str) -> None:
        self._running.append(subprocess.Popen([sys.executable, "-m", "sampan", *command, "--log-level=error"]))

    def __enter__(self) -> Processes:
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self._running[0].poll() is not None or time.monotonic() > deadline:
                sys.exit("sampan server did not start")
            time.sleep(0.05)
        return self

    def _ready(self) -> bool:
        if not self.kubeconfig.exists():
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_: object) -> None:
        ended = [one.args for one in self._running if one.poll() is not None]
        for one in reversed(self._running):
            one.terminate()
            one.wait(timeout=20)
        self._folder.cleanup()
        if ended:
            sys.exit(f"ended before its time: {ended}")


def replay(command: list[str]) -> str:
    """What a replay printed; it says for itself what failed, so its exit code is not asked."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=MOST_SECONDS)
    if "Traceback (most recent call last)" in done.stderr:
        sys.exit(f"the replay did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Suite(ABC):
    """One folder of recordings, how it is replayed, and the list of those that must pass."""

    name: str

    def __init__(self, folder: Path, *, strict: bool = False, verbose: bool = False) -> None:
        self.folder, self.strict, self.verbose = folder, strict, verbose
        self.list = LISTS / f"{self.name}.txt"

    def every(self) -> set[str]:
        """The names of all recordings."""
        return {str(path.relative_to(self.folder / self.name)) for path in (self.folder / self.name).rglob("*.json")}

    def listed(self) -> set[str]:
        """Those that must pass."""
        return set(self.list.read_text().split()) if self.list.exists() else set()

    def covered(self) -> set[str]:
        """Those that another suite holds to more."""
        return set()

    @abstractmethod
    def failed(self, names: set[str], *, alone: bool = False) -> set[str]:
        """Replay these against fresh processes; the names of those that fail."""


class ApiSuite(Suite):
    """Conversations with the API server."""

    name = "api"

    def every(self) -> set[str]:
        """All that need no controllers."""
        root = self.folder / "api"
        names = {str(path.relative_to(root)) for path in root.rglob("*.json")}
        return {name for name in names if "controllers" not in json.loads((root / name).read_text()).get("needs", [])}

    def covered(self) -> set[str]:
        """See `Suite.covered`."""
        return StrictApiSuite(self.folder).listed()

    def failed(self, names: set[str], *, alone: bool = False) -> set[str]:
        """See `Suite.failed`."""
        with Processes(self.folder / "tokens.csv") as server, tempfile.NamedTemporaryFile(suffix=".json") as report:
            command = [str(self.folder / "replay.py"), "check", "--server", server.address, "--insecure",
                       "--token-file", str(self.folder / "tokens.csv"), "--json", report.name, str(self.folder / "api")]
            for name in sorted(names):
                command += ["--only", name]
            printed = replay([*command, "--strict"] if self.strict else command)
            text = Path(report.name).read_text()
            if not text:
                sys.exit(f"the replay did not run:\n{printed[-2000:]}")
            return {one["file"] for one in json.loads(text)} & names


class StrictApiSuite(ApiSuite):
    """The same, compared to the letter."""

    name = "api-strict"

    def __init__(self, folder: Path, *, strict: bool = True, verbose: bool = False) -> None:
        del strict
        super().__init__(folder, strict=True, verbose=verbose)

    def covered(self) -> set[str]:
        """See `Suite.covered`."""
        return set()


class SituationSuite(Suite):
    """What the two replays of situations have in common: a folder of files, a line each about what became of it."""

    tool: str

    def begin(self, server: Processes) -> None:
        """Start what is put to the test."""
        raise NotImplementedError

    def more(self, *, alone: bool) -> list[str]:
        """More flags of the replay."""
        raise NotImplementedError

    def failed(self, names: set[str], *, alone: bool = False) -> set[str]:
        """See `Suite.failed`."""
        with Processes(self.folder / "tokens.csv") as server, tempfile.TemporaryDirectory() as chosen:
            for name in names:
                link = Path(chosen, name)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((self.folder / self.name / name).resolve())
            self.begin(server)
            token = (self.folder / "tokens.csv").read_text().split(",", 1)[0]
            printed = replay([str(self.folder / self.tool), "check", "--server", server.address, "--token", token, "--insecure", "--verbose",
                              *self.more(alone=alone), *(["--strict"] if self.strict else []), chosen])
        if self.verbose:
            print("\n".join(line for line in printed.splitlines() if not line.startswith("ok ")))
        passed = set(re.findall(r"^ok +[^/\s]+/(\S+)", printed, re.MULTILINE))
        return {name for name in names if Path(name).stem not in passed}


class ControllersSuite(SituationSuite):
    """Situations that the controllers deal with."""

    name, tool = "controllers", "control_replay.py"

    def begin(self, server: Processes) -> None:
        """See `SituationSuite.begin`."""
        keys = server.data / "pki"
        server.start("controllers", "--kubeconfig", str(server.kubeconfig), f"--root-ca-file={server.data / 'ca.crt'}",
                     f"--service-account-private-key-file={keys / 'sa.key'}", f"--cluster-signing-cert-file={keys / 'ca.crt'}",
                     f"--cluster-signing-key-file={keys / 'ca.key'}", *CONTROLLER_FLAGS)

    def more(self, *, alone: bool) -> list[str]:
        """See `SituationSuite.more`."""
        return ["--jobs", "2" if alone else "10"]


class SchedulerSuite(SituationSuite):
    """Clusters with pods to be placed."""

    name, tool = "scheduler", "sched_replay.py"

    def begin(self, server: Processes) -> None:
        """See `SituationSuite.begin`."""
        server.start("scheduler", "--kubeconfig", str(server.kubeconfig), "--config", str(self.folder / "sched-config.yaml"))

    def more(self, *, alone: bool) -> list[str]:
        """See `SituationSuite.more`."""
        return ["--timeout", "20"] if alone else []


SUITES: tuple[type[Suite], ...] = (ApiSuite, StrictApiSuite, ControllersSuite, SchedulerSuite)


def hold(suite: Suite, options: argparse.Namespace) -> int:
    """Replay what is asked for, print what came of it; 1 if a listed one fails."""
    listed, every = suite.listed(), suite.every()
    for name in sorted(listed - every):
        print(f"{suite.name}: {name} is listed, but there is no such recording")
    pool = every if options.all or options.grow or options.only or options.strict else (every & listed) - suite.covered()
    chosen = {name for name in pool if not options.only or any(part in name for part in options.only)}
    if not chosen:
        return 0
    began = time.monotonic()
    failed = suite.failed(chosen)
    again = failed if options.grow or options.all else failed & listed
    if again and not options.strict:
        failed -= again - suite.failed(again, alone=True)
    new, broken = (chosen - failed) - listed, sorted(failed & listed)
    print(f"{suite.name}: {len(chosen) - len(failed)} passed ({100 * (1 - len(failed) / len(chosen)):.1f} %), {len(failed)} failed in {time.monotonic() - began:.0f} s; "
          f"{len(broken)} failed that are listed as passing")
    tell((("broken", broken), ("not yet", sorted(failed - listed))))
    if options.strict:
        return 0
    if options.grow and new:
        suite.list.parent.mkdir(parents=True, exist_ok=True)
        suite.list.write_text("".join(f"{name}\n" for name in sorted(listed | new)))
        print(f"{len(new)} added to {suite.list.relative_to(ROOT)}")
    elif new:
        print(f"{len(new)} pass that are not listed: add them with --grow")
    return 1 if broken else 0


def tell(groups: Iterable[tuple[str, Iterable[str]]]) -> None:
    """The names of each group, a line each."""
    for title, names in groups:
        for name in names:
            print(f"  {title}: {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print what differs")
    parser.add_argument("--only", action="append", default=[], metavar="PART")
    parser.add_argument("--suite", action="append", default=[], choices=[suite.name for suite in SUITES])
    options = parser.parse_args()
    folder = Path(os.environ.get("RECORDINGS", "../shared/oracle"))
    if not (folder / "replay.py").exists():
        print(f"no recordings in {folder}: nothing is replayed (set RECORDINGS)")
        return 1 if os.environ.get("CI") == "true" else 0
    names = [suite.name for suite in SUITES if not (options.strict and suite is StrictApiSuite)]
    results = [hold(suite(folder, strict=options.strict, verbose=options.verbose), options)
               for suite in SUITES if suite.name in (options.suite or names)]
    return max(results)


if __name__ == "__main__":
    sys.exit(main())
