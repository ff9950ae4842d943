"""Validation of a whole pod spec or template: calls the themes and checks what stands between them.

Source: kubernetes `pkg/apis/core/validation` (`ValidatePodSpec`, `ValidatePodTemplateSpec`).
"""

from __future__ import annotations

from collections.abc import Collection

from sampan.api import addresses, field, names, quantity
from sampan.api.core.v1 import PodDNSConfig, PodResourceClaim, PodSpec, PodTemplateSpec, ResourceRequirements
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import ObjectMeta
from sampan.kinds import label_selectors
from sampan.kinds.core.pod_spec import containers, marks, resources, scheduling, security, windows
from sampan.kinds.core.pod_spec.aggregate import aggregate_limits, aggregate_requests
from sampan.kinds.core.pod_spec.volumes import volumes

Errors = list[FieldError]

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_INT32 = 2**31 - 1
_MAX_OVERRIDE = 64
_MAX_NAME_SERVERS, _MAX_SEARCHES, _MAX_SEARCH_CHARS = 3, 32, 2048


def validate_pod_template(template: PodTemplateSpec, path: str, old: PodTemplateSpec | None = None) -> Errors:
    """All findings about a template (labels, annotations, spec) at `path`, e.g. `spec.template`.

    `old`, where given, allows values that were stored before they became invalid.
    """
    metadata, spec = template.metadata, template.spec
    errors = validate_template_marks(template, path, old)
    errors += validate_pod_spec(spec, f"{path}.spec")
    if metadata.annotations:
        marks.match_fields(errors, metadata.annotations, spec, f"{path}.spec")
    if spec.ephemeralContainers:
        errors.append(field.forbidden(f"{path}.spec.ephemeralContainers",
                                      "ephemeral containers not allowed in pod template"))
    return errors


def validate_template_marks(template: PodTemplateSpec, path: str, old: PodTemplateSpec | None = None) -> Errors:
    """Those about the labels and annotations of a template."""
    errors: Errors = []
    metadata = template.metadata
    if metadata.labels:
        label_selectors.labels(errors, metadata.labels, f"{path}.labels")
    if metadata.annotations:
        marks.keys_and_size(errors, metadata.annotations, f"{path}.annotations")
        marks.pod_annotations(errors, metadata.annotations, template.spec, f"{path}.annotations",
                              old.metadata.annotations if old is not None else None)
    return errors


def validate_pod_spec(spec: PodSpec, path: str, metadata: ObjectMeta | None = None, *, old: PodSpec | None = None) -> Errors:
    """All findings about a pod spec; `metadata` is the pod's own, None within a template; `old`: as it was before."""
    errors: Errors = []
    if spec.terminationGracePeriodSeconds is None:
        errors.append(field.required(f"{path}.terminationGracePeriodSeconds"))
    valid = volumes(errors, spec.volumes, f"{path}.volumes", metadata) if spec.volumes else {}
    claims: frozenset[str] | tuple[()] = ()
    if spec.resourceClaims:
        claims = frozenset(claim.name for claim in spec.resourceClaims if claim.name)
        _resource_claims(errors, spec.resourceClaims, f"{path}.resourceClaims",
                         static=metadata is not None and marks.MIRROR in metadata.annotations)
    context = containers.Context(spec, valid, claims, spec.hostUsers is not False, metadata is not None)
    containers.containers(errors, context, path)
    if spec.resources is not None:
        _pod_resources(errors, spec, spec.resources, f"{path}.resources", claims)
    if spec.hostNetwork:
        _host_network_ports(errors, spec, f"{path}.containers", is_pod=metadata is not None)
    if spec.restartPolicy not in RESTART_POLICIES:
        errors.append(field.not_supported(f"{path}.restartPolicy", spec.restartPolicy, RESTART_POLICIES)
                      if spec.restartPolicy else field.required(f"{path}.restartPolicy"))
    if spec.dnsPolicy not in _DNS_POLICIES:
        errors.append(field.not_supported(f"{path}.dnsPolicy", spec.dnsPolicy, _DNS_POLICIES)
                      if spec.dnsPolicy else field.required(f"{path}.dnsPolicy"))
    if spec.nodeSelector:
        label_selectors.labels(errors, spec.nodeSelector, f"{path}.nodeSelector")
    if spec.securityContext is not None:
        before = old.securityContext if old is not None else None
        security.pod_context(errors, spec.securityContext, spec, f"{path}.securityContext",
                             had_policy=before is not None and before.seLinuxChangePolicy is not None)
    if spec.affinity is not None:
        scheduling.affinity(errors, spec.affinity, f"{path}.affinity")
    if spec.dnsConfig is not None or spec.dnsPolicy == "None":
        _dns_config(errors, spec, f"{path}.dnsConfig")
    _scheduling(errors, spec, path)
    windows.host_process(errors, spec, path)
    _own_users(errors, spec, path)
    _names(errors, spec, path)
    if spec.tolerations:
        scheduling.tolerations(errors, spec.tolerations, f"{path}.tolerations")
    _host_aliases(errors, spec, f"{path}.hostAliases")
    _classes(errors, spec, path)
    windows.operating_system(errors, spec, path)
    _file_keys(errors, spec, path)
    return errors


