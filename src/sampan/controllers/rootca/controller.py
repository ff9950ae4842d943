"""The control loop of the CA's ConfigMaps, by namespace."""

from __future__ import annotations

from typing import Any

from sampan.api.errors import AlreadyExists, namespace_ends
from sampan.api.resources import CONFIG_MAPS, NAMESPACES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key
from sampan.controllers.rootca.decide import NAME, decide


class RootCaPublisher(Controller):
    """Tells every namespace whom to trust. `bundle`: PEM of the certificates that the API server's own is signed by."""

    name = "root-ca-certificate-publisher-controller"

    def __init__(self, context: Context, bundle: str, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._bundle = bundle
        self._namespaces, self._maps = self.informers.of(NAMESPACES), self.informers.of(CONFIG_MAPS)
        self.loop.watch(self._namespaces)
        self.loop.wait_for(self._maps)
        self._maps.on_change(self._map_changed)

    def renew(self, bundle: str) -> None:
        """Tell every namespace of this bundle instead."""
        if bundle != self._bundle:
            self._bundle = bundle
            for key in self._namespaces.keys():  # noqa: SIM118 - an informer, no dict
                self.loop.queue.add(key)

    def _map_changed(self, old: Any, new: Any) -> None:
        one = old if new is None else new
        if one.metadata.name == NAME and old is not None:
            self.loop.queue.add(Key("", one.metadata.namespace))

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        namespace = self._namespaces.get(key)
        if namespace is None or not self.writer.fresh(key):
            return DONE
        outcome = await self.writer.apply(key, decide(namespace, self._maps.get(Key(key.name, NAME)), self._bundle))
        outcome.failures = [(write, error) for write, error in outcome.failures
                            if not isinstance(error, AlreadyExists) and not namespace_ends(error)]
        outcome.raise_first()
        return DONE
