"""The user's own kubeconfig, into which `sampan up --kubeconfig FILE` has merged the cluster: kept good while the cluster runs.

Owns the entry of one cluster there; everything else in the file stays, its owner too.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from sampan.client import kubeconfig
from sampan.cluster.config import ClusterConfig, load, save

KEY = "kubeconfig"


def merge(target: Path, source: Path, folder: Path, config: ClusterConfig) -> None:
    """Put the cluster into the file, make it the current one, and remember where.

    Raises:
        ConfigError: One of the files can't be read or written.
    """
    known = kubeconfig.load(target) if target.exists() else {}
    kubeconfig.write(target, kubeconfig.merge(known, kubeconfig.build(_name(config), kubeconfig.read(source))))
    if config.extra.get(KEY) != str(target.absolute()):
        save(folder, replace(config, extra={**config.extra, KEY: str(target.absolute())}))


def refresh(folder: Path) -> bool:
    """Bring the entry up to date if it is still there; whether it was changed.

    Raises:
        ConfigError: One of the files can't be read or written.
    """
    config = load(folder)
    target = Path(config.extra[KEY]) if config is not None and config.extra.get(KEY) else None
    if config is None or target is None or not target.exists():
        return False
    known = kubeconfig.load(target)
    if _name(config) not in {entry.get("name") for entry in known.get("clusters") or ()}:
        return False  # somebody has taken it out
    new = kubeconfig.merge(known, kubeconfig.build(_name(config), kubeconfig.read(folder / "admin.kubeconfig")), current=False)
    if new == known:
        return False
    owner = target.stat()
    kubeconfig.write(target, new)
    if os.geteuid() == 0:
        os.chown(target, owner.st_uid, owner.st_gid)
    return True


def _name(config: ClusterConfig) -> str:
    return f"sampan{config.suffix}"
