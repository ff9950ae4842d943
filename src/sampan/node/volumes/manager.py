"""Keeps each pod's volumes as its spec and the referred objects say; tears them down when the pod is gone.

Layout as upstream: `<root>/pods/<uid>/volumes/kubernetes.io~<plugin>/<name>`. Source: kubelet
`pkg/kubelet/volumemanager`, `pkg/volume/{emptydir,hostpath}`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sampan.aio.clock import AsyncClock
from sampan.api import quantity
from sampan.api.authentication.v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from sampan.api.core.v1 import Container, EmptyDirVolumeSource, HostPathVolumeSource, Pod, Volume
from sampan.api.resources import SERVICE_ACCOUNTS
from sampan.client.base import Client
from sampan.node.config import NodeSettings
from sampan.node.env import ConfigProblem, Sources, expand
from sampan.node.fieldref import NodeFacts
from sampan.node.runtimes.spec import Mount, Propagation
from sampan.node.volumes import atomic
from sampan.node.volumes.payload import TokenWanted, payload, wanted_tokens

log = logging.getLogger(__name__)

PROPAGATION = {"HostToContainer": Propagation.HOST_TO_CONTAINER, "Bidirectional": Propagation.BIDIRECTIONAL}


class MountProblem(Exception):
    """A volume cannot be set up now; becomes a FailedMount event and the pod waits."""


@dataclass(frozen=True)
class _Token:
    text: str
    expires: datetime
    issued: datetime

    def due(self, now: datetime) -> bool:
        """Whether to ask for a new one: after 80 % of its life or a day."""
        return now >= self.renewal()

    def renewal(self) -> datetime:
        return min(self.issued + (self.expires - self.issued) * 0.8, self.issued + timedelta(hours=24))


class VolumeManager:
    """All pods' volumes of one node."""

    def __init__(self, client: Client, sources: Sources, settings: NodeSettings, *, clock: AsyncClock,
                 facts: Callable[[], NodeFacts]) -> None:
        self._client, self._sources, self._settings, self._clock, self._facts = client, sources, settings, clock, facts
        self._tokens: dict[str, dict[tuple[str, str], _Token]] = {}  # by the pod's uid, then audience and seconds
        self._versions = 0

    def pod_folder(self, uid: str) -> Path:
        """Everything of one pod on this node's disk."""
        return self._settings.root / f"pods/{uid}"

    def path(self, pod: Pod, volume: Volume) -> Path:
        """Where a volume is on the host."""
        return Path(self._place(pod, volume))

    def _place(self, pod: Pod, volume: Volume) -> str:
        """The same as text: to make paths of pods that are records only takes longer than anything else about their volumes."""
        if volume.hostPath is not None:
            return str(Path(volume.hostPath.path))
        return f"{self._settings.root}/pods/{pod.metadata.uid}/volumes/kubernetes.io~{_plugin(volume) or 'empty-dir'}/{volume.name}"

    async def set_up(self, pod: Pod) -> None:
        """Make every volume true; called before the first container and whenever a referred object changed.

        Raises:
            MountProblem: With upstream's words, for the first volume that cannot be made.
        """
        for volume in pod.spec.volumes:
            try:
                if self._settings.files:
                    await self._set_up(pod, volume)
                else:
                    self._look_up(pod, volume)
            except (ConfigProblem, OSError, ValueError) as error:
                raise MountProblem(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error

    async def _set_up(self, pod: Pod, volume: Volume) -> None:
        folder = self.path(pod, volume)
        if volume.hostPath is not None:
            check_host_path(volume.hostPath)
        elif volume.emptyDir is not None:
            self._empty_dir(pod, folder, volume.emptyDir)
        elif _plugin(volume):
            tokens = {wanted.path: await self._token(pod, wanted) for wanted in wanted_tokens(volume)}
            files = payload(pod, volume, self._sources, self._facts(), tokens)
            self._versions += 1
            stamp = f"{self._clock.now():%Y_%m_%d_%H_%M_%S}.{os.getpid()}{self._versions:06d}"
            # the files are few and small, but a slow disk must not hold the loop
            await asyncio.to_thread(atomic.write, folder, files, stamp=stamp, gid=_fs_group(pod))
        else:
            raise ConfigProblem("this kind of volume is not served by this node")

    def _look_up(self, pod: Pod, volume: Volume) -> None:
        """Only whether it could be set up: its objects are there."""
        if volume.emptyDir is None and _plugin(volume):
            payload(pod, volume, self._sources, self._facts(), {wanted.path: b"" for wanted in wanted_tokens(volume)})

    async def _token(self, pod: Pod, wanted: TokenWanted) -> bytes:
        key, now = (wanted.audience, str(wanted.expiration_seconds)), self._clock.now()
        token = self._tokens.get(pod.metadata.uid, {}).get(key)
        if token is None or token.due(now):
            request = TokenRequest(spec=TokenRequestSpec(
                audiences=[wanted.audience] if wanted.audience else [],
                expirationSeconds=wanted.expiration_seconds,
                boundObjectRef=BoundObjectReference(kind="Pod", apiVersion="v1", name=pod.metadata.name, uid=pod.metadata.uid)))
            answer = await self._client.create(SERVICE_ACCOUNTS, request, pod.metadata.namespace,
                                               name=pod.spec.serviceAccountName or "default", subresource="token")
            if not isinstance(answer, TokenRequest) or answer.status.expirationTimestamp is None:
                raise ConfigProblem("the API server's token answer has no token")
            token = _Token(answer.status.token, answer.status.expirationTimestamp.moment(), now)
            self._tokens.setdefault(pod.metadata.uid, {})[key] = token
        return token.text.encode()

    def next_refresh_seconds(self, pod: Pod) -> float | None:
        """When `set_up` is due again for the sake of tokens."""
        tokens = self._tokens.get(pod.metadata.uid)
        return max(1.0, (min(t.renewal() for t in tokens.values()) - self._clock.now()).total_seconds()) if tokens else None

    def _empty_dir(self, pod: Pod, folder: Path, source: EmptyDirVolumeSource) -> None:
        fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if source.medium == "Memory" and self._settings.manage_mounts and not os.path.ismount(folder):
            size = quantity.integer(source.sizeLimit) if source.sizeLimit else 0
            mount("-t", "tmpfs", *(["-o", f"size={size}"] if size else []), "tmpfs", str(folder))
            fresh = True
        if fresh:
            group = _fs_group(pod)
            if group is not None:
                os.chown(folder, -1, group)
            folder.chmod(0o777 | (stat.S_ISGID if group is not None else 0))

    def mounts(self, pod: Pod, container: Container, env: dict[str, str]) -> list[Mount]:
        """The container's volume mounts, subpaths resolved.

        Raises:
            MountProblem: A mount names no volume or its subpath leaves it.
        """
        volumes = {volume.name: volume for volume in pod.spec.volumes}
        out = []
        for wanted in container.volumeMounts:
            if wanted.name not in volumes:
                raise MountProblem(f'container "{container.name}" mounts volume "{wanted.name}" that the pod does not have')
            volume = volumes[wanted.name]
            host = self._place(pod, volume)
            sub = expand(wanted.subPathExpr, env) if wanted.subPathExpr else wanted.subPath
            if sub:
                host = str(_subpath(Path(host), sub, wanted.name) if self._settings.files else Path(host) / sub)
            only_read = wanted.readOnly or _plugin(volume) not in ("", "empty-dir")
            out.append(Mount(
                container_path=wanted.mountPath, host_path=host, readonly=only_read,
                recursive_readonly=wanted.recursiveReadOnly in ("Enabled", "IfPossible") and only_read,
                propagation=PROPAGATION.get(wanted.mountPropagation or "", Propagation.PRIVATE)))
        return out

    def tear_down(self, uid: str) -> None:
        """Unmount and delete everything of a pod."""
        self._tokens.pop(uid, None)
        if not self._settings.files or not (folder := self.pod_folder(uid)).exists():
            return
        if self._settings.manage_mounts:
            unmount_below(folder)
        shutil.rmtree(folder)

    def known(self) -> set[str]:
        """The uids of pods that have something on disk."""
        pods = self._settings.root / "pods"
        return {entry.name for entry in pods.iterdir()} if pods.is_dir() else set()


def _plugin(volume: Volume) -> str:
    """The plugin whose volume it is, of those that are served here by making files; empty for all others."""
    if volume.projected is not None:
        return "projected"
    if volume.configMap is not None:
        return "configmap"
    if volume.secret is not None:
        return "secret"
    if volume.downwardAPI is not None:
        return "downward-api"
    return "empty-dir" if volume.emptyDir is not None else ""


def _fs_group(pod: Pod) -> int | None:
    return pod.spec.securityContext.fsGroup if pod.spec.securityContext is not None else None


def _subpath(host: Path, sub: str, name: str) -> Path:
    inside = host / sub
    real, root = inside.resolve(), host.resolve()
    if real != root and root not in real.parents:
        raise MountProblem(f'subPath "{sub}" of volume "{name}" leaves the volume')
    if not inside.exists():
        inside.mkdir(parents=True, mode=0o755)
    return inside.resolve()


def check_host_path(source: HostPathVolumeSource) -> None:
    """Hold a hostPath's type against what is there, making what it allows to make.

    Raises:
        ConfigProblem: Something else is there, or nothing.
    """
    path, kind = Path(source.path), source.type or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    tests: dict[str, tuple[Callable[[int], bool], str]] = {
        "Directory": (stat.S_ISDIR, "directory"), "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
        "File": (stat.S_ISREG, "file"), "FileOrCreate": (stat.S_ISREG, "file"),
        "Socket": (stat.S_ISSOCK, "socket file"), "CharDevice": (stat.S_ISCHR, "character device"),
        "BlockDevice": (stat.S_ISBLK, "block device"),
    }
    if not kind:
        if not path.exists():
            path.mkdir(parents=True)
        return
    holds, words = tests[kind]
    if not path.exists() or not holds(path.stat().st_mode):
        raise ConfigProblem(f"hostPath type check failed: {path} is not a {words}")


def mount(*args: str) -> None:
    """Mount as the program of that name does.

    Raises:
        OSError: It failed.
    """
    done = subprocess.run(["mount", *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"mount {' '.join(args)}: {done.stderr.strip()}")


def mounts_below(folder: Path) -> list[str]:
    """Mount points at or below a folder, the deepest first."""
    prefix = str(folder.resolve())
    points = [line.split(" ")[4].encode().decode("unicode_escape") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((p for p in points if p == prefix or p.startswith(prefix + "/")), reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below a folder; what is busy is detached."""
    for point in mounts_below(folder):
        done = subprocess.run(["umount", point], capture_output=True, check=False)
        if done.returncode:
            subprocess.run(["umount", "-l", point], capture_output=True, check=False)

