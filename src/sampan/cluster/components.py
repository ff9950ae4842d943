"""The controllers and the scheduler as processes of their own, over HTTPS with a kubeconfig.

Every controller acts as the user of the kubeconfig. A process that fails in one part ends as a whole, for whoever
started it to start it again. Each imports its own component only: the other one's is 30 MiB of a small process.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sampan.aio.clock import AsyncClock, SystemClock
from sampan.aio.tasks import Tasks
from sampan.client import kubeconfig
from sampan.client.base import Client
from sampan.client.connections import MOST_AT_ONCE
from sampan.client.remote import RemoteClient
from sampan.client.renewal import LOOK_SECONDS, Follower
from sampan.cluster import heap
from sampan.cluster.running import run, until_signalled
from sampan.controllers.settings import ManagerSettings
from sampan.lib import logs, pki
from sampan.lib.clock import Identity
from sampan.lib.collector import Collector

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComponentConfig:
    """What the command lines of the two have in common."""

    kubeconfig: Path
    log_level: str = "warning"
    look_seconds: float = LOOK_SECONDS
    """How often the files of certificates and keys are looked at."""
    at_once: int = field(default=MOST_AT_ONCE, kw_only=True)
    """How many requests."""


@dataclass(frozen=True)
class ControllersConfig(ComponentConfig):
    """`sampan controllers`."""

    settings: ManagerSettings = field(default_factory=ManagerSettings)
    leader_elect: bool = False
    files: dict[str, Path] = field(default_factory=dict)
    """Settings that files hold, by their names: read again when they change."""


@dataclass(frozen=True)
class SchedulerConfig(ComponentConfig):
    """`sampan scheduler`; `config` is a KubeSchedulerConfiguration."""

    config: Path | None = None


@dataclass(frozen=True)
class Process:
    """What a component is made with."""

    tasks: Tasks
    client: RemoteClient
    elections: Client
    """With connections of its own: who leads must not wait for a turn behind other requests."""
    clock: SystemClock
    identity: Identity


Start = Callable[[Process], None]


def run_controllers(config: ControllersConfig) -> int:
    """Run until a signal; the exit code."""
    from sampan.cluster.controllers import ALL
    from sampan.control.leader import ElectionSettings, LeaderElector
    from sampan.controllers.manager import Manager

    def start(here: Process) -> None:
        manager = Manager(lambda _user: here.client, config.settings, clock=here.clock, identity=here.identity, entries=ALL)
        here.tasks.start(follow_files(config.settings, config.files, here.clock, config.look_seconds), "files of keys")
        if not config.leader_elect:
            here.tasks.start(manager.run(), "controllers")
            return
        election = ElectionSettings(holder=f"{socket.gethostname()}_{here.identity.uid()}", name="kube-controller-manager")
        elector = LeaderElector(here.elections, election, clock=here.clock, identity=here.identity)
        here.tasks.start(elector.run(manager.run), "controllers")

    return run_component(config, start)


async def follow_files(now: ManagerSettings, files: Mapping[str, Path], clock: AsyncClock, look_seconds: float = LOOK_SECONDS) -> None:
    """Renew the controllers' certificates and keys when their files change; `files` by the settings that they hold."""
    renewals = now.renewals
    while True:
        await clock.sleep(look_seconds)
        try:
            read: dict[str, Any] = {name: path.read_bytes() for name, path in files.items()}
        except OSError as error:
            log.warning("a certificate or key can't be read, going on with what it was: %s", error)
            continue
        found = replace(now, **read)
        if found.cluster_signing_key and not pki.belongs_to(found.cluster_signing_cert, found.cluster_signing_key):
            continue  # the other half is being written
        if found != now:
            now = found
            renewals.renew(now)


def run_scheduler(config: SchedulerConfig) -> int:
    """Run until a signal; the exit code.

    Raises:
        ConfigError: The configuration file cannot be used.
    """
    from sampan.control.events import EventRecorder
    from sampan.control.informer import Informers
    from sampan.scheduler.config import read_settings
    from sampan.scheduler.scheduler import Scheduler

    settings = read_settings(config.config) if config.config is not None else None

    def start(here: Process) -> None:
        informers = Informers(here.client, clock=here.clock, identity=here.identity)
        recorder = EventRecorder(here.client, "default-scheduler", clock=here.clock, identity=here.identity)
        scheduler = Scheduler(here.client, informers, clock=here.clock, event=recorder.record, settings=settings)
        recorder.give_way(scheduler.busy)
        here.tasks.start(informers.run(), "informers")
        here.tasks.start(recorder.run(), "events")
        here.tasks.start(scheduler.run(), "scheduler")

    return run_component(config, start)


def run_component(config: ComponentConfig, start: Start) -> int:
    """Run what `start` begins until a signal; the exit code."""
    logs.configure(config.log_level)
    access = kubeconfig.read(config.kubeconfig)

    async def work() -> None:
        client, elections = clients = RemoteClient(access, trim=True, at_once=config.at_once), RemoteClient(access)
        try:
            async with Tasks() as tasks:
                clock = SystemClock()
                Collector(clock).settle()
                tasks.start(heap.keep(clock), "heap", keep_going=True)
                for each in clients:
                    tasks.start(Follower(each, config.kubeconfig, clock, seconds=config.look_seconds).run(), "kubeconfig")
                start(Process(tasks, client, elections, clock, Identity()))
                await until_signalled(tasks.wait)
        finally:
            for each in clients:
                await each.close()

    run(work())
    return 0
