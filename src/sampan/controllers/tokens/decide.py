"""What becomes of a service-account-token Secret. Pure.

Source: kube-controller-manager `serviceaccount/tokens_controller.go`.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from sampan.api.core.v1 import Secret, ServiceAccount
from sampan.api.resources import SECRETS, SERVICE_ACCOUNTS
from sampan.kinds.plan import Delete, Plan, Update

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"


def account_of(secret: Secret) -> str:
    """The name of the account that the Secret is for; empty: it is no token Secret."""
    return secret.metadata.annotations.get(ACCOUNT_NAME, "") if secret.type == TYPE else ""


def decide(secret: Secret, account: ServiceAccount | None, bundle: bytes, sign: Callable[[ServiceAccount, Secret], str]) -> Plan:
    """Delete it if its account is gone or another one; fill in what is missing otherwise."""
    meta = secret.metadata
    uid = meta.annotations.get(ACCOUNT_UID, "")
    if account is None or (uid and uid != account.metadata.uid):
        return Plan((Delete(SECRETS, meta.namespace, meta.name, meta.uid),))
    data = dict(secret.data)
    if bundle:
        data["ca.crt"] = bundle
    if not data.get("namespace"):
        data["namespace"] = meta.namespace.encode()
    if not data.get("token"):
        data["token"] = sign(account, secret).encode()
    if data == secret.data:
        return Plan()
    annotations = {**meta.annotations, ACCOUNT_NAME: account.metadata.name, ACCOUNT_UID: account.metadata.uid}
    return Plan((Update(SECRETS, replace(secret, data=data, metadata=replace(meta, annotations=annotations))),))


def without(account: ServiceAccount, name: str) -> Plan:
    """The account does not name a Secret that is gone."""
    left = [ref for ref in account.secrets if ref.name != name]
    return Plan((Update(SERVICE_ACCOUNTS, replace(account, secrets=left)),)) if left != account.secrets else Plan()