def _own_users(errors: Errors, spec: PodSpec, path: str) -> None:
    """What a pod in a user namespace of its own can't have."""
    if spec.hostUsers is not False:
        return
    detail = "when `hostUsers` is false"
    errors += [field.forbidden(f"{path}.{name}", detail) for name, used in
               (("hostNetwork", spec.hostNetwork), ("HostPID", spec.hostPID), ("HostIPC", spec.hostIPC)) if used]
    errors += [field.forbidden(f"{at}.volumeDevices", detail)
               for container, at in windows.every_container(spec, path) if container.volumeDevices]


def _file_keys(errors: Errors, spec: PodSpec, path: str) -> None:
    """Variables from files need a volume that is an emptyDir."""
    known = {volume.name: volume for volume in spec.volumes}
    for container, at in windows.every_container(spec, path):
        for index, variable in enumerate(container.env):
            if variable.valueFrom is None or variable.valueFrom.fileKeyRef is None:
                continue
            where, name = f"{at}.env[{index}].valueFrom.fileKeyRef.volumeName", variable.valueFrom.fileKeyRef.volumeName
            if name not in known:
                errors.append(field.not_found(where, name))
            elif known[name].emptyDir is None:
                errors.append(field.invalid(where, name, "referenced volume must be of type emptyDir"))


def _host_aliases(errors: Errors, spec: PodSpec, path: str) -> None:
    for index, alias in enumerate(spec.hostAliases):
        errors += addresses.ip_for_legacy_field(f"{path}[{index}].ip", alias.ip)
        for position, host in enumerate(alias.hostnames):
            errors += field.invalid_each(f"{path}[{index}].hostnames[{position}]", host, names.dns1123_subdomain(host))


def _scheduling(errors: Errors, spec: PodSpec, path: str) -> None:
    for index, gate in enumerate(spec.readinessGates):
        if messages := names.qualified_name(gate.conditionType):
            errors += field.invalid_each(f"{path}.readinessGates[{index}].conditionType", gate.conditionType, messages)
    if spec.schedulingGates:
        scheduling.scheduling_gates(errors, spec.schedulingGates, f"{path}.schedulingGates")
    if spec.topologySpreadConstraints:
        scheduling.spread_constraints(errors, spec.topologySpreadConstraints, f"{path}.topologySpreadConstraints")


def _names(errors: Errors, spec: PodSpec, path: str) -> None:
    if spec.hostnameOverride is not None:
        _hostname_override(errors, spec, spec.hostnameOverride, f"{path}.hostnameOverride")
    if spec.serviceAccountName and (messages := names.dns1123_subdomain(spec.serviceAccountName)):
        errors += field.invalid_each(f"{path}.serviceAccountName", spec.serviceAccountName, messages)
    if spec.nodeName and (messages := names.dns1123_subdomain(spec.nodeName)):
        errors += field.invalid_each(f"{path}.nodeName", spec.nodeName, messages)
    deadline = spec.activeDeadlineSeconds
    if deadline is not None and not 1 <= deadline <= _MAX_INT32:
        errors.append(field.invalid(f"{path}.activeDeadlineSeconds", deadline, names.range_error(1, _MAX_INT32)))
    if spec.hostname and (messages := names.dns1123_label(spec.hostname)):
        errors += field.invalid_each(f"{path}.hostname", spec.hostname, messages)
    if spec.subdomain and (messages := names.dns1123_label(spec.subdomain)):
        errors += field.invalid_each(f"{path}.subdomain", spec.subdomain, messages)


def _hostname_override(errors: Errors, spec: PodSpec, override: str, path: str) -> None:
    if spec.setHostnameAsFQDN:
        errors.append(field.forbidden(path, "may not be specified when setHostnameAsFQDN is true"))
    if spec.hostNetwork:
        errors.append(field.forbidden(path, "may not be specified when hostNetwork is true"))
    if len(override.encode()) > _MAX_OVERRIDE:
        errors.append(field.too_long(path, _MAX_OVERRIDE))
    errors += field.invalid_each(path, override, names.dns1123_subdomain(override))


def _classes(errors: Errors, spec: PodSpec, path: str) -> None:
    if spec.priorityClassName and (messages := names.dns1123_subdomain(spec.priorityClassName)):
        errors += field.invalid_each(f"{path}.priorityClassName", spec.priorityClassName, messages)
    if spec.runtimeClassName is not None:
        errors += field.invalid_each(f"{path}.runtimeClassName", spec.runtimeClassName,
                                     names.dns1123_subdomain(spec.runtimeClassName))
    policy = spec.preemptionPolicy
    if policy is not None and policy not in ("PreemptLowerPriority", "Never"):
        at = f"{path}.preemptionPolicy"
        errors.append(field.not_supported(at, policy, ("PreemptLowerPriority", "Never")) if policy else field.required(at))
    if spec.overhead:
        resources.requirements(errors, ResourceRequirements(limits=spec.overhead), f"{path}.overhead", ())


