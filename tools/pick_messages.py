"""Write the table of one driver: the closure of its services and messages out of `tools/facts/grpc.json`.

`python tools/pick_messages.py` rewrites every table; a test holds the committed ones against it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sampan.lib.grpctable import closure

ROOT = Path(__file__).resolve().parent.parent
EVENTS = ("TaskExit", "TaskOOM", "TaskStart", "TaskCreate", "TaskDelete", "ContainerCreate", "ContainerDelete",
          "SandboxCreate", "SandboxStart", "SandboxExit")
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "src/sampan/drivers/cri/messages.json": (
        ("runtime.v1.RuntimeService", "runtime.v1.ImageService", "containerd.services.events.v1.Events"),
        tuple(f"containerd.events.{name}" for name in EVENTS),
    ),
    "src/sampan/store/etcd.json": (("etcdserverpb.KV", "etcdserverpb.Lease", "etcdserverpb.Watch"), ()),
}


def render(table: dict[str, Any]) -> str:
    """JSON with a line for each message, enum and service, so that a diff can be read."""
    sections = []
    for section in ("services", "messages", "enums"):
        rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in table[section].items())
        sections.append(f'"{section}": {{\n{rows}\n}}')
    return "{\n" + ",\n".join(sections) + "\n}\n"


def tables() -> dict[str, str]:
    """Path from the project's root → text."""
    facts = json.loads((ROOT / "tools/facts/grpc.json").read_bytes())
    return {path: render(closure(facts, services, roots)) for path, (services, roots) in TABLES.items()}


if __name__ == "__main__":
    for path, text in tables().items():
        (ROOT / path).write_text(text)
