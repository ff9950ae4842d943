"""What certificates a cluster's folder has, when they end, and having them made anew by the server that runs.

Owns the listing. Renewing marks them as due in the index of their folder: the server, or whoever looks after the folder,
does it with its next look, and nothing is missing meanwhile. Source: kubeadm `certs check-expiration`, `certs renew`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sampan.lib import pki
from sampan.lib.clock import Clock
from sampan.lib.errors import ConfigError
from sampan.lib.pkidir import PkiFolder
from sampan.lib.pkirotate import blocks

BUNDLES = ("-bundle.crt", "trusted.crt", "handshake-ca.crt")


@dataclass(frozen=True)
class Certificate:
    """One of a folder. `name` is its file's, without the end."""

    name: str
    subject: str
    ends: datetime
    authority: bool

    def left(self, now: datetime) -> str:
        """The time that is left, in the largest unit: `364d`, `7h`, `ended`."""
        rest = self.ends - now
        if rest <= timedelta():
            return "ended"
        for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m")):
            if rest >= unit:
                return f"{rest // unit}{name}"
        return f"{int(rest.total_seconds())}s"


def folders(data: Path) -> list[Path]:
    """Where a cluster's folder has certificates.

    Raises:
        ConfigError: It has none.
    """
    found = [path for path in (data / "pki", *sorted((data / "nodes").glob("*"))) if any(path.glob("*.crt"))]
    if not found:
        raise ConfigError(f"there are no certificates in {data}", hint="start the cluster, or give another folder with --data")
    return found


def listed(folder: Path) -> list[Certificate]:
    """The certificates of one folder, by name. Bundles repeat what is there."""
    rows = []
    for path in sorted(folder.glob("*.crt"), key=lambda path: path.stem):
        if path.name.endswith(BUNDLES) or (path.name == "ca.crt" and not path.with_suffix(".key").exists()):
            continue
        for pem in blocks(path.read_bytes()):
            facts = pki.facts_of(pem)
            rows.append(Certificate(path.stem, facts.names.common_name, facts.not_after, facts.is_ca))
    return rows


def renew(folder: Path, clock: Clock) -> list[str]:
    """Have all but the authorities made anew; their names."""
    names = [row.name for row in listed(folder) if not row.authority]
    index = PkiFolder(folder, clock)
    return [name for name in names if index.expire(name)]