def _resource_claims(errors: Errors, claims: list[PodResourceClaim], path: str, *, static: bool) -> None:
    seen: set[str] = set()
    if static:
        errors += [field.forbidden(field.WHOLE, "static pods do not support resource claims") for _ in claims]
        return
    for index, claim in enumerate(claims):
        at = f"{path}[{index}]"
        if not claim.name:
            errors.append(field.required(f"{at}.name"))
        elif claim.name in seen:
            errors.append(field.duplicate(f"{at}.name", claim.name))
        else:
            errors += field.invalid_each(f"{at}.name", claim.name, names.dns1123_label(claim.name))
            seen.add(claim.name)
        given = (claim.resourceClaimName is not None) + (claim.resourceClaimTemplateName is not None)
        if given != 1:
            shown = {"Name": claim.name, "ResourceClaimName": claim.resourceClaimName,
                     "ResourceClaimTemplateName": claim.resourceClaimTemplateName}
            errors.append(field.invalid(at, shown, "at most one of `resourceClaimName` or `resourceClaimTemplateName` "
                                                   "may be specified" if given else
                                        "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
        for name in ("resourceClaimName", "resourceClaimTemplateName"):
            value = getattr(claim, name)
            if value is not None:
                errors += field.invalid_each(f"{at}.{name}", value, names.dns1123_subdomain(value))


def _pod_resources(errors: Errors, spec: PodSpec, wanted: ResourceRequirements, path: str, claims: Collection[str]) -> None:
    if spec.os is not None and spec.os.name == "windows":
        errors.append(field.forbidden(path, "may not be set for a windows pod"))
        return
    if wanted.claims:
        errors.append(field.forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    resources.requirements(errors, wanted, path, claims, resources.pod_resource_name)
    for side, given, together in (("request", wanted.requests, aggregate_requests(spec)),
                                  ("limit", wanted.limits, aggregate_limits(spec))):
        for name, total in together.items():
            if name in given and (side == "request" or resources.is_huge_page(name)) and quantity.cmp(total, given[name]) > 0:
                errors.append(field.invalid(f"{path}.{side}s[{name}]", given[name],
                                            f"must be greater than or equal to aggregate container {side}s of {total}"))
    for index, container in enumerate(spec.containers or ()):
        for name, limit in container.resources.limits.items():
            most = wanted.limits.get(name)
            if most is not None and quantity.cmp(limit, most) > 0:
                errors.append(field.invalid(f"{path}.containers[{index}][{name}].limits", limit,
                                            f"must be less than or equal to pod limits of {most}"))


def _host_network_ports(errors: Errors, spec: PodSpec, path: str, *, is_pod: bool) -> None:
    for index, container in enumerate(spec.containers or ()):
        for position, port in enumerate(container.ports):
            if (is_pod or port.hostPort) and port.hostPort != port.containerPort:
                errors.append(field.invalid(f"{path}[{index}].ports[{position}].hostPort", port.hostPort,
                                            "must match `containerPort` when `hostNetwork` is true"))


def _dns_config(errors: Errors, spec: PodSpec, path: str) -> None:
    config = spec.dnsConfig
    if spec.dnsPolicy == "None":
        if config is None:
            errors.append(field.required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
            return
        if not config.nameservers:
            errors.append(field.required(f"{path}.nameservers",
                                         "must provide at least one DNS nameserver when `dnsPolicy` is None"))
            return
    if config is not None:
        _dns_entries(errors, config, path)


def _dns_entries(errors: Errors, config: PodDNSConfig, path: str) -> None:
    if len(config.nameservers) > _MAX_NAME_SERVERS:
        errors.append(field.invalid(f"{path}.nameservers", config.nameservers,
                                    f"must not have more than {_MAX_NAME_SERVERS} nameservers"))
    for index, server in enumerate(config.nameservers):
        errors += addresses.ip_for_legacy_field(f"{path}.nameservers[{index}]", server)
    if len(config.searches) > _MAX_SEARCHES:
        errors.append(field.invalid(f"{path}.searches", config.searches,
                                    f"must not have more than {_MAX_SEARCHES} search paths"))
    if len(" ".join(config.searches)) > _MAX_SEARCH_CHARS:
        errors.append(field.invalid(f"{path}.searches", config.searches, f"must not have more than {_MAX_SEARCH_CHARS} "
                                                                         "characters (including spaces) in the search list"))
    for index, search in enumerate(config.searches):
        if search != ".":
            name = search.removesuffix(".")
            errors += field.invalid_each(f"{path}.searches[{index}]", name, names.dns1123_subdomain_with_underscore(name))
    errors += [field.required(f"{path}.options[{index}]", "must not be empty")
               for index, option in enumerate(config.options) if not option.name]
