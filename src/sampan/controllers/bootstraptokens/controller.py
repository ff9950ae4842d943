"""The control loops of bootstrap tokens. Both are off by default, as upstream's: a cluster without tokens needs neither."""

from __future__ import annotations

from typing import Any

from sampan.api.resources import CONFIG_MAPS, SECRETS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.controllers.bootstraptokens.decide import (
    SIGNED_NAME,
    SIGNED_NAMESPACE,
    clean,
    is_token,
    seconds_left,
    sign,
    signers,
)

INFO = Key(SIGNED_NAMESPACE, SIGNED_NAME)


class TokenCleaner(Controller):
    """Deletes bootstrap tokens that have expired."""

    name = "token-cleaner-controller"

    def __init__(self, context: Context, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._secrets = self.informers.of(SECRETS)
        self.loop.watch(self._secrets, lambda secret: [key_of(secret)] if is_token(secret) else [])

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        secret = self._secrets.get(key)
        if secret is None or not is_token(secret) or not self.writer.fresh(key):
            return DONE
        plan = clean(secret, self.clock.now())
        await self.writer.do(key, plan)
        return Result(plan.requeue_after_seconds)


class BootstrapSigner(Controller):
    """Signs `cluster-info` with every token that may, so that whoever knows one can trust what it says."""

    name = "bootstrap-signer-controller"

    def __init__(self, context: Context, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._secrets, self._maps = self.informers.of(SECRETS), self.informers.of(CONFIG_MAPS)
        self.loop.watch(self._secrets, lambda secret: [INFO] if is_token(secret) else [])
        self.loop.watch(self._maps, self._of_map)

    def _of_map(self, one: Any) -> list[Key]:
        return [INFO] if key_of(one) == INFO else []

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        info, now = self._maps.get(key), self.clock.now()
        if info is None or not self.writer.fresh(key):
            return DONE
        tokens = [secret for secret in self._secrets.items() if is_token(secret)]
        await self.writer.do(key, sign(info, signers(tokens, now)))
        left = [seconds for secret in tokens if (seconds := seconds_left(secret, now))]
        return Result(min(left, default=None))
