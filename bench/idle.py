"""What a whole idle cluster costs: memory, CPU and bytes written by every process of `sampan up`, containerd aside.

    make up && python bench/idle.py --seconds 600

Reads /proc of the supervisor, the control plane and the agents. Memory is proportional set size, so that shared pages
count once; bytes written are those that reached the block layer (`write_bytes`), scaled to an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from sampan.cluster import processes
from sampan.cluster.allinone import folder_of
from sampan.cluster.config import load

TICK = os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def written_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="default")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--settle", type=float, default=60, help="seconds to wait first")
    options = parser.parse_args()
    folder = folder_of(options.name, options.data)
    config = load(folder)
    if config is None:
        sys.exit(f"there is no cluster in {folder}; start one with `make up`")
    names = ["supervisor", "control-plane", *(config.node_name(index) for index in range(config.nodes))]
    found = {name: process for name in names if (process := processes.read(folder / "run" / f"{name}.pid")) is not None}
    if len(found) != len(names):
        sys.exit("not all processes of the cluster run")
    time.sleep(options.settle)
    before = {name: (cpu_seconds(p.pid), written_bytes(p.pid)) for name, p in found.items()}
    time.sleep(options.seconds)
    rows = {}
    for name, process in found.items():
        cpu, written = cpu_seconds(process.pid) - before[name][0], written_bytes(process.pid) - before[name][1]
        rows[name] = {"pss_mib": round(memory_mib(process.pid), 1), "cpu_percent_of_a_core": round(100 * cpu / options.seconds, 2),
                      "written_kib_an_hour": round(written / options.seconds * 3600 / 1024)}
    total = {key: round(sum(row[key] for row in rows.values()), 2) for key in ("pss_mib", "cpu_percent_of_a_core", "written_kib_an_hour")}
    result = {"seconds": options.seconds, "processes": rows, "total": total}
    print(json.dumps(result, indent=1))
    target = Path(__file__).parent / "results" / "idle.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
