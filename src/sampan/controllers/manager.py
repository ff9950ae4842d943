"""Runs the selected controllers of one process on shared informers, each as its own user.

Owns selection (`--controllers`), making and running. The composition root gives the clients, and joins this package's
list with those of others. Source: kubernetes `cmd/kube-controller-manager`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.client.base import Client
from sampan.control.controller import Component, Context, ControllerEntry
from sampan.control.informer import Informers
from sampan.controllers.all import ALIASES, ALL
from sampan.controllers.settings import ManagerSettings
from sampan.lib.clock import Identity
from sampan.lib.errors import ConfigError

log = logging.getLogger(__name__)

MANAGER_USER = "system:kube-controller-manager"


def account_user(account: str) -> str:
    """The user that a controller acts as: its service account in kube-system, without one the controller manager itself."""
    return f"system:serviceaccount:kube-system:{account}" if account else MANAGER_USER


def select(entries: Sequence[ControllerEntry], wanted: Iterable[str]) -> list[ControllerEntry]:
    """The entries that `--controllers` names: `*` all that are on by default, `name` one, `-name` not this one.

    Raises:
        ConfigError: A name that there is no controller of.
    """
    names = {entry.name for entry in entries} | set(ALIASES.values())
    on: set[str] = set()
    off: set[str] = set()
    star = False
    for word in (part.strip() for text in wanted for part in text.split(",")):
        if word == "*":
            star = True
            continue
        name = ALIASES.get(word.removeprefix("-"), word.removeprefix("-"))
        if name not in names:
            raise ConfigError(f'"{word.removeprefix("-")}" is not in the list of known controllers',
                              hint="known are: " + ", ".join(sorted(names)))
        (off if word.startswith("-") else on).add(name)
    return [entry for entry in entries
            if entry.name in on or (entry.name not in off and star and entry.by_default)]


class Manager:
    """`client_for(user)` gives a client that acts as that user. Informers that are given are somebody else's to run."""

    name = "controllers"

    def __init__(self, client_for: Callable[[str], Client], settings: ManagerSettings = ManagerSettings(), *, clock: AsyncClock,
                 identity: Identity, entries: Sequence[ControllerEntry] = ALL, informers: Informers | None = None) -> None:
        self._own = informers is None
        self.informers = informers or Informers(client_for(MANAGER_USER), clock=clock, identity=identity)
        self.components: list[Component] = []
        for entry in select(entries, settings.controllers):
            context = Context(client_for(account_user(entry.account)), self.informers, clock, identity)
            component = entry.make(context, settings)
            if component is None:
                log.info("controller left out: a setting it needs is missing", extra={"controller": entry.name})
            else:
                self.components.append(component)

    def idle(self) -> bool:
        """No controller has anything queued or in work."""
        return all(component.idle() for component in self.components)

    async def run(self) -> None:
        """Work until cancelled."""
        async with Tasks() as tasks:
            if self._own:
                tasks.start(self.informers.run(), "informers")
            for component in self.components:
                tasks.start(component.run(), component.name)
            await tasks.wait()
