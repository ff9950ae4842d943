"""Checks that kinds of several groups share: numbers, percentages, selectors, conditions, webhooks.

Owns only what stands above `sampan.api.field` (findings) and `sampan.api.names` (names); every check returns findings.
Source: kubernetes `pkg/apis/{core,apps}/validation`, apimachinery `pkg/apis/meta/v1/validation`,
apiserver `pkg/util/webhook/validation.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from sampan.api import addresses, field, names
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import Condition, LabelSelector
from sampan.kinds import label_selectors

Findings = list[FieldError]
NameCheck = Callable[[str], Sequence[str]]

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_LINK_LOCAL_MULTICAST = {4: ip_network("224.0.0.0/24"), 6: ip_network("ff02::/16")}


def nonnegative(value: int | None, path: str) -> Findings:
    """A number that may not be below zero; None is fine."""
    if value is None or value >= 0:
        return []
    return [field.invalid(path, value, "must be greater than or equal to 0")]


def all_nonnegative(obj: Any, path: str, *fields: str) -> Findings:
    """`nonnegative` for several fields of one Struct."""
    return [error for name in fields for error in nonnegative(getattr(obj, name), f"{path}.{name}")]


def one_of(value: Any, supported: Sequence[str], path: str) -> Findings:
    """A value of an enumeration, which is listed in the order given."""
    return [] if value in supported else [field.not_supported(path, value, supported)]


def named(value: str, check: NameCheck, path: str) -> Findings:
    """A value that a name check must accept."""
    return [field.invalid(path, value, message) for message in check(value)]


def required_name(value: str, check: NameCheck, path: str) -> Findings:
    """A name that must be there and that a check must accept."""
    return named(value, check, path) if value else [field.required(path)]


def repeated(values: Iterable[Hashable]) -> Iterator[int]:
    """Where values stand that stood before. Lists of clients may be long: each is looked at once."""
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index
        seen.add(value)


def percent(value: int | str | None) -> int | None:
    """The number before `%`; None when it is not a percentage."""
    if not isinstance(value, str) or names.percent(value):
        return None
    return int(value[:-1]) if len(value) < 20 else 2**63 - 1  # where Go's reading ends


def int_or_percent_value(value: int | str | None) -> int:
    """The bare number of any form, text too; 0 when there is none (`getIntOrPercentValue`)."""
    if isinstance(value, int):
        return value
    if value is not None and _NUMBER.fullmatch(value):
        return int(value)
    return percent(value) or 0


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """The number itself, or that percentage of `total`.

    Raises:
        ValueError: It is text and no percentage.

    Source: apimachinery `util/intstr`, `GetScaledValueFromIntOrPercent`.
    """
    if isinstance(value, int):
        return value
    share = percent(value)
    if share is None:
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    return -(-share * total // 100) if round_up else share * total // 100


def positive_int_or_percent(value: int | str | None, path: str) -> Findings:
    """A number from 0 or a percentage (`ValidatePositiveIntOrPercent`)."""
    return named(value, names.percent, path) if isinstance(value, str) else nonnegative(value, path)


def at_most_100_percent(value: int | str | None, path: str) -> Findings:
    """A percentage of no more than 100 (`IsNotMoreThan100Percent`); numbers are fine."""
    share = percent(value)
    return [field.invalid(path, value, "must not be greater than 100%")] if share is not None and share > 100 else []


def label_selector(selector: LabelSelector | None, path: str) -> Findings:
    """Keys, operators and values of a selector (`ValidateLabelSelector`); None is fine."""
    out: Findings = []
    label_selectors.label_selector(out, selector, path)
    return out


def is_empty_selector(selector: LabelSelector | None) -> bool:
    """A selector that is there and selects everything."""
    return selector is not None and not selector.matchLabels and not selector.matchExpressions


def conditions(values: Iterable[Condition], path: str) -> Findings:
    """`metav1.Condition`s: types once each, statuses, reasons, messages (`ValidateConditions`)."""
    out: Findings = []
    seen: set[str] = set()
    for index, one in enumerate(values):
        at = f"{path}[{index}]"
        if one.type in seen:
            out.append(field.duplicate(f"{at}.type", one.type))
        seen.add(one.type)
        out += named(one.type, names.qualified_name, f"{at}.type")
        out += one_of(one.status, ("False", "True", "Unknown"), f"{at}.status")
        if one.observedGeneration < 0:
            out.append(field.invalid(f"{at}.observedGeneration", one.observedGeneration,
                                     "must be greater than or equal to zero"))
        if one.lastTransitionTime is None:
            out.append(field.required(f"{at}.lastTransitionTime"))
        if not one.reason:
            out.append(field.required(f"{at}.reason"))
        else:
            out += named(one.reason, names.condition_reason, f"{at}.reason")
            if len(one.reason) > 1024:
                out.append(field.too_long(f"{at}.reason", 1024))
        if len(one.message.encode()) > 32768:
            out.append(field.too_long(f"{at}.message", 32768))
    return out


def webhook_client(config: Any, path: str) -> Findings:
    """Exactly one of url and service, and that one valid; `config` has `url` and `service`."""
    if (config.url is None) == (config.service is None):
        return [field.required(path, "exactly one of url or service is required")]
    if config.url is not None:
        return webhook_url(config.url, f"{path}.url")
    return webhook_service(config.service, f"{path}.service")


def review_versions(versions: Sequence[str], known: Sequence[str], path: str) -> Findings:
    """Versions of the review that a webhook speaks, one of which is `known` to us; that there are any is the caller's to demand."""
    again, out = set(repeated(versions)), Findings()
    for index, one in enumerate(versions):
        if index in again:
            out.append(field.invalid(f"{path}[{index}]", one, "duplicate version"))
        else:
            out += named(one, names.dns1035_label, f"{path}[{index}]")
    if not set(versions) & set(known):
        out.append(field.invalid(path, versions, f"must include at least one of {', '.join(known)}"))
    return out


