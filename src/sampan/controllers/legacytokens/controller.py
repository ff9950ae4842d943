"""The control loop of generated token Secrets: each is looked at once a day.

Uses are tracked by API servers, which say since when in a ConfigMap; without it nothing is ever deleted.
"""

from __future__ import annotations

from datetime import date, timedelta

from sampan.api.core.v1 import Secret, ServiceAccount
from sampan.api.errors import NotFound
from sampan.api.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from sampan.control.controller import Context, Controller, Result
from sampan.control.indexes import by_namespace
from sampan.control.key import Key, key_of
from sampan.controllers.legacytokens.decide import (
    ACCOUNT_NAME,
    SINCE,
    TRACKING,
    TYPE,
    day_of,
    decide,
    generated,
    mounted,
)

DAY_SECONDS = 24 * 3600.0


class LegacyTokenCleaner(Controller):
    """Deletes generated tokens that nobody used for `keep_seconds`."""

    name = "legacy-serviceaccount-token-cleaner-controller"

    def __init__(self, context: Context, *, keep_seconds: float, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._keep = timedelta(seconds=keep_seconds)
        self._secrets, self._pods = self.informers.of(SECRETS), self.informers.of(PODS)
        self._accounts, self._by_namespace = self.informers.of(SERVICE_ACCOUNTS), self._pods.index(by_namespace)
        self.loop.wait_for(self._pods, self._accounts)
        self.loop.watch(self._secrets, lambda secret: [key_of(secret)] if secret.type == TYPE else [])

    async def reconcile(self, key: Key) -> Result | None:
        """See `Controller.reconcile`."""
        secret = self._secrets.get(key)
        if secret is None or secret.type != TYPE or not self.writer.fresh(key):
            return None
        if generated(secret, self._account(secret)) and (since := await self._tracked_since()) is not None:
            used = key.name in mounted(self._by_namespace.get(key.namespace))
            await self.writer.do(key, decide(secret, used, since, self.clock.now(), self._keep))
        return Result(DAY_SECONDS)

    def _account(self, secret: Secret) -> ServiceAccount | None:
        return self._accounts.get(Key(secret.metadata.namespace, secret.metadata.annotations.get(ACCOUNT_NAME, "")))

    async def _tracked_since(self) -> date | None:
        try:
            found = await self.client.get(CONFIG_MAPS, TRACKING, "kube-system")
        except NotFound:
            return None
        day = day_of(found.data.get(SINCE, ""))
        # of the day on which it began not every use is known
        return day + timedelta(days=1) if day is not None else None
