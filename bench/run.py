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
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common


def cold_start(runs: int) -> dict[str, object]:
    """The first start makes keys and the store; the others find them. One warm-up run fills the page cache."""
    fresh, again, memory, cpu = [], [], [], []
    for _ in range(runs + 1):
        with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
            process, seconds = common.start_server(Path(name))
            fresh.append(seconds)
            time.sleep(1)
            memory.append(common.memory_mib(process.pid))
            cpu.append(common.cpu_seconds(process.pid))
            common.stop(process)
            process, seconds = common.start_server(Path(name))
            again.append(seconds)
            common.stop(process)
    return {"cold_start_seconds": round(statistics.median(fresh[1:]), 3), "restart_seconds": round(statistics.median(again[1:]), 3),
            "cpu_seconds_to_ready_and_idle": round(statistics.median(cpu[1:]), 2), "idle_rss_mib": round(statistics.median(memory[1:]), 1)}


def load(tools: Path, only: str, seconds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        process, _ = common.start_server(Path(name))
        try:
            command = [sys.executable, str(tools / "api_load.py"), "--server", f"https://127.0.0.1:{common.PORT}", "--token", common.TOKEN,
                       "--pids", str(process.pid), "--seconds", str(seconds), *(["--only", only] if only else [])]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
            print(done.stdout, done.stderr, sep="", flush=True)
            return {"exit_code": done.returncode, "output": done.stdout.splitlines()}
        finally:
            common.stop(process)


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
    tools = Path(os.environ.get("LOAD_TOOLS", common.ROOT.parent / "shared" / "bench"))
    scenarios = ",".join(sorted(wanted - {"start"}))
    if not wanted or scenarios:
        if not (tools / "api_load.py").exists():
            print(f"no load tool in {tools}: set LOAD_TOOLS")
            return 1
        results["load"] = load(tools, scenarios, options.seconds)
    target = common.ROOT / "bench" / "results" / "api.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
