"""Findings about Services. Source: kubernetes `pkg/apis/core/validation` (`ValidateService`, `ValidateServiceUpdate`)."""

from __future__ import annotations

from sampan.api import addresses, field, names
from sampan.api.core.v1 import Service, ServicePort
from sampan.api.errors import FieldError
from sampan.kinds import checks, label_selectors
from sampan.kinds.core.pod_spec.containers import PROTOCOLS
from sampan.kinds.core.pod_spec.probes import port as port_or_name
from sampan.kinds.core.service_questions import NO_CLUSTER_IP, is_externally_accessible, needs_health_check

Errors = list[FieldError]

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_ONE_DAY = 86400
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"
_ONLY_BALANCERS = "may only be used when `type` is 'LoadBalancer'"
_SET_ONCE = "may not change once set"


def _headless(service: Service) -> bool:
    return service.spec.clusterIPs == [NO_CLUSTER_IP]


def validate(service: Service, old: Service | None = None) -> Errors:
    """All findings about a Service; addresses of the `old` one pass as they are."""
    errors: Errors = []
    annotations, spec = service.metadata.annotations, service.spec
    if _MODE in annotations and _HINTS in annotations and annotations[_MODE] != annotations[_HINTS]:
        errors.append(field.invalid(f"metadata.annotations[{_MODE}]", annotations[_MODE],
                                    f"must match annotations[{_HINTS}] when both are specified"))
    _by_type(errors, service)
    _ports(errors, service)
    if spec.selector:
        label_selectors.labels(errors, spec.selector, "spec.selector")
    _affinity(errors, service)
    errors += cluster_ips(service, old)
    known = old.spec.externalIPs if old is not None else ()
    for index, ip in enumerate(spec.externalIPs):
        found = addresses.ip_for_legacy_field(f"spec.externalIPs[{index}]", ip, old=known)
        errors += found or checks.non_special_ip(ip, f"spec.externalIPs[{index}]")
    if spec.type not in _TYPES:
        errors.append(field.not_supported("spec.type", spec.type, _TYPES) if spec.type else field.required("spec.type"))
    _port_pairs(errors, service)
    _balancer(errors, service, old)
    _traffic(errors, service)
    return errors


def _by_type(errors: Errors, service: Service) -> None:
    spec = service.spec
    if not spec.ports and not _headless(service) and spec.type != "ExternalName":
        errors.append(field.required("spec.ports"))
    if spec.type in ("LoadBalancer", "NodePort") and _headless(service):
        errors.append(field.invalid("spec.clusterIPs[0]", spec.clusterIPs[0],
                                    f"may not be set to 'None' for {spec.type} services"))
    if spec.type != "ExternalName":
        return
    for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if getattr(spec, name):
            errors.append(field.forbidden(f"spec.{name}", "may not be set for ExternalName services"))
    cname = spec.externalName.removesuffix(".")
    errors += (field.invalid_each("spec.externalName", cname, names.dns1123_subdomain(cname)) if cname
               else [field.required("spec.externalName")])


def _ports(errors: Errors, service: Service) -> None:
    ports, seen = service.spec.ports, set[str]()
    for index, one in enumerate(ports):
        path = f"spec.ports[{index}]"
        if one.name:
            errors += field.invalid_each(f"{path}.name", one.name, names.dns1123_label(one.name))
            if one.name in seen:
                errors.append(field.duplicate(f"{path}.name", one.name))
            seen.add(one.name)
        elif len(ports) > 1:
            errors.append(field.required(f"{path}.name"))
        if not 1 <= one.port <= 65535:
            errors += field.invalid_each(f"{path}.port", one.port, names.port_number(one.port))
        if one.protocol not in PROTOCOLS:
            errors.append(field.not_supported(f"{path}.protocol", one.protocol, PROTOCOLS) if one.protocol
                          else field.required(f"{path}.protocol"))
        port_or_name(errors, one.targetPort, f"{path}.targetPort")
        if one.appProtocol is not None:
            errors += field.invalid_each(f"{path}.appProtocol", one.appProtocol, names.qualified_name(one.appProtocol))


