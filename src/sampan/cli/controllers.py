"""`sampan controllers`: run the controllers, in the foreground; flags as kube-controller-manager's."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sampan.cli import credentialflags
from sampan.cli.durations import seconds
from sampan.lib.errors import ConfigError

# flags that name files whose contents the settings hold
FILES = {"root-ca-file": "root_ca", "service-account-private-key-file": "service_account_private_key",
         "cluster-signing-cert-file": "cluster_signing_cert", "cluster-signing-key-file": "cluster_signing_key"}


def boolean(text: str) -> bool:
    """`true` or `false`."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Which controllers run."""
    parser.add_argument("--controllers", default="*", metavar="LIST", help="`*` all that are on by default, NAME one, -NAME not this one")


def selection(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What the flag says."""
    return (arguments.controllers,)


def add(parser: argparse.ArgumentParser) -> None:
    """The flags: every setting under its upstream name."""
    from sampan.controllers.settings import ManagerSettings

    parser.add_argument("--kubeconfig", type=Path, required=True, metavar="FILE", help="access to the API server")
    add_selection(parser)
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    credentialflags.add_check(parser, "10s")
    for flag in FILES:
        parser.add_argument(f"--{flag}", type=Path, metavar="FILE")
    # upstream's flags that have no effect on what is decided here
    for flag in ("kube-api-qps", "kube-api-burst"):
        parser.add_argument(f"--{flag}", type=float, default=0, help=argparse.SUPPRESS)
    # attachments are read as they are at each look, not now and then
    for flag in ("attach-detach-reconcile-sync-period", "disable-attach-detach-reconcile-sync"):
        parser.add_argument(f"--{flag}", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--leader-elect", type=boolean, default=False, nargs="?", const=True, help="elect a leader among several of this process")
    for setting in fields(ManagerSettings):
        if setting.name in (*FILES.values(), "controllers", "more") or setting.metadata.get("internal"):
            continue
        default = setting.default
        kind: Any = {bool: boolean, int: int, float: seconds}.get(type(default), str)
        if isinstance(default, float) and (setting.name.endswith(("_rate", "_threshold")) or setting.metadata.get("plain")):
            kind = float
        extra: dict[str, Any] = {"nargs": "?", "const": True} if isinstance(default, bool) else {}
        parser.add_argument(f"--{setting.name.replace('_', '-')}", type=kind, default=default, metavar="X", **extra)


def run(arguments: argparse.Namespace) -> int:
    """Control until told to stop."""
    from sampan.cluster.components import ControllersConfig, run_controllers
    from sampan.controllers.settings import ManagerSettings

    given: dict[str, Any] = {}
    for setting in fields(ManagerSettings):
        name = setting.name
        if name in FILES.values() or name in ("controllers", "more") or setting.metadata.get("internal"):
            continue
        value = getattr(arguments, name)
        given[name] = tuple(value.split(",")) if isinstance(setting.default, tuple) and isinstance(value, str) else value
    files: dict[str, Path] = {}
    for flag, name in FILES.items():
        path: Path | None = getattr(arguments, flag.replace("-", "_"))
        if path is not None:
            try:
                given[name] = path.read_bytes()
                files[name] = path
            except OSError as error:
                raise ConfigError(f"--{flag} {path} can't be read: {error.strerror}") from None
    settings = replace(ManagerSettings(controllers=selection(arguments)), **given)
    return run_controllers(ControllersConfig(arguments.kubeconfig, arguments.log_level, arguments.certificate_check_period, settings,
                                             leader_elect=arguments.leader_elect, files=files))
