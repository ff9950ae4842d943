"""Measure the API server: cold start, memory, and the cost of requests with a load tool; results as JSON.

    python bench/run.py                     all; the load tool is LOAD_TOOLS/api_load.py (default ../shared/bench)
    python bench/run.py --only start        cold start and idle memory alone
    python bench/run.py --only get,create   those scenarios of the load tool

Costs are CPU of the server and its store per unit of work: rates depend on the machine, costs hardly. Nothing else should
run meanwhile. Needs `wrk` (Debian package) for the load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ROOT = Path(__file__).parent.parent
PORT = free_port()
TOKEN = "bench-token"


def start_server(folder: Path, *extra: str, port: int = PORT) -> tuple[subprocess.Popen[bytes], float]:
    """(process, seconds from its start until /readyz says 200)."""
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,u1,"system:masters"\n')
    command = [sys.executable, "-m", "sampan", "server", "--data", str(folder / "data"), "--port", str(port),
               "--token-file", str(folder / "tokens.csv"), *extra]
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
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cold_start(runs: int) -> dict[str, object]:
    """The first start makes keys and the store; the others find them. One warm-up run fills the page cache."""
    fresh, again, memory, cpu = [], [], [], []
    for _ in range(runs + 1):
        with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
            process, seconds = start_server(Path(name))
            fresh.append(seconds)
            time.sleep(1)
            memory.append(memory_mib(process.pid))
            cpu.append(cpu_seconds(process.pid))
            stop(process)
            process, seconds = start_server(Path(name))
            again.append(seconds)
            stop(process)
    return {"cold_start_seconds": round(statistics.median(fresh[1:]), 3), "restart_seconds": round(statistics.median(again[1:]), 3),
            "cpu_seconds_to_ready_and_idle": round(statistics.median(cpu[1:]), 2), "idle_rss_mib": round(statistics.median(memory[1:]), 1)}


def load(tools: Path, only: str, seconds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        process, _ = start_server(Path(name))
        try:
            command = [sys.executable, str(tools / "api_load.py"), "--server", f"https://127.0.0.1:{PORT}", "--token", TOKEN,
                       "--pids", str(process.pid), "--seconds", str(seconds), *(["--only", only] if only else [])]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
            print(done.stdout, done.stderr, sep="", flush=True)
            return {"exit_code": done.returncode, "output": done.stdout.splitlines()}
        finally:
            stop(process)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    options = parser.parse_args()
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version(), "machine": platform.machine()}
    results: dict[str, object] = {"machine": machine}
    wanted = set(options.only.split(",")) - {""}
    if not wanted or "start" in wanted:
        results["start"] = cold_start(options.runs)
        print(json.dumps(results["start"]), flush=True)
    tools = Path(os.environ.get("LOAD_TOOLS", ROOT.parent / "shared" / "bench"))
    scenarios = ",".join(sorted(wanted - {"start"}))
    if not wanted or scenarios:
        if not (tools / "api_load.py").exists():
            print(f"no load tool in {tools}: set LOAD_TOOLS")
            return 1
        results["load"] = load(tools, scenarios, options.seconds)
    target = ROOT / "bench" / "results" / "api.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