def _port_pairs(errors: Errors, service: Service) -> None:
    ports = service.spec.ports
    if service.spec.type == "ClusterIP":
        errors += [field.forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
                   for index, one in enumerate(ports) if one.nodePort]
    seen: set[tuple[str, int]] = set()
    for index, one in enumerate(ports):
        if one.nodePort:
            if (one.protocol, one.nodePort) in seen:
                errors.append(field.duplicate(f"spec.ports[{index}].nodePort", one.nodePort))
            seen.add((one.protocol, one.nodePort))
    seen = set()
    for index, one in enumerate(ports):
        if (one.protocol, one.port) in seen:
            errors.append(field.duplicate(f"spec.ports[{index}]", _pair(one)))
        seen.add((one.protocol, one.port))


def _pair(port: ServicePort) -> dict[str, object]:
    return {"Name": "", "Protocol": port.protocol, "AppProtocol": None, "Port": port.port, "TargetPort": 0, "NodePort": 0}


def _affinity(errors: Errors, service: Service) -> None:
    affinity, config = service.spec.sessionAffinity, service.spec.sessionAffinityConfig
    if affinity not in ("ClientIP", "None"):
        errors.append(field.not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None")) if affinity
                      else field.required("spec.sessionAffinity"))
    path, when = "spec.sessionAffinityConfig", "when session affinity type is ClientIP"
    if affinity == "None" and config is not None:
        errors.append(field.forbidden(path, "must not be set when session affinity is None"))
    if affinity != "ClientIP":
        return
    if config is None:
        errors.append(field.required(path, when))
    elif config.clientIP is None:
        errors.append(field.required(f"{path}.clientIP", when))
    elif config.clientIP.timeoutSeconds is None:
        errors.append(field.required(f"{path}.clientIP.timeoutSeconds", when))
    elif not 0 < config.clientIP.timeoutSeconds <= _ONE_DAY:
        errors.append(field.invalid(f"{path}.clientIP.timeoutSeconds", config.clientIP.timeoutSeconds,
                                    f"must be greater than 0 and less than {_ONE_DAY}"))


def cluster_ips(service: Service, old: Service | None = None) -> Errors:
    """Findings about `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`, also before addresses are given out."""
    spec = service.spec
    errors: Errors = []
    if spec.type == "ExternalName":
        return errors
    path, ips = "spec.clusterIPs", spec.clusterIPs
    if spec.clusterIP:
        if not ips:
            errors.append(field.required(path))
        elif ips[0] != spec.clusterIP:
            errors.append(field.invalid(path, ips, "first value must match `clusterIP`"))
    elif ips:
        errors.append(field.invalid(path, ips, "must be empty when `clusterIP` is not specified"))
    _families(errors, service)
    invalid = _each_cluster_ip(errors, ips, old.spec.clusterIPs if old is not None else [])
    if len(ips) > 2:
        errors.append(field.invalid(path, ips, "may only hold up to 2 values"))
    if invalid:
        return errors
    if len(ips) > 1 and len({":" in ip for ip in ips}) < 2:
        errors.append(field.invalid(path, ips, "may specify no more than one IP for each IP family"))
    if not _headless(service):
        for index, (ip, family) in enumerate(zip(ips, spec.ipFamilies, strict=False)):
            if family in _FAMILIES and (family == "IPv6") != (":" in ip):
                errors.append(field.invalid(f"{path}[{index}]", ip, f"expected an {family} value as indicated by "
                                                                    f"`ipFamilies[{index}]`"))
    return errors


def _families(errors: Errors, service: Service) -> None:
    spec = service.spec
    again = set(checks.repeated(spec.ipFamilies))
    for index, family in enumerate(spec.ipFamilies):
        if family not in _FAMILIES:
            errors.append(field.not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES))
        if index in again:
            errors.append(field.duplicate(f"spec.ipFamilies[{index}]", family))
    if spec.ipFamilyPolicy is not None and spec.ipFamilyPolicy not in _FAMILY_POLICIES:
        errors.append(field.not_supported("spec.ipFamilyPolicy", spec.ipFamilyPolicy, _FAMILY_POLICIES))


