"""What becomes of a generated service account token. Pure.

Source: kube-controller-manager `serviceaccount/legacy_serviceaccount_token_cleaner.go`, KEP-2799.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Pod, Secret, ServiceAccount
from sampan.api.resources import SECRETS
from sampan.kinds.plan import Delete, Patch, Plan

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME, ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
LAST_USED, INVALID_SINCE = "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"
TRACKING, SINCE = "kube-apiserver-legacy-service-account-token-tracking", "since"


def day_of(text: str) -> date | None:
    """A day as the labels write it; None: it is none."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date() if len(text) == 10 else None  # noqa: DTZ007 - a day, not a time
    except ValueError:
        return None


def generated(secret: Secret, account: ServiceAccount | None) -> bool:
    """Whether the Secret was made for the account by the cluster, and not by a user."""
    if secret.type != TYPE or account is None or secret.metadata.deletionTimestamp is not None:
        return False
    uid = secret.metadata.annotations.get(ACCOUNT_UID, "")
    return (not uid or uid == account.metadata.uid) and any(ref.name == secret.metadata.name for ref in account.secrets)


def mounted(pods: Iterable[Pod]) -> set[str]:
    """The names of Secrets that pods refer to."""
    found: set[str] = set()
    for pod in pods:
        found |= set(_names(codec.to_builtins(pod.spec)))
    return found


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _names(one)
        return
    for key, one in value.items() if isinstance(value, dict) else ():
        if key == "secretName" and isinstance(one, str):
            yield one
        elif key == "imagePullSecrets":
            yield from (ref.get("name", "") for ref in one)
        elif key == "secret" or key.lower().endswith(("secretref", "secretkeyref")):
            yield (one or {}).get("name", "")
        yield from _names(one)


def decide(secret: Secret, used: bool, tracked_since: date, now: datetime, keep: timedelta) -> Plan:
    """Mark a generated token that nobody used for `keep`; delete it when it has been marked for as long.

    Args:
        secret: A generated one.
        used: A pod refers to it.
        tracked_since: The first whole day of which uses are known.
        now: The time.
        keep: How long a token may lie unused.
    """
    oldest = (now - keep).date()
    meta = secret.metadata
    created = meta.creationTimestamp.moment() if meta.creationTimestamp is not None else now
    if used or created >= now - keep or datetime.combine(tracked_since, time(), UTC) > now - keep:
        return Plan()
    last = meta.labels.get(LAST_USED)
    if last is not None and (day_of(last) is None or last >= oldest.isoformat()):
        return Plan()
    marked = day_of(meta.labels.get(INVALID_SINCE, ""))
    if marked is None:
        patch = {"metadata": {"uid": meta.uid, "labels": {INVALID_SINCE: now.date().isoformat()}}}
        return Plan((Patch(SECRETS, meta.namespace, meta.name, patch),))
    if marked >= oldest:
        return Plan()
    # if somebody uses it meanwhile, that is written to it, too
    return Plan((Delete(SECRETS, meta.namespace, meta.name, meta.uid, resource_version=meta.resourceVersion),))
