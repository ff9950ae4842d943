"""The control loop of service-account-token Secrets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import Secret, ServiceAccount
from sampan.api.errors import NotFound
from sampan.api.resources import SECRETS, SERVICE_ACCOUNTS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.controllers.tokens.decide import ACCOUNT_UID, account_of, decide, without
from sampan.controllers.tokens.sign import Sign


def by_account(secret: Any) -> Iterable[Hashable]:
    """Token Secrets by the key of their account."""
    name = account_of(secret)
    return (Key(secret.metadata.namespace, name),) if name else ()


class TokensController(Controller):
    """Keeps token Secrets filled and removes those of accounts that are gone."""

    name = "serviceaccount-token-controller"

    def __init__(self, context: Context, sign: Sign, bundle: bytes, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._sign, self._bundle = sign, bundle
        self._secrets, self._accounts = self.informers.of(SECRETS), self.informers.of(SERVICE_ACCOUNTS)
        self._by_account = self._secrets.index(by_account)
        self._gone: dict[Key, tuple[str, str]] = {}  # token Secrets that were deleted: their account's name and uid
        self.loop.wait_for(self._secrets)
        self._secrets.on_change(self._secret_changed)
        self.loop.watch(self._accounts, lambda account: self._by_account.keys(key_of(account)))

    def renew(self, sign: Sign, bundle: bytes) -> None:
        """Sign with another key from now on, and put this bundle beside every token."""
        self._sign, before, self._bundle = sign, self._bundle, bundle
        if bundle != before:
            for secret in self._secrets.items():
                if account_of(secret):
                    self.loop.queue.add(key_of(secret))

    def _secret_changed(self, old: Secret | None, new: Secret | None) -> None:
        one = new or old
        if one is None or not account_of(one):
            return
        key = key_of(one)
        if new is None:
            self._gone[key] = account_of(one), one.metadata.annotations.get(ACCOUNT_UID, "")
        else:
            self._gone.pop(key, None)
        self.loop.queue.add(key)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        secret = self._secrets.get(key)
        if not self.writer.fresh(key):
            return DONE
        if secret is None:
            if key in self._gone:
                await self._release(key, *self._gone[key])
                self._gone.pop(key, None)
            return DONE
        if account_of(secret):
            account = await self._account(Key(key.namespace, account_of(secret)), secret.metadata.annotations.get(ACCOUNT_UID, ""))
            await self.writer.do(key, decide(secret, account, self._bundle, self._sign))
        return DONE

    async def _release(self, key: Key, name: str, uid: str) -> None:
        account = self._accounts.get(Key(key.namespace, name))
        if account is not None and uid in ("", account.metadata.uid):
            await self.writer.do(key, without(account, key.name))

    async def _account(self, key: Key, uid: str) -> ServiceAccount | None:
        found = self._accounts.get(key)
        if found is None or uid not in ("", found.metadata.uid):
            try:  # before something is deleted the server is asked: the cache may lag
                found = await self.client.get(SERVICE_ACCOUNTS, key.name, key.namespace)
            except NotFound:
                return None
        return found
