"""Secrets. Findings never show what is in one. Source: kubernetes `pkg/apis/core/validation` (`ValidateSecret`)."""

from __future__ import annotations

import re

from sampan.api import codec, field, jsonsyntax, names
from sampan.api.core.v1 import Secret
from sampan.api.errors import FieldError
from sampan.api.resources import SECRETS
from sampan.kinds.core.config_map import IMMUTABLE, MAX_BYTES
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105 a type, not a token
_DOCKER_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}
_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----")


def default(secret: Secret) -> None:
    """Opaque unless said otherwise; `stringData` is only ever written."""
    secret.type = secret.type or "Opaque"
    if secret.stringData:
        secret.data = secret.data | {key: value.encode("utf-8", "surrogatepass") for key, value in secret.stringData.items()}
        secret.stringData = {}


def prepare_update(new: Secret, old: Secret) -> None:
    """A type cannot be taken away."""
    new.type = new.type or old.type


def validate(secret: Secret) -> list[FieldError]:
    """Keys are names of files, each type has what it needs, all fits in a mebibyte."""
    errors: list[FieldError] = []
    for key in secret.data:
        if messages := names.config_map_key(key):
            errors += field.invalid_each(f"data[{key}]", key, messages)
    if sum(map(len, secret.data.values())) > MAX_BYTES:
        errors.append(field.too_long("data", MAX_BYTES))
    data = secret.data
    if secret.type == SERVICE_ACCOUNT_TOKEN:
        if not secret.metadata.annotations.get(ACCOUNT_NAME):
            errors.append(field.required(f"metadata.annotations[{ACCOUNT_NAME}]"))
    elif secret.type in _DOCKER_KEYS:
        errors += _docker(data.get(_DOCKER_KEYS[secret.type]), f"data[{_DOCKER_KEYS[secret.type]}]")
    elif secret.type == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            errors += [field.required("data[username]"), field.required("data[password]")]
    elif secret.type == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            errors.append(field.required("data[ssh-privatekey]"))
    elif secret.type == "kubernetes.io/tls":
        errors += [field.required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return errors


def _docker(config: bytes | None, path: str) -> list[FieldError]:
    if config is None:
        return [field.required(path)]
    try:
        value = codec.loads(config)
    except codec.DecodeError:
        return [field.invalid(path, "<secret contents redacted>", jsonsyntax.explain(config))]
    if value is None or isinstance(value, dict):
        return []
    kind = {str: "string", bool: "bool", list: "array"}.get(type(value), "number")
    return [field.invalid(path, "<secret contents redacted>",
                          f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")]


def validate_update(new: Secret, old: Secret) -> list[FieldError]:
    """The type never changes, the data not once immutable; then all that a new one is held to."""
    errors = [] if new.type == old.type else [field.invalid("type", new.type, field.IMMUTABLE)]
    if old.immutable:
        if not new.immutable:
            errors.append(field.forbidden("immutable", IMMUTABLE))
        if new.data != old.data:
            errors.append(field.forbidden("data", IMMUTABLE))
    return errors + validate(new)


def warnings(secret: Secret, _: Secret | None) -> list[str]:
    """A TLS secret whose pair cannot be one."""
    if secret.type != "kubernetes.io/tls":
        return []
    for key, words in (("tls.crt", "certificate"), ("tls.key", "key")):
        if not _PEM.search(secret.data.get(key, b"")):
            return [f"tls: failed to find any PEM data in {words} input"]
    return []


KIND: Kind[Secret] = Kind(
    resource=SECRETS,
    metadata="both",
    default=default,
    prepare_update=prepare_update,
    validate_create=validate,
    validate_update=validate_update,
    columns=(
        Column("Name", lambda secret, _: secret.metadata.name, format="name"),
        Column("Type", lambda secret, _: secret.type),
        Column("Data", lambda secret, _: len(secret.data)),
        Column("Age", age),
    ),
    fields={"type": lambda secret: secret.type},
    warnings=warnings,
)
