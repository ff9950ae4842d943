"""When a bootstrap token goes, and what the signed ConfigMap says. Pure.

Source: kube-controller-manager `bootstrap/{tokencleaner,bootstrapsigner}.go`, cluster-bootstrap `token/jws`, RFC 7515 appendix F.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from sampan.api.core.v1 import ConfigMap, Secret
from sampan.api.resources import CONFIG_MAPS, SECRETS
from sampan.api.scalars import Time
from sampan.kinds.plan import Delete, Plan, Update

TYPE, PREFIX = "bootstrap.kubernetes.io/token", "bootstrap-token-"
NAMESPACE = "kube-system"
SIGNED_NAMESPACE, SIGNED_NAME, SIGNED_KEY, SIGNATURE = "kube-public", "cluster-info", "kubeconfig", "jws-kubeconfig-"


def is_token(secret: Secret) -> bool:
    """Whether a Secret holds a bootstrap token."""
    return secret.type == TYPE and secret.metadata.namespace == NAMESPACE


def seconds_left(secret: Secret, now: datetime) -> float | None:
    """Until it expires, 0 once it has (or says something that is no time); None: never."""
    text = secret.data.get("expiration", b"").decode("utf-8", "replace")
    if not text:
        return None
    try:
        return max(0.0, (Time.parse(text).moment() - now).total_seconds())
    except ValueError:
        return 0.0


def clean(secret: Secret, now: datetime) -> Plan:
    """Delete it if it has expired, or say when to look again."""
    left = seconds_left(secret, now)
    if left is None or left > 0:
        return Plan(requeue_after_seconds=left)
    return Plan((Delete(SECRETS, secret.metadata.namespace, secret.metadata.name, secret.metadata.uid),))


def signers(secrets: Iterable[Secret], now: datetime) -> dict[str, str]:
    """Token ids and secrets of those that may sign."""
    found = {}
    for secret in secrets:
        text = {key: value.decode("utf-8", "replace") for key, value in secret.data.items()}
        token = text.get("token-id", "")
        if secret.metadata.name == PREFIX + token and token and text.get("token-secret") and text.get("usage-bootstrap-signing") == "true" \
                and seconds_left(secret, now) != 0.0:
            found[token] = text["token-secret"]
    return found


def signature(content: str, token: str, secret: str) -> str:
    """A detached JWS (HS256) of the content, by the token."""
    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = encode(f'{{"alg":"HS256","kid":"{token}"}}'.encode())
    mac = hmac.digest(secret.encode(), f"{head}.{encode(content.encode())}".encode(), hashlib.sha256)
    return f"{head}..{encode(mac)}"


def sign(info: ConfigMap, tokens: Mapping[str, str]) -> Plan:
    """The ConfigMap with one signature a token, and none of tokens that are gone."""
    content = info.data.get(SIGNED_KEY)
    if content is None:
        return Plan()
    data = {key: value for key, value in info.data.items() if not key.startswith(SIGNATURE)}
    data |= {SIGNATURE + token: signature(content, token, secret) for token, secret in tokens.items()}
    return Plan((Update(CONFIG_MAPS, replace(info, data=data)),)) if data != info.data else Plan()