def webhook_url(url: str, path: str) -> Findings:
    """The URL of a webhook (`ValidateWebhookURL`, https only)."""
    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return [field.required(path, f"url must be a valid URL: {error}{form}")]
    out: Findings = []
    if parts.scheme != "https":
        out.append(field.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{form}"))
    user, _, host = parts.netloc.rpartition("@")
    if not host:
        out.append(field.invalid(path, host, f"host must be specified{form}"))
    if user:
        out.append(field.invalid(path, user, "user information is not permitted in the URL"))
    if parts.fragment:
        out.append(field.invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        out.append(field.invalid(path, parts.query, "query parameters are not permitted in the URL"))
    return out


def webhook_service(service: Any, path: str) -> Findings:
    """The service reference of a webhook (`ValidateWebhookService`): name, namespace, path, port.

    Upstream's callers hand over name and namespace in each other's place, so what lacks is told of the other.
    """
    out: Findings = []
    if not service.namespace:
        out.append(field.required(f"{path}.name"))
    if not service.name:
        out.append(field.required(f"{path}.namespace"))
    if service.port is not None:
        out += [field.invalid(f"{path}.port", service.port, f"port is not valid: {message}")
                for message in names.port_number(service.port)]
    url_path, at = service.path, f"{path}.path"
    if url_path in (None, "", "/"):
        return out
    if url_path == "//":
        return [*out, field.invalid(at, url_path, "segment[0] may not be empty")]
    if not url_path.startswith("/"):
        out.append(field.invalid(at, url_path, "must start with a '/'"))
    for index, step in enumerate(url_path[1:].removesuffix("/").split("/")):
        messages = names.dns1123_subdomain(step)
        told = [f"segment[{index}]: {message}" for message in messages] if step else [f"segment[{index}] may not be empty"]
        out += [field.invalid(at, url_path, one) for one in told]
    return out


def non_special_ip(value: str, path: str) -> Findings:
    """An address that traffic can be sent to: not unspecified, loopback or link-local (`ValidateNonSpecialIP`)."""
    address = addresses.parse_ip_sloppy(value)
    if address is None:
        return [field.invalid(path, value, "must be a valid IP address")]
    out: Findings = []
    if address.is_unspecified:
        out.append(field.invalid(path, value, f"may not be unspecified ({value})"))
    if address.is_loopback:
        out.append(field.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        out.append(field.invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    if address in _LINK_LOCAL_MULTICAST[address.version]:
        out.append(field.invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))
    return out