def _each_cluster_ip(errors: Errors, ips: list[str], known: list[str]) -> bool:
    """Whether one of them is no address."""
    invalid = False
    for index, ip in enumerate(ips):
        if index == 0 and ip == NO_CLUSTER_IP:
            if len(ips) > 1:
                invalid = True
                errors.append(field.invalid("spec.clusterIPs", ips, "'None' must be the first and only value"))
            continue
        found = addresses.ip_for_legacy_field(f"spec.clusterIPs[{index}]", ip, old=known)
        invalid = invalid or bool(found)
        errors += found
    return invalid


def _balancer(errors: Errors, service: Service, old: Service | None) -> None:
    spec, is_balancer = service.spec, service.spec.type == "LoadBalancer"
    if spec.loadBalancerSourceRanges:
        path = "spec.LoadBalancerSourceRanges"
        if not is_balancer:
            errors.append(field.forbidden(path, _ONLY_BALANCERS))
        known = [one.strip() for one in old.spec.loadBalancerSourceRanges] if old is not None else []
        for index, value in enumerate(spec.loadBalancerSourceRanges):
            errors += addresses.cidr_for_legacy_field(f"{path}[{index}]", value.strip(), old=known)
    elif _SOURCE_RANGES in service.metadata.annotations:
        path, text = f"metadata.annotations[{_SOURCE_RANGES}]", service.metadata.annotations[_SOURCE_RANGES].strip()
        if not is_balancer:
            errors.append(field.forbidden(path, _ONLY_BALANCERS))
        if old is not None and old.metadata.annotations.get(_SOURCE_RANGES) == service.metadata.annotations[_SOURCE_RANGES]:
            text = ""
        for value in text.split(",") if text else ():
            errors += addresses.cidr_for_legacy_field(path, value.strip())
    if spec.allocateLoadBalancerNodePorts is not None and not is_balancer:
        errors.append(field.forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCERS))
    if is_balancer and spec.allocateLoadBalancerNodePorts is None:
        errors.append(field.required("allocateLoadBalancerNodePorts"))
    _balancer_class(errors, service)


def _balancer_class(errors: Errors, service: Service) -> None:
    wanted = service.spec.loadBalancerClass
    if wanted is None:
        return
    if service.spec.type == "LoadBalancer":
        errors += field.invalid_each("spec.loadBalancerClass", wanted, names.qualified_name(wanted))
    else:
        errors.append(field.forbidden("spec.loadBalancerClass", _ONLY_BALANCERS))


