"""Where the proxy subresources lead: names like `https:web:8443` to a URL.

Source: kubernetes `pkg/registry/core/{node,pod,service}`, `ResourceLocation`; `pkg/proxy/util`, `IsProxyableIP`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from sampan.api import goprint
from sampan.api.errors import BadRequest, ServiceUnavailable
from sampan.api.resources import ENDPOINT_SLICES, PODS, SERVICES
from sampan.apiserver.handlers.base import Api
from sampan.apiserver.nodes import HOP_HEADERS, NodeConnections
from sampan.apiserver.request import RequestInfo


class Target(NamedTuple):
    """`[scheme:]name[:port]`."""

    scheme: str
    name: str
    port: str


_PORT_NAME = re.compile("[A-Za-z0-9-]*")


def split_target(text: str, kind: str) -> Target:
    """Read it. The port becomes a part of a URL, so it is a number, or, of a Service, a name.

    Raises:
        BadRequest: It has another form.
    """
    parts = text.split(":")
    scheme, name, port = ("", *parts, "")[:3] if len(parts) < 3 else parts[:3]
    good = _PORT_NAME.fullmatch(port) if kind == "service" else not port or _is_port(port)
    if len(parts) > 3 or scheme not in ("", "http", "https") or not good:
        raise BadRequest(f"invalid {kind} request {goprint.quote(text)}")
    return Target(scheme, name, port)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= 65535


def _check(address: str) -> None:
    ip = ip_address(address)
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise BadRequest("address not allowed")


def _check_host(host: str) -> None:
    try:
        _check(host)
    except ValueError:  # a name
        if host.lower().rstrip(".").rpartition(".")[2] == "localhost":
            raise BadRequest("address not allowed") from None


def _url(scheme: str, address: str, port: int | str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{scheme or 'http'}://{host}:{port}" if port else f"{scheme or 'http'}://{host}"


def node_target(nodes: NodeConnections, api: Api, target: Target) -> str:
    """A node's agent, or another port of the node; of this machine none but agents'."""
    del api
    url = nodes.url_of(target.name)
    host, _, port = url.removeprefix("https://").rpartition(":")
    if target.port in ("", port):
        return url
    _check_host(host.strip("[]"))
    return f"{target.scheme or 'http'}://{host}:{target.port}"


def pod_target(api: Api, info: RequestInfo, target: Target) -> str:
    """A pod's port, its first one when none is named."""
    pod = api.registry.entry(api.catalog.of(PODS), info.namespace, target.name).object
    port = target.port
    if not port:
        ports = [one.containerPort for container in pod.spec.containers or () for one in container.ports]
        port = str(ports[0]) if ports else ""
    if not pod.status.podIP:
        raise BadRequest("address not allowed")
    _check(pod.status.podIP)
    return _url(target.scheme, pod.status.podIP, port)


def service_target(api: Api, info: RequestInfo, target: Target) -> str:
    """One of the service's ready endpoints."""
    service = api.registry.entry(api.catalog.of(SERVICES), info.namespace, target.name).object
    name = _port_name(service, target)
    found: list[tuple[str, int]] = []
    for entry in api.caches.of(ENDPOINT_SLICES).entries(info.namespace):
        one = entry.object
        if one.metadata.labels.get("kubernetes.io/service-name") != target.name or one.addressType == "FQDN":
            continue
        ports = [port.port for port in one.ports or () if (port.name or "") == name and port.port]
        found += [(address, port) for endpoint in one.endpoints or () if endpoint.conditions.ready is not False
                  for address in endpoint.addresses or () for port in ports]
    if not found:
        raise ServiceUnavailable(f'no endpoints available for service "{info.name}"')
    address, port = api.registry.identity.rng.choice(found)
    _check(address)
    return _url(target.scheme, address, port)


def _port_name(service: Any, target: Target) -> str:
    ports = service.spec.ports
    if not target.port and ports:
        return ports[0].name or ""
    for port in ports:
        if target.port in (port.name, str(port.port)):
            return port.name or ""
    raise ServiceUnavailable(f'no service port "{target.port}" found for service "{target.name}"')


def forwarded(info: RequestInfo, base: str) -> tuple[str, Mapping[str, str]]:
    """The URL and headers of the request as it goes on."""
    url = f"{base}/{quote(info.subpath, safe='/:@!$&()*+,;=~-._')}"
    if info.query:
        url += "?" + urlencode([(key, value) for key, values in info.query.items() for value in values])
    headers = {key: value for key, value in info.headers.items() if key not in HOP_HEADERS and not key.startswith("impersonate-")}
    headers["x-forwarded-uri"] = info.path
    return url, headers
