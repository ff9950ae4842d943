"""The control loop of default service accounts, by namespace."""

from __future__ import annotations

from typing import Any

from sampan.api.errors import AlreadyExists, namespace_ends
from sampan.api.resources import NAMESPACES, SERVICE_ACCOUNTS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key
from sampan.controllers.serviceaccount.decide import WANTED, decide


class ServiceAccountController(Controller):
    """Gives every namespace its account."""

    name = "serviceaccount-controller"

    def __init__(self, context: Context, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._namespaces, self._accounts = self.informers.of(NAMESPACES), self.informers.of(SERVICE_ACCOUNTS)
        self.loop.watch(self._namespaces)
        self.loop.wait_for(self._accounts)
        self._accounts.on_change(self._account_changed)

    def _account_changed(self, old: Any, new: Any) -> None:
        if new is None and old.metadata.name in WANTED:
            self.loop.queue.add(Key("", old.metadata.namespace))

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        namespace = self._namespaces.get(key)
        if namespace is None or not self.writer.fresh(key):
            return DONE
        there = [name for name in WANTED if self._accounts.get(Key(key.name, name)) is not None]
        outcome = await self.writer.apply(key, decide(namespace, there))
        outcome.failures = [(write, error) for write, error in outcome.failures
                            if not isinstance(error, AlreadyExists) and not namespace_ends(error)]
        outcome.raise_first()
        return DONE
