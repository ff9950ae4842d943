"""Uses of tokens that stand in Secrets: the day of the last one as a label, and since when that is so in a ConfigMap.

What nobody uses is cleaned up by a controller, years later; it relies on both. A use is written once a day, by a task of its
own: no request waits for it. Source: kube-apiserver `controlplane/controller/legacytokentracking`, KEP-2799.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from sampan.api.core.v1 import ConfigMap, Secret
from sampan.api.errors import ApiError
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, SECRETS
from sampan.apiserver.catalog import Catalog
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User
from sampan.lib.clock import Clock
from sampan.store.base import StoreError

log = logging.getLogger(__name__)

LAST_USED, INVALID_SINCE = "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"
NAMESPACE, NAME, SINCE = "kube-system", "kube-apiserver-legacy-service-account-token-tracking", "since"
SERVER = User("system:apiserver", groups=("system:masters", "system:authenticated"))
MOST_WAITING = 1000  # what is over is noted at its next use


class LegacyTokenUses:
    """`note` is called at each use; `run` writes."""

    def __init__(self, registry: Registry, catalog: Catalog, clock: Clock) -> None:
        self._registry, self._catalog, self._clock = registry, catalog, clock
        self._waiting: dict[tuple[str, str], str] = {}
        self._wake = asyncio.Event()

    def note(self, secret: Secret) -> None:
        """The token of this Secret was used; never waits."""
        today, meta = self._today(), secret.metadata
        if meta.labels.get(LAST_USED) != today and len(self._waiting) < MOST_WAITING:
            self._waiting[meta.namespace, meta.name] = meta.uid
            self._wake.set()

    async def ensure(self) -> None:
        """Say since when uses are noted, if nothing says so yet."""
        served = self._catalog.of(CONFIG_MAPS)
        if self._registry.readers.of(CONFIG_MAPS).get(NAMESPACE, NAME) is not None:
            return
        made = ConfigMap(kind="ConfigMap", apiVersion="v1", metadata=ObjectMeta(name=NAME, namespace=NAMESPACE), data={SINCE: self._today()})
        try:
            await self._registry.create(served, NAMESPACE, made, _write())
        except ApiError as error:
            log.info("uses of legacy tokens: their beginning could not be written", extra={"error": error.message})

    async def run(self) -> None:
        """Write labels until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                (namespace, name), uid = self._waiting.popitem()
                await self._label(namespace, name, uid)

    async def _label(self, namespace: str, name: str, uid: str) -> None:
        today = self._today()

        def used(secret: Secret) -> Secret:
            if secret.metadata.uid != uid:
                return secret
            return replace(secret, metadata=replace(secret.metadata, labels={**secret.metadata.labels, LAST_USED: today}))

        try:
            await self._registry.update(self._catalog.of(SECRETS), namespace, name, used, _write())
        except (ApiError, StoreError) as error:
            log.info("the use of a legacy token was not noted", extra={"secret": f"{namespace}/{name}", "error": error.message})

    def _today(self) -> str:
        return self._clock.now().date().isoformat()


def _write() -> Write:
    return Write(SERVER, manager="kube-apiserver")
