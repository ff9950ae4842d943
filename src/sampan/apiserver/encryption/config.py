"""EncryptionConfiguration (apiserver.config.k8s.io/v1): which resources are stored with which keys.

Pure. Values of keys are in no message. Not supported, and said so: secretbox and KMS plugins.
Source: apiserver `pkg/apis/apiserver/validation/validation_encryption.go`, `pkg/server/options/encryptionconfig`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from sampan.api import field
from sampan.api.errors import FieldError
from sampan.apiserver.configfile import ConfigFile, Headed
from sampan.apiserver.encryption.ciphers import PLAIN, AesCbc, AesGcm, Identity, NamedKey, Provider, Providers

KEY_BYTES = (16, 24, 32)
EVERYTHING = ("*", "*")
OVERLAP = "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    secret: str = ""


class _Keys(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Key] = []


class _Provider(msgspec.Struct, forbid_unknown_fields=True):
    aesgcm: _Keys | None = None
    aescbc: _Keys | None = None
    secretbox: dict[str, Any] | None = None
    kms: dict[str, Any] | None = None
    identity: dict[str, Any] | None = None


class _Resources(msgspec.Struct, forbid_unknown_fields=True):
    resources: list[str] = []
    providers: list[_Provider] = []


class _Configuration(Headed, frozen=True):
    resources: list[_Resources] = []


_FILE = ConfigFile("encryption configuration", _Configuration, "EncryptionConfiguration", ("apiserver.config.k8s.io/v1",))


class Encryption:
    """Which providers a stored key has."""

    def __init__(self, providers: dict[tuple[str, str], Providers]) -> None:
        """By (group, plural), either may be `*`."""
        self._providers = providers
        self._known: dict[str, Providers] = {}

    def of(self, key: str) -> Providers:
        """By the storage key, `/registry/<group or core>/<plural>/…`."""
        end = key.find("/", key.find("/", 10) + 1)
        place = key[:end]
        found = self._known.get(place)
        if found is None:
            _, _, group, plural = place.split("/") if place.count("/") == 3 else ("", "", "", "")
            group = "" if group == "core" else group
            found = next((self._providers[one] for one in ((group, plural), (group, "*"), EVERYTHING) if one in self._providers), PLAIN)
            self._known[place] = found  # as many as there are resources
        return found


def load(text: bytes, origin: str) -> Encryption:
    """A configuration file, YAML or JSON.

    Raises:
        ConfigError: It is none, or it says what can't be.
    """
    configuration = _FILE.read(text, origin)
    _FILE.refuse(origin, _errors(configuration))
    return Encryption(_providers(configuration, origin))


def _providers(configuration: _Configuration, origin: str) -> dict[tuple[str, str], Providers]:
    lists: dict[tuple[str, str], list[Provider]] = {}
    for one in configuration.resources:
        made = [_provider(provider) for provider in one.providers]
        for name in one.resources:
            group, plural = place = _parse(name)
            for earlier in ((group, "*"), EVERYTHING):
                if earlier != place and earlier in lists:
                    shown = "*.*" if earlier == EVERYTHING else f"*.{group}"
                    raise _FILE.invalid(origin, f'resource "{name}" is masked by earlier rule "{shown}"', hint="put the narrower resources first")
            lists.setdefault((group, plural), []).extend(made)
    return {place: Providers(providers) for place, providers in lists.items()}


def _provider(one: _Provider) -> Provider:
    if one.aesgcm is not None:
        return AesGcm(_named(one.aesgcm))
    if one.aescbc is not None:
        return AesCbc(_named(one.aescbc))
    return Identity()


def _named(keys: _Keys) -> list[NamedKey]:
    return [NamedKey(key.name, base64.b64decode(key.secret)) for key in keys.keys]


def _parse(name: str) -> tuple[str, str]:
    plural, _, group = name.partition(".")
    return group, plural


# -- validation ------------------------------------------------------------------------------------------------------


def _errors(configuration: _Configuration) -> list[FieldError]:
    if not configuration.resources:
        return [field.required("resources", "at least one resources is required")]
    found: list[FieldError] = []
    for index, one in enumerate(configuration.resources):
        names, providers = f"resources[{index}].resources", f"resources[{index}].providers"
        if not one.resources:
            found.append(field.required(names, f"at least one {names} is required"))
        found += _overlaps(one.resources, names)
        for place, name in enumerate(one.resources):
            if why := _bad_name(name):
                found.append(field.invalid(f"{names}[{place}]", name, why))
        if not one.providers:
            found.append(field.required(providers, f"at least one {providers} is required"))
        for place, provider in enumerate(one.providers):
            found += _provider_errors(provider, f"{providers}[{place}]")
    return found


def _overlaps(names: list[str], path: str) -> list[FieldError]:
    parsed = [_parse(name) for name in names]
    found = []
    if len(set(parsed)) < len(parsed):
        found.append(field.invalid(path, names, "the same resource cannot be specified multiple times"))
    distinct = set(parsed)
    groups = {group for group, plural in distinct if plural == "*"}
    if (EVERYTHING in distinct and len(distinct) > 1) or any(group in groups for group, plural in distinct if plural != "*"):
        found.append(field.invalid(path, names, OVERLAP))
    return found


def _bad_name(name: str) -> str:
    group, plural = _parse(name)
    if name.lower() != name:
        return "resource name should not contain capital letters"
    if name == "*":
        return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
    if name in ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations"):
        return "resources which do not have REST API/s cannot be encrypted"
    if group == "events.k8s.io":
        return "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"
    if group == "extensions":
        return "'extensions' group has been removed and cannot be used for encryption"
    if group == "*" and plural != "*":
        return "encrypting the same resource across groups is not supported"
    return ""


def _provider_errors(one: _Provider, path: str) -> list[FieldError]:
    given = [name for name in ("kms", "aesgcm", "aescbc", "secretbox", "identity") if getattr(one, name) is not None]
    if not given:
        return [field.required(path, "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity")]
    if len(given) > 1:
        return [field.forbidden(path, "more than one provider specified in a single element, should split into different list elements")]
    name = given[0]
    if name in ("kms", "secretbox"):
        return [field.forbidden(f"{path}.{name}", "this server has no such provider; use aesgcm")]
    return _key_errors(getattr(one, name).keys, f"{path}.{name}.keys") if name != "identity" else []


def _key_errors(keys: list[_Key], path: str) -> list[FieldError]:
    if not keys:
        return [field.required(path, "at least one keys is required")]
    found = []
    for index, key in enumerate(keys):
        at = f"{path}[{index}]"
        if not key.name:
            found.append(field.required(f"{at}.name", "name is a mandatory field for a key"))
        if not key.secret:
            found.append(field.required(f"{at}.secret", "secret is a mandatory field for a key"))
            continue
        try:
            size = len(base64.b64decode(key.secret, validate=True))
        except (binascii.Error, ValueError):
            found.append(field.invalid(f"{at}.secret", "REDACTED", "secrets must be base64 encoded"))
            continue
        if size not in KEY_BYTES:
            found.append(field.invalid(f"{at}.secret", "REDACTED", f"secret is not of the expected length, got {size}, expected one of [16 24 32]"))
    return found
