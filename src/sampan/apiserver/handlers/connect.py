"""What is passed on to node agents, pods and services: log, exec, attach, port-forward, proxy.

Source: kubernetes `pkg/registry/core/pod/{strategy,rest/subresources}.go`, `pkg/registry/core/{node,service}`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sampan.api import field
from sampan.api.errors import BadRequest, Invalid
from sampan.api.resources import PODS
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, needs_verb
from sampan.apiserver.handlers.proxying import forwarded, node_target, pod_target, service_target, split_target
from sampan.apiserver.nodes import NodeConnections, check_upgrade
from sampan.apiserver.options import boolean, first, integer
from sampan.apiserver.registry import Write
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Response, Tunnel

LOG_FLAGS = ("follow", "previous", "timestamps")
LOG_NUMBERS = (("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1))


def _pod(api: Api, info: RequestInfo) -> Any:
    return api.registry.entry(api.catalog.of(PODS), info.namespace, info.name).object


def _nodes(api: Api) -> NodeConnections:
    nodes: NodeConnections = api.parts["nodes"]
    return nodes


def container_of(pod: Any, wanted: str) -> str:
    """The container that is meant.

    Raises:
        BadRequest: It is not there, or none is named and there are several.
    """
    spec, name = pod.spec, pod.metadata.name
    main = [one.name for one in spec.containers or ()]
    init = [one.name for one in spec.initContainers]
    ephemeral = [one.name for one in spec.ephemeralContainers]
    if wanted:
        if wanted not in (*main, *init, *ephemeral):
            raise BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(main) == 1 and not init and not ephemeral:
        return str(main[0])
    if len(main) == 1:
        return str(main[0])
    text = f"a container name must be specified for pod {name}"
    if main:
        text += f", choose one of: [{' '.join(main)}]"
        if init:
            text += f" or one of the init containers: [{' '.join(init)}]"
        if ephemeral:
            text += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise BadRequest(text)


async def log(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """A container's log, as long as it goes on."""
    del body
    needs_verb(served, info.verb, info)
    query = _log_query(info)
    pod = _pod(api, info)
    container = container_of(pod, first(info.query, "container"))
    if not pod.spec.nodeName:
        return Answer(204, b"", b"")
    nodes = _nodes(api)
    url = f"{nodes.url_of(pod.spec.nodeName)}/containerLogs/{info.namespace}/{info.name}/{container}"
    stream = await nodes.request("GET", f"{url}?{urlencode(query)}" if query else url, headers={})
    if stream.code == 200:
        stream.content_type = b"text/plain"
    return stream


def _log_query(info: RequestInfo) -> list[tuple[str, str]]:
    query = [(name, "true") for name in LOG_FLAGS if boolean(info.query, name)]
    found = []
    for name, least in LOG_NUMBERS:
        number = integer(info.query, name)
        if number is None:
            continue
        if number < least:
            found.append(field.invalid(name, number, "must be greater than or equal to 0" if least == 0 else "must be greater than 0"))
        query.append((name, str(number)))
    since = first(info.query, "sinceTime")
    if since:
        if "sinceSeconds" in info.query:
            found.append(field.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
        query.append(("sinceTime", since))
    stream = first(info.query, "stream")
    if stream:
        if stream not in ("All", "Stdout", "Stderr"):
            found.append(field.not_supported("stream", stream, ("All", "Stderr", "Stdout")))
        if stream in ("Stdout", "Stderr") and "tailLines" in info.query:
            found.append(field.forbidden("", "`tailLines` and specific `stream` are mutually exclusive for now"))
        query.append(("stream", stream))
    if found:
        raise Invalid.of("PodLogOptions", "", info.name, found)
    return query


async def _allowed(api: Api, info: RequestInfo, served: Served) -> None:
    """Connecting is asked of the admission plugins."""
    write = Write(user=info.user, subresource=info.subresource, warnings=info.warnings,
                  audit_annotations=info.audit_annotations)
    await api.registry.admit_other(served, "CONNECT", info.namespace, info.name, write, None)


async def exec_(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Exec and attach: a command's (or the container's) streams."""
    del body
    needs_verb(served, info.verb, info)
    pod = _pod(api, info)
    await _allowed(api, info, served)
    container = container_of(pod, first(info.query, "container"))
    if not pod.spec.nodeName:
        raise BadRequest(f"pod {info.name} does not have a host assigned")
    check_upgrade(info.headers)
    flags = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
    query = [(theirs, "1") for ours, theirs in flags if boolean(info.query, ours)]
    if info.subresource == "exec":
        query += [("command", word) for word in info.query.get("command", ())]
    url = f"{_nodes(api).url_of(pod.spec.nodeName)}/{info.subresource}/{info.namespace}/{info.name}/{container}?{urlencode(query)}"
    return Tunnel(url, {}, trusted=True)


async def portforward(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Connections to a pod's ports."""
    del body
    needs_verb(served, info.verb, info)
    pod = _pod(api, info)
    await _allowed(api, info, served)
    if not pod.spec.nodeName:
        raise BadRequest(f"pod {info.name} does not have a host assigned")
    check_upgrade(info.headers)
    ports = [("port", port) for port in info.query.get("ports", ())]
    url = f"{_nodes(api).url_of(pod.spec.nodeName)}/portForward/{info.namespace}/{info.name}"
    return Tunnel(f"{url}?{urlencode(ports)}" if ports else url, {}, trusted=True)


async def proxy(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Any request to a node's agent, a pod's or a service's port."""
    await _allowed(api, info, served)
    target = split_target(info.name, served.resource.kind.lower())
    nodes = _nodes(api)
    if served.resource.plural == "nodes":
        base, trusted = node_target(nodes, api, target), True
    elif served.resource.plural == "pods":
        base, trusted = pod_target(api, info, target), False
    else:
        base, trusted = service_target(api, info, target), False
    url, headers = forwarded(info, base)
    if info.headers.get("upgrade", "").lower() == "websocket":
        return Tunnel("ws" + url.removeprefix("http"), headers, trusted=trusted)
    return await nodes.request(info.method, url, headers=headers, body=await body(), trusted=trusted)
