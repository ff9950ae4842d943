"""`sampan up` and `sampan down`: a whole cluster on this machine, as processes under one supervisor.

Owns choosing (real or simulated nodes, ports, ranges), waiting until all is ready, and leaving nothing behind.
Light on imports: what it starts runs in processes of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sampan.cluster import processes
from sampan.cluster.config import FLEET, ClusterConfig, check_name, clusters_root, free_index, load, release, save
from sampan.cluster.supervisor import Child, Supervisor, sampan_command
from sampan.lib.errors import ConfigError, SampanError

READY_SECONDS = 60.0
READY_SECONDS_A_NODE = 0.02  # of a fleet
STOP_SECONDS = 60.0
GIVE_UP_ENDS = 4
FIRST_PORT = 6443
PORTS_TRIED = 50


@dataclass(frozen=True)
class UpOptions:
    """What the command line says; None leaves it to the cluster's folder or to a default."""

    name: str = "default"
    data: Path | None = None
    port: int | None = None
    nodes: int | None = None
    simulated: bool = False
    kubeconfig: Path | None = None
    runtime_endpoint: str = ""


@dataclass(frozen=True)
class Running:
    """A cluster that is up."""

    config: ClusterConfig
    folder: Path
    already: bool
    seconds: float
    note: str = ""

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.config.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "admin.kubeconfig"


def folder_of(name: str, data: Path | None) -> Path:
    """Where a cluster lives."""
    return (data or clusters_root() / check_name(name)).absolute()


def why_simulated(runtime_endpoint: str = "") -> str:
    """Why this machine cannot run containers; empty when it can."""
    if os.geteuid() != 0:
        return "real containers need root"
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    wanted = [] if runtime_endpoint else ["containerd", "runc", "ctr"]
    missing = [name for name in (*wanted, "nft", "ip") if shutil.which(name, path=path) is None]
    if not any(Path(place, "bridge").exists() for place in ("/usr/lib/cni", "/opt/cni/bin")):
        missing.append("the CNI plugins")
    return f"{', '.join(missing)} not installed" if missing else ""


def _free_port(first: int) -> int:
    for port in range(first, first + PORTS_TRIED):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise ConfigError(f"no free port between {first} and {first + PORTS_TRIED}", hint="choose one with --port")


def configure(options: UpOptions) -> tuple[ClusterConfig, str]:
    """The cluster's configuration, made on first use, and a line to tell about it.

    Raises:
        ConfigError: What is asked for contradicts what the folder has, or cannot be.
    """
    folder = folder_of(options.name, options.data)
    known, note = load(folder), ""
    if known is None:
        reason = why_simulated(options.runtime_endpoint)
        simulated, nodes = options.simulated or bool(reason), options.nodes or 1
        note = f"{reason}: nodes are simulated, containers do not really run" if reason and not options.simulated else ""
        if nodes > 1 and not simulated:
            raise ConfigError("one machine is one node with real containers", hint="add --simulated for more, or `sampan agent` on other machines")
        name, port = check_name(options.name), options.port or _free_port(FIRST_PORT)
        # last, since it claims the number
        known = ClusterConfig(name=name, index=free_index(clusters_root()), port=port, nodes=nodes, simulated=simulated,
                              runtime_endpoint=options.runtime_endpoint)
        if simulated:
            release(known)  # only real nodes have something there
    else:
        if options.simulated and not known.simulated:
            raise ConfigError(f"cluster {known.name} has real nodes", hint="choose another name with --name for a simulated one")
        if options.nodes is not None and options.nodes != known.nodes:
            known = replace(known, nodes=options.nodes)
        if options.port is not None and options.port != known.port:
            known = replace(known, port=options.port)
    save(folder, known)
    return known, note


def children(config: ClusterConfig, folder: Path) -> list[Child]:
    """The processes of a cluster, in the order of starting."""
    control = sampan_command("control-plane", "--data", str(folder))
    out = [Child("control-plane", control)]
    for index, name in enumerate(config.processes):
        if config.fleet:
            out.append(Child(name, sampan_command("fleet", "--data", str(folder)), after=folder / FLEET / "kubeconfig"))
            continue
        credentials = folder / "nodes" / name
        command = sampan_command("agent", "--data", str(folder), "--node", str(index), "--kubeconfig", str(credentials / "kubeconfig"))
        out.append(Child(name, command, after=credentials / "kubeconfig"))
    return out


def supervise(options: UpOptions) -> int:
    """Run the cluster in the foreground until told to stop."""
    config, _ = configure(options)
    folder = folder_of(options.name, options.data)
    if processes.read(folder / "run" / "supervisor.pid") is not None:
        raise ConfigError(f"cluster {config.name} is up already", hint="stop it with `sampan down`")
    return Supervisor(folder, children(config, folder)).run()


