"""What the benchmarks share: starting a server, and what a process has used so far, by /proc."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from sampan.testing.ports import free_port

ROOT = Path(__file__).parent.parent
PORT = free_port()
TOKEN = "bench-token"


def token_file(folder: Path) -> Path:
    """A file in which `TOKEN` is an administrator's."""
    path = folder / "tokens.csv"
    path.write_text(f'{TOKEN},admin,u1,"system:masters"\n')
    return path


def start_server(folder: Path, *extra: str, port: int = PORT) -> tuple[subprocess.Popen[bytes], float]:
    """(process, seconds from its start until /readyz says 200)."""
    command = [sys.executable, "-m", "sampan", "server", "--data", str(folder / "data"), "--port", str(port),
               "--token-file", str(token_file(folder)), *extra]
    return start(command, port)


def start(command: list[str], port: int) -> tuple[subprocess.Popen[bytes], float]:
    """A process that serves HTTPS on that port; and the seconds until its /readyz says 200."""
    started = time.monotonic()
    process = subprocess.Popen(command)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{port}/readyz", context=context, timeout=1) as answer:
                if answer.status == 200:
                    return process, time.monotonic() - started
        except OSError:
            if process.poll() is not None or time.monotonic() - started > 30:
                sys.exit("the server did not start")
            time.sleep(0.005)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=20)


def memory_mib(pid: int) -> float:
    """Resident memory, with what is shared counted in full."""
    return line_of(pid, "status", "VmRSS") / 1024


def peak_mib(pid: int) -> int:
    """The most that was resident."""
    return line_of(pid, "status", "VmHWM") // 1024


def line_of(pid: int, file: str, name: str) -> int:
    """The number behind a name in a file of /proc/PID; 0 without one (kernel threads have no memory)."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid: int) -> float:
    """User and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
