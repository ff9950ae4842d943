"""A real etcd inside a test: on loopback, in a temporary folder, killed and started again as the test likes.

with running_etcd() as etcd:
store = await EtcdStore.open(etcd.url, clock)
etcd.kill()
etcd.start()
"""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sampan.testing import require
from sampan.testing.ports import free_port
from sampan.testing.waiting import PATIENCE_SECONDS


class Etcd:
    """One member. `start` returns when it serves; `kill` is kill -9."""

    def __init__(self, folder: Path, name: str = "a", *, port: int = 0, peer_port: int = 0, flags: Sequence[str] = ()) -> None:
        self.name, self.port, self.peer_port = name, port or free_port(), peer_port or free_port()
        self._program = require.program("etcd", package="etcd-server")
        self._folder, self._flags = folder, list(flags)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For `--store`."""
        return f"etcd://127.0.0.1:{self.port}"

    @property
    def peer(self) -> str:
        """How other members reach it."""
        return f"http://127.0.0.1:{self.peer_port}"

    def start(self, *, wait: bool = True, cluster: str = "") -> None:
        """Run it; `cluster` as etcd's `--initial-cluster`."""
        client = f"http{'s' if '--cert-file' in ' '.join(self._flags) else ''}://127.0.0.1:{self.port}"
        self._log = (self._folder / f"{self.name}.log").open("ab")
        self._process = subprocess.Popen([
            self._program, "--name", self.name, "--data-dir", str(self._folder / self.name), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer,
            "--initial-cluster", cluster or f"{self.name}={self.peer}", "--listen-metrics-urls", "http://127.0.0.1:0",
            "--heartbeat-interval", "50", "--election-timeout", "500", *self._flags], stdout=self._log, stderr=self._log)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it serves."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._serves():
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / f"{self.name}.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "etcd did not start in time"
            time.sleep(0.02)

    def _serves(self) -> bool:
        if any("cert" in flag for flag in self._flags):
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/health")
            return bool(json.loads(connection.getresponse().read()).get("health") == "true")
        except (OSError, ValueError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def freeze(self, *, frozen: bool = True) -> None:
        """It hangs: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def wipe(self) -> None:
        """Lose everything that it had written; it must be down."""
        assert self._process is None
        shutil.rmtree(self._folder / self.name)

    def kill(self) -> None:
        """As if the power were cut; does nothing when it is down."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._log.close()


@contextmanager
def running_etcd(flags: Sequence[str] = ()) -> Iterator[Etcd]:
    """A fresh one that serves; nothing of it is left behind."""
    with tempfile.TemporaryDirectory(prefix="sampan-etcd-") as folder:
        etcd = Etcd(Path(folder), flags=flags)
        try:
            etcd.start()
            yield etcd
        finally:
            etcd.kill()


@contextmanager
def running_members(count: int) -> Iterator[list[Etcd]]:
    """A cluster of several members."""
    with tempfile.TemporaryDirectory(prefix="sampan-etcd-") as folder:
        members = [Etcd(Path(folder), f"m{number}") for number in range(count)]
        cluster = ",".join(f"{member.name}={member.peer}" for member in members)
        try:
            for member in members:
                member.start(wait=False, cluster=cluster)
            for member in members:
                member.wait()
            yield members
        finally:
            for member in members:
                member.kill()
