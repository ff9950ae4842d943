"""Ingress: HTTP hosts and paths, and the services behind them.

Source: kubernetes `pkg/apis/networking/validation/validation.go`, `pkg/registry/networking/ingress/strategy.go`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import addresses, field, names
from sampan.api.core.v1 import TypedLocalObjectReference
from sampan.api.networking.v1 import HTTPIngressPath, Ingress, IngressBackend, IngressRule
from sampan.api.resources import INGRESSES
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age, first_few

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")


def class_name(ingress: Ingress) -> str:
    """The class that should serve it, by field or by the old annotation; "" for the default one."""
    return ingress.spec.ingressClassName or ingress.metadata.annotations.get(CLASS_ANNOTATION, "")


def validate(ingress: Ingress) -> Findings:
    spec, out = ingress.spec, Findings()
    if not spec.rules and spec.defaultBackend is None:
        out.append(field.invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if spec.defaultBackend is not None:
        out += _backend(spec.defaultBackend, "spec.defaultBackend")
    for index, rule in enumerate(spec.rules):
        out += _rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.tls):
        for number, host in enumerate(tls.hosts):
            check = names.wildcard_dns1123_subdomain if "*" in host else names.dns1123_subdomain
            out += checks.named(host, check, f"spec.tls[{index}].hosts[{number}]")
        if tls.secretName:
            out += checks.named(tls.secretName, names.dns1123_subdomain, f"spec.tls[{index}].secretName")
    if spec.ingressClassName is not None:
        out += checks.named(spec.ingressClassName, names.dns1123_subdomain, "spec.ingressClassName")
    return out


def validate_create(ingress: Ingress) -> Findings:
    annotation, name = ingress.metadata.annotations.get(CLASS_ANNOTATION), ingress.spec.ingressClassName
    if annotation is None or name is None or annotation == name:
        return []
    return [field.invalid(f"annotations.{CLASS_ANNOTATION}", annotation,
                          "must match `ingressClassName` when both are specified")]


def _rule(rule: IngressRule, at: str) -> Findings:
    out: Findings = []
    if rule.host:
        if addresses.parse_ip_sloppy(rule.host) is not None:
            out.append(field.invalid(f"{at}.host", rule.host, "must be a DNS name, not an IP address"))
        check = names.wildcard_dns1123_subdomain if "*" in rule.host else names.dns1123_subdomain
        out += checks.named(rule.host, check, f"{at}.host")
    if rule.http is None:
        return out
    if not rule.http.paths:
        out.append(field.required(f"{at}.http.paths"))
    for index, path in enumerate(rule.http.paths or ()):
        out += _path(path, f"{at}.http.paths[{index}]")
    return out


def _path(path: HTTPIngressPath, at: str) -> Findings:
    if path.pathType is None:
        return [field.required(f"{at}.pathType", "pathType must be specified")]
    text, out = path.path, Findings()
    if path.pathType not in PATH_TYPES:
        out.append(field.not_supported(f"{at}.pathType", path.pathType, PATH_TYPES))
    else:
        strict = path.pathType != "ImplementationSpecific"
        if (text or strict) and not text.startswith("/"):
            out.append(field.invalid(f"{at}.path", text, "must be an absolute path"))
        if strict:
            out += [field.invalid(f"{at}.path", text, f"must not contain '{bad}'") for bad in _BAD_SEQUENCES if bad in text]
            out += [field.invalid(f"{at}.path", text, f"cannot end with '{bad}'")
                    for bad in _BAD_SUFFIXES if text.endswith(bad)]
    return out + _backend(path.backend, f"{at}.backend")


def _backend(backend: IngressBackend, at: str) -> Findings:
    if backend.resource is not None and backend.service is not None:
        return [field.invalid(at, "", "cannot set both resource and service backends")]
    if backend.resource is not None:
        return typed_reference(backend.resource, f"{at}.resource")
    if backend.service is None:
        return [field.invalid(at, "", "resource or service backend is required")]
    service, out = backend.service, Findings()
    # service names are held to RFC 1123 labels: RelaxedServiceNameValidation is on
    out += checks.required_name(service.name, names.dns1123_label, f"{at}.service.name")
    if service.port.name and service.port.number:
        out.append(field.invalid(at, "", "cannot set both port name & port number"))
    elif service.port.name:
        out += checks.named(service.port.name, names.port_name, f"{at}.service.port.name")
    elif service.port.number:
        out += field.invalid_each(f"{at}.service.port.number", service.port.number, names.port_number(service.port.number))
    else:
        out.append(field.required(at, "port name or number is required"))
    return out


def typed_reference(ref: TypedLocalObjectReference, at: str) -> Findings:
    """A reference to an object of any kind in the same namespace."""
    out: Findings = []
    if ref.apiGroup is not None:
        out += checks.named(ref.apiGroup, names.dns1123_subdomain, f"{at}.apiGroup")
    out += checks.required_name(ref.kind, names.path_segment_name, f"{at}.kind")
    return out + checks.required_name(ref.name, names.path_segment_name, f"{at}.name")


def validate_status(new: Ingress, old: Ingress) -> Findings:
    known = [one.ip for one in old.status.loadBalancer.ingress if one.ip]
    out: Findings = []
    for index, one in enumerate(new.status.loadBalancer.ingress):
        at = f"status.loadBalancer.ingress[{index}]"
        if one.ip:
            out += addresses.ip_for_legacy_field(f"{at}.ip", one.ip, old=known)
        if one.hostname:
            out += checks.named(one.hostname, names.dns1123_subdomain, f"{at}.hostname")
            if addresses.parse_ip_sloppy(one.hostname) is not None:
                out.append(field.invalid(f"{at}.hostname", one.hostname, "must be a DNS name, not an IP address"))
    return out


def warnings(new: Ingress, old: Ingress | None) -> list[str]:
    if old is None and CLASS_ANNOTATION in new.metadata.annotations:
        return [f"annotation {_quoted(CLASS_ANNOTATION)} is deprecated, please use 'spec.ingressClassName' instead"]
    return []


def _quoted(text: str) -> str:
    return f'"{text}"'


def _hosts(ingress: Ingress, _: datetime) -> str:
    return first_few([rule.host for rule in ingress.spec.rules if rule.host], 3) or "*"


def _address(ingress: Ingress, _: datetime) -> str:
    return ",".join(one.ip or one.hostname for one in ingress.status.loadBalancer.ingress if one.ip or one.hostname)


KIND: Kind[Ingress] = Kind(
    resource=INGRESSES,
    metadata="both",
    prepare_create=meta.first_without_status,
    prepare_update=meta.change_spec,
    validate=validate,
    validate_create=validate_create,
    subkinds=(SubKind("status", meta.keep_spec, validate_status),),
    columns=(
        Column("Name", lambda ingress, _: ingress.metadata.name, format="name"),
        Column("Class", lambda ingress, _: class_name(ingress) or "<none>"),
        Column("Hosts", _hosts),
        Column("Address", _address),
        Column("Ports", lambda ingress, _: "80, 443" if ingress.spec.tls else "80"),
        Column("Age", age),
    ),
    warnings=warnings,
)
