"""What a whole idle cluster costs: memory, CPU and bytes written by every process of `sampan up`, containerd aside.

    make up && python bench/idle.py --seconds 600

Reads /proc of the supervisor, the control plane and the agents. Memory is proportional set size, so that shared pages
count once; bytes written are those that reached the block layer (`write_bytes`), scaled to an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import common
from sampan.cluster import processes
from sampan.cluster.allinone import folder_of
from sampan.cluster.config import load


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
    before = {name: (common.cpu_seconds(p.pid), common.line_of(p.pid, "io", "write_bytes")) for name, p in found.items()}
    time.sleep(options.seconds)
    rows = {}
    for name, process in found.items():
        cpu, written = common.cpu_seconds(process.pid) - before[name][0], common.line_of(process.pid, "io", "write_bytes") - before[name][1]
        rows[name] = {"pss_mib": round(common.line_of(process.pid, "smaps_rollup", "Pss") / 1024, 1), "cpu_percent_of_a_core": round(100 * cpu / options.seconds, 2),
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
