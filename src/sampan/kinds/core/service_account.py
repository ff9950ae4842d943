"""ServiceAccounts. Source: kubernetes `pkg/registry/core/serviceaccount`."""

from __future__ import annotations

from sampan.api.core.v1 import ObjectReference, ServiceAccount
from sampan.api.resources import SERVICE_ACCOUNTS
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

_ENFORCE = "kubernetes.io/enforce-mountable-secrets"


def username(namespace: str, name: str) -> str:
    """The user that tokens of the account stand for."""
    return f"system:serviceaccount:{namespace}:{name}"


def prepare_create(account: ServiceAccount) -> None:
    """Of its secrets only the names are kept."""
    account.secrets = [ObjectReference(name=one.name) for one in account.secrets]


def prepare_update(new: ServiceAccount, _: ServiceAccount) -> None:
    prepare_create(new)


def warnings(account: ServiceAccount, old: ServiceAccount | None) -> list[str]:
    """An annotation that is on its way out, when it is new."""
    if _ENFORCE in account.metadata.annotations and (old is None or _ENFORCE not in old.metadata.annotations):
        return [f"metadata.annotations[{_ENFORCE}]: deprecated in v1.32+; prefer separate namespaces to isolate access "
                "to mounted secrets"]
    return []


KIND: Kind[ServiceAccount] = Kind(
    resource=SERVICE_ACCOUNTS,
    metadata="both",
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    columns=(Column("Name", lambda account, _: account.metadata.name, format="name"), Column("Age", age)),
    warnings=warnings,
)
