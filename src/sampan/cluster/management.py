"""The controllers and the scheduler of one process, on the same informers."""

from __future__ import annotations

from collections.abc import Callable

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.client.base import Client
from sampan.cluster.controllers import ALL
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.controllers.manager import MANAGER_USER, Manager
from sampan.controllers.settings import ManagerSettings
from sampan.lib.clock import Identity
from sampan.scheduler.scheduler import Scheduler

SCHEDULER_USER = "system:kube-scheduler"


def start(client_for: Callable[[str], Client], settings: ManagerSettings, tasks: Tasks, *, clock: AsyncClock, identity: Identity,
          scheduling: bool = True) -> Informers:
    """Run them; the informers that they share. `client_for` gives a client that acts as that user."""
    informers = Informers(client_for(MANAGER_USER), clock=clock, identity=identity)
    manager = Manager(client_for, settings, clock=clock, identity=identity, entries=ALL, informers=informers)
    tasks.start(informers.run(), "informers")
    tasks.start(manager.run(), "controllers")
    if not scheduling:
        return informers
    client = client_for(SCHEDULER_USER)
    recorder = EventRecorder(client, "default-scheduler", clock=clock, identity=identity)
    scheduler = Scheduler(client, informers, clock=clock, event=recorder.record)
    recorder.give_way(scheduler.busy)
    tasks.start(recorder.run(), "scheduler events")
    tasks.start(scheduler.run(), "scheduler")
    return informers
