"""A container's environment: literals, references, Service links, `$(VAR)` expansion. Pure.

Source: kubelet `pkg/kubelet/kubelet_pods.go` (makeEnvironmentVariables), `third_party/forked/golang/expansion`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sampan.api.core.v1 import ConfigMap, Container, EnvVar, Pod, Secret, Service
from sampan.node.fieldref import NodeFacts, UnknownField, field_value, resource_value


class ConfigProblem(Exception):
    """The container cannot be configured now; becomes CreateContainerConfigError with this message."""


@dataclass(frozen=True)
class Sources:
    """Where references are looked up; None means that the object does not exist."""

    config_map: Callable[[str, str], ConfigMap | None]
    secret: Callable[[str, str], Secret | None]
    services: Callable[[str], Iterable[Service]]


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` where NAME is known; `$$` is a dollar sign; unknown references stay."""
    out, index = [], 0
    while (dollar := text.find("$", index)) >= 0:
        out.append(text[index:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            out.append("$")
            index = dollar + 2
        elif following == "(" and (end := text.find(")", dollar)) >= 0:
            name = text[dollar + 2 : end]
            out.append(values.get(name, text[dollar : end + 1]))
            index = end + 1
        else:
            out.append("$")
            index = dollar + 1
    out.append(text[index:])
    return "".join(out)


def service_links(pod: Pod, sources: Sources) -> dict[str, str]:
    """`NAME_SERVICE_HOST`, `NAME_PORT_…` for the Services of the pod's namespace and the API's own."""
    wanted: dict[str, Service] = {}
    for namespace in dict.fromkeys(("default", pod.metadata.namespace)):
        for service in sources.services(namespace):
            if service.spec.clusterIP in ("", "None"):
                continue
            if service.metadata.name == "kubernetes" and namespace == "default":
                wanted["kubernetes"] = service
            elif namespace == pod.metadata.namespace and pod.spec.enableServiceLinks is not False:
                wanted[service.metadata.name] = service
    out: dict[str, str] = {}
    for name, service in sorted(wanted.items()):
        out |= _links_of(name, service)
    return out


def _links_of(name: str, service: Service) -> dict[str, str]:
    prefix, ip, ports = name.upper().replace("-", "_"), service.spec.clusterIP, service.spec.ports
    if not ports:
        return {}
    out = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(ports[0].port)}
    for port in ports:
        if port.name:
            out[f"{prefix}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
    first = ports[0]
    out[f"{prefix}_PORT"] = f"{(first.protocol or 'TCP').lower()}://{_bracketed(ip)}:{first.port}"
    for port in ports:
        protocol = (port.protocol or "TCP").upper()
        base = f"{prefix}_PORT_{port.port}_{protocol}"
        out |= {
            base: f"{protocol.lower()}://{_bracketed(ip)}:{port.port}",
            f"{base}_PROTO": protocol.lower(),
            f"{base}_PORT": str(port.port),
            f"{base}_ADDR": ip,
        }
    return out


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


_ENV_NAME = re.compile(r"[^=]+")


def environment(pod: Pod, container: Container, sources: Sources, node: NodeFacts) -> dict[str, str]:
    """Every variable of the container, in upstream's precedence: Service links, envFrom, env.

    Raises:
        ConfigProblem: A reference that is not optional has no target.
    """
    out = dict(service_links(pod, sources)) if pod.spec.enableServiceLinks is not False else {
        k: v for k, v in service_links(pod, sources).items() if k.startswith("KUBERNETES_")}
    namespace = pod.metadata.namespace
    for source in container.envFrom:
        if source.configMapRef is not None:
            found = _config_map(sources, namespace, source.configMapRef.name, bool(source.configMapRef.optional))
            out |= {f"{source.prefix}{k}": v for k, v in (found.data if found else {}).items() if _ENV_NAME.fullmatch(k)}
        elif source.secretRef is not None:
            secret = _secret(sources, namespace, source.secretRef.name, bool(source.secretRef.optional))
            out |= {f"{source.prefix}{k}": v.decode(errors="surrogateescape") for k, v in (secret.data if secret else {}).items()}
    own: dict[str, str] = {}
    for entry in container.env:
        value = _value(pod, container, entry, sources, node, out | own)
        if value is not None:
            own[entry.name] = value
    return out | own


def _value(pod: Pod, container: Container, entry: EnvVar, sources: Sources, node: NodeFacts,
           known: Mapping[str, str]) -> str | None:
    source = entry.valueFrom
    if source is None:
        return expand(entry.value, known)
    namespace = pod.metadata.namespace
    if source.fieldRef is not None:
        try:
            return field_value(pod, source.fieldRef.fieldPath, node)
        except UnknownField as error:
            raise ConfigProblem(str(error)) from error
    if source.resourceFieldRef is not None:
        about = container
        if source.resourceFieldRef.containerName:
            about = next((c for c in [*pod.spec.initContainers, *(pod.spec.containers or ())]
                          if c.name == source.resourceFieldRef.containerName), container)
        try:
            return resource_value(about, source.resourceFieldRef, node)
        except UnknownField as error:
            raise ConfigProblem(str(error)) from error
    if source.configMapKeyRef is not None:
        ref = source.configMapKeyRef
        config_map = _config_map(sources, namespace, ref.name, bool(ref.optional))
        if config_map is None:
            return None
        if ref.key in config_map.data:
            return config_map.data[ref.key]
        if ref.optional:
            return None
        raise ConfigProblem(f"couldn't find key {ref.key} in ConfigMap {namespace}/{ref.name}")
    if source.secretKeyRef is not None:
        key = source.secretKeyRef
        secret = _secret(sources, namespace, key.name, bool(key.optional))
        if secret is None:
            return None
        if key.key in secret.data:
            return secret.data[key.key].decode(errors="surrogateescape")
        if key.optional:
            return None
        raise ConfigProblem(f"couldn't find key {key.key} in Secret {namespace}/{key.name}")
    return ""


def _config_map(sources: Sources, namespace: str, name: str, optional: bool) -> ConfigMap | None:
    found = sources.config_map(namespace, name)
    if found is None and not optional:
        raise ConfigProblem(f'configmap "{name}" not found')
    return found


def _secret(sources: Sources, namespace: str, name: str, optional: bool) -> Secret | None:
    found = sources.secret(namespace, name)
    if found is None and not optional:
        raise ConfigProblem(f'secret "{name}" not found')
    return found


def expanded_command(container: Container, values: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(command, args) with `$(VAR)` replaced."""
    return tuple(expand(part, values) for part in container.command), tuple(expand(part, values) for part in container.args)

