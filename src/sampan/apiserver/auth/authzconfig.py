"""AuthorizationConfiguration (apiserver.config.k8s.io/v1): which authorizers are asked, in which order.

Pure, but for reading the kubeconfigs that it names. Not supported, and said so: ABAC.
Source: apiserver `pkg/apis/apiserver/validation/validation.go`, kubernetes `pkg/kubeapiserver/options/authorization.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from sampan.api import field, names
from sampan.api.errors import FieldError
from sampan.apiserver.auth.authzwebhook import WebhookSettings
from sampan.apiserver.auth.base import Authorization
from sampan.apiserver.auth.remote import access_of
from sampan.apiserver.configfile import ConfigFile, Headed
from sampan.client import kubeconfig
from sampan.lib.errors import ConfigError

TYPES = ("AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")
MOST_CONDITIONS = 64
MOST_SECONDS = 30.0


class _Condition(msgspec.Struct, forbid_unknown_fields=True):
    expression: str = ""


class _Connection(msgspec.Struct, forbid_unknown_fields=True):
    type: str = ""
    kubeConfigFile: str | None = None


class _Webhook(msgspec.Struct, forbid_unknown_fields=True):
    authorizedTTL: str = "5m0s"
    unauthorizedTTL: str = "30s"
    timeout: str = ""
    subjectAccessReviewVersion: str = ""
    matchConditionSubjectAccessReviewVersion: str = ""
    failurePolicy: str = ""
    connectionInfo: _Connection = msgspec.field(default_factory=_Connection)
    matchConditions: list[_Condition] = []
    cacheAuthorizedRequests: bool = True
    cacheUnauthorizedRequests: bool = True


class _Authorizer(msgspec.Struct, forbid_unknown_fields=True):
    type: str = ""
    name: str = ""
    webhook: _Webhook | None = None


class _Configuration(Headed, frozen=True):
    authorizers: list[_Authorizer] = []


_FILE = ConfigFile("authorization configuration", _Configuration, "AuthorizationConfiguration",
                   ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"))


def load(text: bytes, origin: str) -> Authorization:
    """A configuration file, YAML or JSON.

    Raises:
        ConfigError: It is none, or it says what can't be.
    """
    configuration = _FILE.read(text, origin)
    _FILE.refuse(origin, _errors(configuration))
    return Authorization(tuple(one.type if one.webhook is None else _settings(one.name, one.webhook) for one in configuration.authorizers))


def modes(given: Sequence[str], webhook: WebhookSettings | None) -> Authorization:
    """What `--authorization-mode` and the flags of its webhook say.

    Raises:
        ConfigError: There is no such mode, or mode and webhook do not fit.
    """
    for mode in given:
        if mode not in TYPES:
            raise ConfigError(f'authorization-mode "{mode}" is not a valid mode', hint=f"choose of {', '.join(TYPES)}")
        if given.count(mode) > 1:
            raise ConfigError(f"authorization-mode {','.join(given)} has mode specified more than once")
    if ("Webhook" in given) != (webhook is not None):
        raise ConfigError("authorization-mode Webhook's authorization config file not passed" if webhook is None
                          else "cannot specify --authorization-webhook-config-file without mode Webhook")
    return Authorization(tuple(webhook if mode == "Webhook" and webhook is not None else mode for mode in given))


def _settings(name: str, hook: _Webhook) -> WebhookSettings:
    file = hook.connectionInfo.kubeConfigFile
    access = access_of(Path(file), f"the kubeconfig of the authorization webhook {name},") if file else kubeconfig.in_cluster()
    if not file:
        access = kubeconfig.Access(f"{access.server}/apis/authorization.k8s.io/{hook.subjectAccessReviewVersion}/subjectaccessreviews",
                                   access.ca, token_file=access.token_file)
    return WebhookSettings(
        name, access, _seconds(hook.authorizedTTL) if hook.cacheAuthorizedRequests else 0.0,
        _seconds(hook.unauthorizedTTL) if hook.cacheUnauthorizedRequests else 0.0, _seconds(hook.timeout), hook.subjectAccessReviewVersion,
        hook.failurePolicy == "Deny", tuple(one.expression for one in hook.matchConditions))


def _seconds(text: str) -> float:
    from sampan.api.cel.errors import CelError
    from sampan.api.cel.temporal import parse_duration

    try:
        return parse_duration(text).nano / 1e9
    except CelError:
        return -1.0


# -- validation ------------------------------------------------------------------------------------------------------


def _errors(configuration: _Configuration) -> list[FieldError]:
    if not configuration.authorizers:
        return [field.required("authorizers", "at least one authorization mode must be defined")]
    found: list[FieldError] = []
    types: set[str] = set()
    called: set[str] = set()
    for index, one in enumerate(configuration.authorizers):
        path = f"authorizers[{index}]"
        if one.type not in TYPES:
            found.append(field.not_supported(f"{path}.type", one.type, TYPES) if one.type else field.required(f"{path}.type"))
            continue
        if one.type in types and one.type != "Webhook":
            found.append(field.duplicate(f"{path}.type", one.type))
            continue
        types.add(one.type)
        if not one.name:
            found.append(field.required(f"{path}.name"))
        elif one.name in called:
            found.append(field.duplicate(f"{path}.name", one.name))
        elif problems := names.dns1123_subdomain(one.name):
            found.append(field.invalid(f"{path}.name", one.name, f"authorizer name is invalid: {', '.join(problems)}"))
        called.add(one.name)
        if one.type == "Webhook":
            found += _webhook_errors(one.webhook, path) if one.webhook else [field.required(f"{path}.webhook", "required when type=Webhook")]
        elif one.webhook is not None:
            found.append(field.invalid(f"{path}.webhook", "non-null", "may only be specified when type=Webhook"))
    return found


def _webhook_errors(hook: _Webhook, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name, text, most in (("timeout", hook.timeout, MOST_SECONDS), ("authorizedTTL", hook.authorizedTTL, 0.0),
                             ("unauthorizedTTL", hook.unauthorizedTTL, 0.0)):
        seconds = _seconds(text) if text else 0.0
        if not text or seconds == 0:
            found.append(field.required(f"{path}.{name}"))
        elif seconds < 0 or (most and seconds > most):
            found.append(field.invalid(f"{path}.{name}", text, "must be > 0s and <= 30s" if most else "must be > 0s"))
    for name, text, allowed in (("subjectAccessReviewVersion", hook.subjectAccessReviewVersion, ("v1", "v1beta1")),
                                ("failurePolicy", hook.failurePolicy, ("NoOpinion", "Deny"))):
        if text not in allowed:
            found.append(field.not_supported(f"{path}.{name}", text, allowed) if text else field.required(f"{path}.{name}"))
    version = hook.matchConditionSubjectAccessReviewVersion
    if version not in ("", "v1"):
        found.append(field.not_supported(f"{path}.matchConditionSubjectAccessReviewVersion", version, ("v1",)))
    elif not version and hook.matchConditions:
        found.append(field.required(f"{path}.matchConditionSubjectAccessReviewVersion", "required if match conditions are specified"))
    return found + _connection_errors(hook.connectionInfo, f"{path}.connectionInfo") + _condition_errors(hook.matchConditions, f"{path}.matchConditions")


def _connection_errors(connection: _Connection, path: str) -> list[FieldError]:
    file = connection.kubeConfigFile
    if connection.type == "InClusterConfig":
        return [field.invalid(f"{path}.kubeConfigFile", file, "can only be set when type=KubeConfigFile")] if file is not None else []
    if connection.type != "KubeConfigFile":
        return [field.not_supported(f"{path}.type", connection.type, ("InClusterConfig", "KubeConfigFile")) if connection.type
                else field.required(f"{path}.type")]
    if not file:
        return [field.required(f"{path}.kubeConfigFile")]
    if not Path(file).is_absolute():
        return [field.invalid(f"{path}.kubeConfigFile", file, "must be an absolute path")]
    return [] if Path(file).is_file() else [field.invalid(f"{path}.kubeConfigFile", file, "must be a regular file")]


def _condition_errors(conditions: list[_Condition], path: str) -> list[FieldError]:
    if len(conditions) > MOST_CONDITIONS:
        return [field.too_many(path, len(conditions), MOST_CONDITIONS)]
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, one in enumerate(conditions):
        at = f"{path}[{index}].expression"
        if not one.expression.strip():
            found.append(field.required(at))
        elif one.expression in seen:
            found.append(field.duplicate(at, one.expression))
        elif problem := _problem(one.expression):
            found.append(field.invalid(at, one.expression, problem))
        seen.add(one.expression)
    return found


def _problem(expression: str) -> str:
    from sampan.api.cel.admission import compile_as
    from sampan.api.cel.types import BOOL
    from sampan.apiserver.auth.authzwebhook import environment

    return compile_as(environment(), expression, (BOOL,)).problem