def up(options: UpOptions, say: Callable[[str], None]) -> Running:
    """Start the cluster in the background and wait until its nodes are ready; quick when it is up.

    Raises:
        ConfigError: It cannot be as asked.
        SampanError: It did not come up; the message has the end of the log.
    """
    started = time.monotonic()
    config, note = configure(options)
    folder = folder_of(options.name, options.data)
    already = processes.read(folder / "run" / "supervisor.pid") is not None
    if note:
        say(note)
    if not already:
        if _port_taken(config.port):
            raise ConfigError(f"port {config.port} is in use", hint="stop what listens there, or choose another with --port")
        _spawn(options, config, folder)
    try:
        _wait_ready(config, folder)
    except _NotStarting:
        if already or options.port is not None or not _port_taken(config.port):
            raise
        # somebody took the port between our choosing and our listening
        down(options.name, options.data, purge=False, say=say)
        save(folder, config := replace(config, port=_free_port(config.port + 1)))
        _spawn(options, config, folder)
        _wait_ready(config, folder)
    if options.kubeconfig is not None:
        from sampan.cluster import merged  # not needed, and not paid for, by the supervisor that this module starts

        merged.merge(options.kubeconfig, folder / "admin.kubeconfig", folder, config)
    return Running(config, folder, already, time.monotonic() - started, note)


def _port_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _spawn(options: UpOptions, config: ClusterConfig, folder: Path) -> None:
    for child in children(config, folder):
        (folder / "run" / f"{child.name}.ended").unlink(missing_ok=True)
        if child.after is not None:
            child.after.unlink(missing_ok=True)  # written again when the API answers
    words = ["up", "--foreground", "--name", options.name]
    words += ["--data", str(options.data)] if options.data is not None else []
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (folder / "logs" / "supervisor.log").open("ab") as log:
        subprocess.Popen(sampan_command(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/")


def _wait_ready(config: ClusterConfig, folder: Path) -> None:
    nodes = config.processes
    marks = {name: folder / "run" / f"{name}.ready" for name in nodes} | ({"control-plane": folder / "run" / "fleet.ready"} if config.fleet else {})
    seconds = READY_SECONDS + config.nodes * READY_SECONDS_A_NODE
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not (missing := [name for name, mark in marks.items() if not mark.exists() or not _alive(folder, name)]) and ready(folder, config.port):
            return
        for name in ("control-plane", *nodes):
            if _ended(folder, name) >= GIVE_UP_ENDS:
                raise _NotStarting(f"cluster {config.name} does not start; the last of {name}'s log:\n{tail(folder, name)}", hint=_where(folder))
        time.sleep(0.03)
    where = "control-plane" if not ready(folder, config.port) else (missing or nodes)[0]
    raise SampanError(f"cluster {config.name} is not ready after {seconds:g} s; the last of {where}'s log:\n{tail(folder, where)}", hint=_where(folder))


class _NotStarting(SampanError):
    """A process of the cluster ends again and again."""


def _where(folder: Path) -> str:
    return f"the logs are in {folder / 'logs'}; `sampan down` stops what runs"


def _ended(folder: Path, name: str) -> int:
    """How often a process ended since the cluster was started."""
    try:
        return int((folder / "run" / f"{name}.ended").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _alive(folder: Path, name: str) -> bool:
    return processes.read(folder / "run" / f"{name}.pid") is not None


def ready(folder: Path, port: int) -> bool:
    """Whether the API server says that it is ready."""
    import http.client  # not needed, and not paid for, by the supervisor that this module starts
    import ssl

    authority = folder / "ca.crt"
    if not authority.exists():
        return False
    try:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=ssl.create_default_context(cafile=str(authority)))
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def tail(folder: Path, name: str, lines: int = 8) -> str:
    """The end of a process's log."""
    path = folder / "logs" / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (nothing)"


def down(name: str, data: Path | None, *, purge: bool, say: Callable[[str], None]) -> bool:
    """Stop everything of a cluster; true when something ran. With `purge` its data goes too.

    Raises:
        SampanError: Something would not go.
    """
    folder = folder_of(name, data)
    config = load(folder)
    if config is None:
        return False
    supervisor = processes.read(folder / "run" / "supervisor.pid")
    if supervisor is not None and not processes.stop(supervisor, STOP_SECONDS):
        say("the supervisor had to be killed")
    for pid_file in sorted((folder / "run").glob("*.pid")):
        left = processes.read(pid_file)
        if left is not None:
            processes.stop(left, 5.0)
        pid_file.unlink(missing_ok=True)
    for mark in (folder / "run").glob("*.ready"):
        mark.unlink()
    if not config.simulated:
        for index in range(config.nodes):
            command = sampan_command("agent", "--data", str(folder), "--node", str(index), "--remove")
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SampanError(f"node {config.node_name(index)} is not removed: {(done.stderr or done.stdout).strip()[-1000:]}")
    if purge:
        if not config.simulated:
            release(config)
        shutil.rmtree(folder)
    return supervisor is not None


def status(folder: Path) -> dict[str, str]:
    """Process → what it does, for every process of the cluster."""
    config = load(folder)
    if config is None:
        return {}
    out = {}
    for name in ["supervisor", "control-plane", *config.processes]:
        process = processes.read(folder / "run" / f"{name}.pid")
        out[name] = "not running" if process is None else f"running (pid {process.pid})"
    return out