def _traffic(errors: Errors, service: Service) -> None:
    spec = service.spec
    outside, inside = spec.externalTrafficPolicy, spec.internalTrafficPolicy
    if not is_externally_accessible(service):
        if outside:
            errors.append(field.invalid("spec.externalTrafficPolicy", outside,
                                        "may only be set for externally-accessible services"))
    elif outside not in _POLICIES:
        errors.append(field.not_supported("spec.externalTrafficPolicy", outside, _POLICIES) if outside
                      else field.required("spec.externalTrafficPolicy"))
    if not needs_health_check(service):
        if spec.healthCheckNodePort:
            errors.append(field.invalid("spec.healthCheckNodePort", spec.healthCheckNodePort, "may only be set when `type` is "
                                        "'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
    elif not spec.healthCheckNodePort:
        errors.append(field.required("spec.healthCheckNodePort"))
    else:
        errors += field.invalid_each("spec.healthCheckNodePort", spec.healthCheckNodePort,
                                     names.port_number(spec.healthCheckNodePort))
    if inside is None:
        if spec.type in ("ClusterIP", "NodePort", "LoadBalancer"):
            errors.append(field.required("spec.internalTrafficPolicy"))
    elif inside not in _POLICIES:
        errors.append(field.not_supported("spec.internalTrafficPolicy", inside, _POLICIES))
    if spec.trafficDistribution is not None and spec.trafficDistribution not in _DISTRIBUTIONS:
        errors.append(field.not_supported("spec.trafficDistribution", spec.trafficDistribution, _DISTRIBUTIONS))


# -- update -------------------------------------------------------------------------------------------------------------


def validate_update(new: Service, old: Service) -> Errors:
    """Findings about a change: addresses and families of a Service stay what they are, except from and to ExternalName."""
    errors: Errors = []
    if "ExternalName" not in (new.spec.type, old.spec.type):
        if not (_headless(old) and _headless(new)):
            _kept(errors, new, old, "clusterIPs", "clusterIP")
        if not _headless(old) and not _headless(new):
            _kept(errors, new, old, "ipFamilies", "ipFamily")
    if new.spec.type == old.spec.type == "LoadBalancer" and new.spec.loadBalancerClass != old.spec.loadBalancerClass:
        errors.append(field.invalid("spec.loadBalancerClass", new.spec.loadBalancerClass, _SET_ONCE))
    _balancer_class(errors, new)  # as upstream, here and with all the rest
    if needs_health_check(old) and needs_health_check(new) and new.spec.healthCheckNodePort != old.spec.healthCheckNodePort:
        errors.append(field.forbidden("spec.healthCheckNodePort", field.IMMUTABLE))
    return errors


def _kept(errors: Errors, new: Service, old: Service, name: str, single: str) -> None:
    now: list[str] = getattr(new.spec, name)
    was: list[str] = getattr(old.spec, name)
    path = f"spec.{name}"
    if len(now) == len(was):
        errors += [field.invalid(f"{path}[{index if name == 'clusterIPs' else 0}]", now or None, _SET_ONCE)
                   for index, (one, before) in enumerate(zip(now, was, strict=True)) if one != before]
        return
    if len(was) > len(now):
        if not new.spec.clusterIPs:
            errors.append(field.invalid(f"{path}[0]", now or None, f"primary {single} can not be unset"))
        if now and now[0] != was[0]:
            errors.append(field.invalid(f"{path}[0]", new.spec.clusterIPs or None, _SET_ONCE))
        if len(now) == 1 and new.spec.ipFamilyPolicy != "SingleStack":
            errors.append(field.invalid("spec.ipFamilyPolicy", new.spec.ipFamilyPolicy,
                                        f"must be set to 'SingleStack' when releasing the secondary {single}"))
    elif was and now[0] != was[0]:
        errors.append(field.invalid(f"{path}[0]", new.spec.clusterIPs or None, _SET_ONCE))


def validate_status(new: Service, old: Service) -> Errors:
    """Findings about `status.loadBalancer`."""
    errors: Errors = []
    path, ingresses = "status.loadBalancer.ingress", new.status.loadBalancer.ingress
    if ingresses and new.spec.type != "LoadBalancer":
        return [field.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    known = [one.ip for one in old.status.loadBalancer.ingress]
    for index, one in enumerate(ingresses):
        at = f"{path}[{index}]"
        if one.ip:
            errors += addresses.ip_for_legacy_field(f"{at}.ip", one.ip, old=known)
        if one.ipMode is None:
            if one.ip:
                errors.append(field.required(f"{at}.ipMode", "must be specified when `ip` is set"))
        elif not one.ip:
            errors.append(field.forbidden(f"{at}.ipMode", "may not be specified when `ip` is not set"))
        elif one.ipMode not in ("Proxy", "VIP"):
            errors.append(field.not_supported(f"{at}.ipMode", one.ipMode, ("Proxy", "VIP")))
        if one.hostname:
            errors += field.invalid_each(f"{at}.hostname", one.hostname, names.dns1123_subdomain(one.hostname))
            if addresses.parse_ip_sloppy(one.hostname) is not None:
                errors.append(field.invalid(f"{at}.hostname", one.hostname, "must be a DNS name, not an IP address"))
    return errors
