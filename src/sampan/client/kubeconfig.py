"""kubeconfig files: what they say about a cluster, and writing ours into them.

Owns reading (several files of $KUBECONFIG merged, the first that says something wins), choosing a context, merging
an entry in and writing with mode 0600. Source: client-go `tools/clientcmd`.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.lib.errors import ConfigError


@dataclass(frozen=True)
class Access:
    """How to reach one cluster as one user. Certificates and keys are PEM."""

    server: str
    ca: bytes = b""
    insecure: bool = False
    server_name: str = ""
    client_certificate: bytes = b""
    client_key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    namespace: str = "default"


def default_path() -> Path:
    """`$KUBECONFIG`'s first file, or `~/.kube/config`."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def load(path: Path) -> dict[str, Any]:
    """One file as dicts.

    Raises:
        ConfigError: It is not there or no kubeconfig.
    """
    import yaml

    try:
        value = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", hint="give another file with --kubeconfig") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} can't be read: {' '.join(str(error).split())}") from None
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is no kubeconfig")
    return value


def access(config: Mapping[str, Any], *, context: str = "", folder: Path | None = None) -> Access:
    """The cluster and user of a context (default: the current one); relative file names start in `folder`.

    Raises:
        ConfigError: Something that is named is not there.
    """
    name = context or str(config.get("current-context") or "")
    found = _named(config, "contexts", "context", name)
    cluster = _named(config, "clusters", "cluster", str(found.get("cluster") or ""))
    user = _named(config, "users", "user", str(found.get("user") or "")) if found.get("user") else {}
    server = str(cluster.get("server") or "")
    if not server:
        raise ConfigError(f'the cluster of context "{name}" has no server')
    for unsupported in ("exec", "auth-provider"):
        if unsupported in user and not any(key in user for key in ("token", "tokenFile", "client-certificate-data", "client-certificate")):
            raise ConfigError(f'the user of context "{name}" logs in by "{unsupported}", which is not supported',
                              hint="use a token or a client certificate")
    return Access(
        server=server.rstrip("/"), ca=_data(cluster, "certificate-authority", folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify")), server_name=str(cluster.get("tls-server-name") or ""),
        client_certificate=_data(user, "client-certificate", folder), client_key=_data(user, "client-key", folder),
        token=str(user.get("token") or ""), token_file=str(user.get("tokenFile") or ""),
        namespace=str(found.get("namespace") or "default"))


def read(path: Path | None = None, *, context: str = "") -> Access:
    """The access that a file gives.

    Raises:
        ConfigError: It gives none.
    """
    chosen = path or default_path()
    return access(load(chosen), context=context, folder=chosen.parent)


def in_cluster() -> Access:
    """The access of a pod's service account.

    Raises:
        ConfigError: This is no pod.
    """
    folder = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port or not (folder / "token").exists():
        raise ConfigError("this process does not run in a pod")
    host = f"[{host}]" if ":" in host else host
    return Access(server=f"https://{host}:{port}", ca=(folder / "ca.crt").read_bytes(), token_file=str(folder / "token"),
                  namespace=(folder / "namespace").read_text().strip() or "default")


def _named(config: Mapping[str, Any], table: str, entry: str, name: str) -> dict[str, Any]:
    for one in config.get(table) or ():
        if one.get("name") == name:
            return dict(one.get(entry) or {})
    raise ConfigError(f'there is no {entry} "{name}" in the kubeconfig' if name else "the kubeconfig has no current context")


def _data(entry: Mapping[str, Any], name: str, folder: Path | None) -> bytes:
    inline = entry.get(f"{name}-data")
    if inline:
        return base64.b64decode(inline)
    file = entry.get(name)
    if not file:
        return b""
    path = Path(file) if folder is None else folder / file
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} {path} can't be read: {error.strerror}") from None


def build(name: str, access: Access, *, user: str = "") -> dict[str, Any]:
    """A kubeconfig with one cluster, one user and one context, all data inline."""
    who = user or f"{name}-admin"
    cluster: dict[str, Any] = {"server": access.server}
    if access.ca:
        cluster["certificate-authority-data"] = base64.b64encode(access.ca).decode()
    if access.insecure:
        cluster["insecure-skip-tls-verify"] = True
    entry: dict[str, Any] = {}
    if access.client_certificate:
        entry["client-certificate-data"] = base64.b64encode(access.client_certificate).decode()
        entry["client-key-data"] = base64.b64encode(access.client_key).decode()
    if access.token:
        entry["token"] = access.token
    return {
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": who, "user": entry}], "contexts": [{"name": name, "context": {"cluster": name, "user": who}}],
        "current-context": name,
    }


def merge(into: Mapping[str, Any], new: Mapping[str, Any], *, current: bool = True) -> dict[str, Any]:
    """`into` with the entries of `new`: those of the same name are replaced, all others stay."""
    merged = dict(into) or {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    for table in ("clusters", "users", "contexts"):
        names = {one["name"] for one in new.get(table) or ()}
        merged[table] = [one for one in merged.get(table) or () if one.get("name") not in names] + list(new.get(table) or ())
    if current or not merged.get("current-context"):
        merged["current-context"] = new.get("current-context", "")
    return merged


def without(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """`config` without the entries (of all three tables) that have these names."""
    left = dict(config)
    for table in ("clusters", "users", "contexts"):
        left[table] = [one for one in left.get(table) or () if one.get("name") not in names]
    if left.get("current-context") in names:
        left["current-context"] = ""
    return left


def write(path: Path, config: Mapping[str, Any]) -> None:
    """Write with mode 0600, whole or not at all.

    Raises:
        ConfigError: It can't be written.
    """
    import yaml

    text = yaml.safe_dump(dict(config), sort_keys=False)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # made 0600
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
