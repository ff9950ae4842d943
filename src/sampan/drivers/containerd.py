"""containerd as our child: its configuration, its life, its images, and an end that leaves nothing behind.

Owns: the process, its private root, state and socket. Leaves: the CRI itself (`cri`), the network's conflist (a folder
that is handed in), pods and their cgroups (the node agent).

A containerd that is already there (Docker's, the distribution's) is never touched: ours has its own folders. It runs in
its own session, so that what ends the agent does not end it; shims belong to nobody, so pods outlive both. An agent
that comes back finds the process by its pid file and its socket and adopts it.

Source: containerd 1.6–2.x, `docs/cri/config.md`; the values are those that also work without CAP_SYS_RESOURCE.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.drivers import leftovers
from sampan.drivers.cri.client import CriClient, CriError
from sampan.drivers.oci.pause import NAME as PAUSE
from sampan.drivers.oci.pause import pause_image
from sampan.drivers.process import Daemon
from sampan.lib.errors import MissingPart, SampanError

log = logging.getLogger(__name__)

INSTALL = "apt-get install --no-remove containerd runc containernetworking-plugins"
NAMESPACE = "k8s.io"
READY_SECONDS = 20.0
LOG_BYTES = 4 << 20
CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin")
# made by shims and libcni, whatever the configuration says; innermost first
SHARED_FOLDERS = ("/run/containerd/s", "/run/containerd", "/var/lib/cni/results", "/var/lib/cni")
_DISABLED = (
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.native", "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart", "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing", "io.containerd.nri.v1.nri",
)


@dataclass(frozen=True)
class ContainerdSettings:
    """Where a child containerd lives.

    `root` keeps images and containers and outlives reboots; `state` (a short path under /run) does not.
    `cni_conf_dir` holds the one conflist; `registry_dir` the `hosts.toml` folders (containerd's `certs.d`), or None.
    """

    root: Path
    state: Path
    cni_conf_dir: Path
    registry_dir: Path | None = None
    cni_bin_dir: Path | None = None
    sandbox_image: str = PAUSE

    @property
    def socket(self) -> Path:
        return self.state / "containerd.sock"

    @property
    def endpoint(self) -> str:
        """What a gRPC channel, or `--runtime-endpoint` of crictl, takes."""
        return f"unix://{self.socket}"


def find_programs() -> dict[str, str]:
    """The paths of containerd, runc, ctr and the CNI plugins' folder (`cni`).

    Raises:
        MissingPart: One of them is not there; the hint is the line that installs it.
    """
    found = {name: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
             for name in ("containerd", "runc", "ctr")}
    found["cni"] = next((folder for folder in CNI_FOLDERS if Path(folder, "bridge").exists()), None)
    missing = [name if name != "cni" else "the CNI plugins" for name, path in found.items() if path is None]
    if missing:
        raise MissingPart(f"real containers need {', '.join(missing)}, which this machine lacks",
                          hint=f"as root: {INSTALL}")
    return {name: path for name, path in found.items() if path is not None}


def render_config(settings: ContainerdSettings, programs: dict[str, str]) -> str:
    """The configuration file. Its version 2 is read by 1.6, 1.7 and, migrated on the fly, by 2.x."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    registry = f'[{cri}.registry]\nconfig_path = "{settings.registry_dir}"\n' if settings.registry_dir else ""
    disabled = ", ".join(f'"{name}"' for name in _DISABLED)
    return f"""version = 2
root = "{settings.root}"
state = "{settings.state}"
disabled_plugins = [{disabled}]
oom_score = 0

[grpc]
address = "{settings.socket}"

[ttrpc]
address = "{settings.socket}.ttrpc"

[{cri}]
sandbox_image = "{settings.sandbox_image}"
stream_server_address = "127.0.0.1"
stream_server_port = "0"
stream_idle_timeout = "4h0m0s"
netns_mounts_under_state_dir = true
disable_apparmor = true
restrict_oom_score_adj = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true

[{cri}.cni]
bin_dir = "{settings.cni_bin_dir or programs["cni"]}"
conf_dir = "{settings.cni_conf_dir}"
max_conf_num = 1

[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
BinaryName = "{programs["runc"]}"
SystemdCgroup = false

{registry}"""


class Containerd:
    """A containerd of our own. `start` returns when it answers; `run` keeps it alive; `stop` or `remove` ends it."""

    def __init__(self, settings: ContainerdSettings, clock: AsyncClock) -> None:
        self.settings = settings
        self._clock = clock
        self._programs: dict[str, str] = {}
        self._process: Daemon | None = None
        self._stopping = False
        self._backoff = Backoff(0.05, 10.0)
        self.restarts = 0

    @property
    def pid(self) -> int:
        """The process, 0 when there is none."""
        return self._process.pid if self._process is not None and self._process.alive else 0

    async def start(self) -> None:
        """Adopt the one that runs in these folders or start one; return when its socket and CRI answer.

        Raises:
            MissingPart: see `find_programs`.
            SampanError: It ended, or did not answer in 20 s; the message has the end of its log.
        """
        self._programs = find_programs()
        self._stopping = False
        for folder in (self.settings.root, self.settings.state, self.settings.cni_conf_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        if len(str(self.settings.socket)) > 100:
            raise SampanError(f"the path {self.settings.socket} is too long for a socket", hint="give a shorter state folder")
        adopted = self._adopt()
        self._process = adopted or self._spawn()
        try:
            await self._answering(self._process)
            await self._ensure_pause()
        except SampanError:
            if adopted is None:  # it is of no use to anybody
                await self.stop()
                self._stopping = False
            raise

    async def run(self) -> None:
        """Start it again whenever it exits, with back-off, until cancelled. Containers do not notice."""
        failures = 0
        while True:
            if self._process is not None:
                await self._process.wait()
            if self._stopping:
                return
            log.warning("containerd is not running", extra={"restarts": self.restarts})
            await self._clock.sleep(self._backoff.delay_seconds(failures + 1))
            try:
                await self.start()
            except SampanError as error:
                failures += 1
                log.error("containerd does not start", extra={"error": error.message, "failures": failures})
            else:
                failures, self.restarts = 0, self.restarts + 1

    async def stop(self) -> None:
        """End containerd; pods go on running."""
        self._stopping = True
        if self._process is not None:
            await self._process.stop()
            self._process = None
            self._pid_file.unlink(missing_ok=True)

    async def remove(self, *, keep_images: bool = False) -> None:
        """End it and all that it left: shims, mounts, network namespaces, sockets, and both folders.

        Stop and remove the pods first, through the CRI, so that the network plugins release what they hold. With
        `keep_images` the root folder stays, for the next start.
        """
        if not self.pid:  # ours died, and another keeper may have started one since
            self._process = self._adopt()
        await self.stop()
        owned = (self.settings.state, self.settings.root)
        leftovers.kill_shims(self.settings.socket)
        await self._until(lambda: not leftovers.shims(self.settings.socket), "shims do not end")
        leftovers.unmount_below(owned)
        for folder in owned[:1] if keep_images else owned:
            # what could not be unmounted must not be deleted through its mount
            if not leftovers.mounts_below((folder,)):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if not leftovers.containerds():  # they are everybody's: a shim of another would find its folder gone
            for shared in SHARED_FOLDERS:
                with contextlib.suppress(OSError):  # not empty, or not there
                    os.rmdir(shared)

    async def import_image(self, layout: bytes | Path) -> list[str]:
        """Load an OCI layout tar into the CRI's images; the names it brought.

        Raises:
            SampanError: ctr refused it; the message is ctr's.
        """
        return await import_image(self.settings.socket, layout)

    # the process

    def _spawn(self) -> Daemon:
        settings = self.settings
        config, log_file = settings.root / "config.toml", settings.root / "containerd.log"
        config.write_text(render_config(settings, self._programs))
        if log_file.exists() and log_file.stat().st_size > LOG_BYTES:
            log_file.replace(log_file.with_suffix(".log.1"))
        env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"}
        words = ["containerd", "--config", str(config), "--log-level", "warn"]
        made = Daemon.spawn(self._programs["containerd"], words, env, log_file)
        self._pid_file.write_text(str(made.pid))
        return made

    @property
    def _pid_file(self) -> Path:
        return self.settings.state / "containerd.pid"

    def _adopt(self) -> Daemon | None:
        """The living containerd with our configuration that the pid file names."""
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        return Daemon.find(pid, str(self.settings.root / "config.toml"))

    async def _until(self, condition: Callable[[], bool], complaint: str, seconds: float = 10.0) -> None:
        """Poll a cheap condition; raises SampanError with the complaint after that many seconds."""
        deadline = self._clock.monotonic() + seconds
        while not condition():
            if self._clock.monotonic() > deadline:
                raise SampanError(complaint)
            await self._clock.sleep(0.01)

    async def _answering(self, process: Daemon) -> None:
        def ready() -> bool:
            if not process.alive:
                raise SampanError(f"containerd ended at once: {self._last_words()}",
                                  hint=f"see {self.settings.root / 'containerd.log'}")
            return _connects(self.settings.socket)

        await self._until(ready, f"containerd does not answer at {self.settings.socket}", READY_SECONDS)
        client, deadline = CriClient(self.settings.endpoint), self._clock.monotonic() + READY_SECONDS
        try:
            while not await self._has_cri(client, deadline):
                await self._clock.sleep(0.02)
        finally:
            await client.close()

    async def _has_cri(self, client: CriClient, deadline: float) -> bool:
        """Whether the CRI answers; raises once it is clear that it never will."""
        try:
            await client.call("Version", timeout_seconds=READY_SECONDS)
        except CriError as error:
            # a CRI that did not load stays away; one that still recovers its pods says UNKNOWN, a fresh socket UNAVAILABLE
            if error.code != "UNIMPLEMENTED" and self.pid and self._clock.monotonic() < deadline:
                return False
            raise SampanError(f"containerd runs, but not its CRI: {error.details or error.code}: {self._last_words()}",
                              hint=f"see {self.settings.root / 'containerd.log'}") from error
        return True

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.settings.root / "containerd.log").read_text(errors="replace")[-4000:].strip().splitlines()
            return re.sub(r'^time="[^"]*" ', "", lines[-1]) if lines else "it said nothing"
        return "it left no log"

    async def _ensure_pause(self) -> None:
        if self.settings.sandbox_image == PAUSE:
            marker = self.settings.root / "pause-imported"
            if not marker.exists():
                await self.import_image(pause_image())
                marker.touch()


async def import_image(socket_path: Path, layout: bytes | Path) -> list[str]:
    """Load an OCI layout tar into the images that the CRI at this containerd socket sees; the names it brought."""
    ctr = find_programs()["ctr"]
    source = "-" if isinstance(layout, bytes) else str(layout)
    process = await asyncio.create_subprocess_exec(
        ctr, "--address", str(socket_path), "--namespace", NAMESPACE, "images", "import", source,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, err = await process.communicate(layout if isinstance(layout, bytes) else None)
    if process.returncode:
        raise SampanError(f"containerd did not take the image: {err.decode(errors='replace').strip()[-500:]}")
    return re.findall(r"^unpacking (\S+)", out.decode(errors="replace"), re.MULTILINE)


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
