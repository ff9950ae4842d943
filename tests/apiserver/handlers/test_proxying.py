"""Where the proxy subresources lead, and where they never do."""

from __future__ import annotations

import asyncio

import pytest

from sampan.api import codec
from sampan.api.core.v1 import Node, Pod, Service
from sampan.api.discovery.v1 import EndpointSlice
from sampan.api.errors import BadRequest
from sampan.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from sampan.apiserver.handlers.proxying import Target, split_target
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize(("text", "kind", "target"), [
    ("web", "pod", Target("", "web", "")), ("web:8080", "pod", Target("", "web", "8080")), ("https:web:443", "node", Target("https", "web", "443")),
    (":web:", "pod", Target("", "web", "")), ("http:web:metrics", "service", Target("http", "web", "metrics")),
])
def test_a_name_says_scheme_and_port(text: str, kind: str, target: Target) -> None:
    assert split_target(text, kind) == target


@pytest.mark.parametrize(("text", "kind"), [
    ("web:80@evil.example", "pod"), ("http:web:80@evil.example", "node"), ("web:80/..", "node"), ("web:80#", "service"), ("web:@evil", "service"),
    ("web:0", "pod"), ("web:65536", "pod"), ("web:metrics", "pod"), ("web:8\u0660", "node"), ("ftp:web:21", "pod"), ("a:b:c:d", "service"),
])
def test_a_name_can_not_lead_elsewhere(text: str, kind: str) -> None:
    with pytest.raises(BadRequest, match=f"invalid {kind} request "):
        split_target(text, kind)


async def world(server: RunningServer) -> None:
    """Things whose addresses are this machine's, or names."""
    node = codec.convert(Node, {"metadata": {"name": "here"}, "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}})
    await server.client.create(NODES, node)
    await server.client.create(NODES, codec.convert(Node, {"metadata": {"name": "named"}, "status": {"addresses": [{"type": "Hostname", "address": "localhost"}]}}))
    pod = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await server.client.create(PODS, codec.convert(Pod, pod))
    changed = codec.clone(made)
    changed.status.podIP = "169.254.0.7"
    await server.client.update(PODS, changed, subresource="status")
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}}
    await server.client.create(SERVICES, codec.convert(Service, service))
    slice_ = {"metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "FQDN",
              "endpoints": [{"addresses": ["other.example.com"]}], "ports": [{"port": 80}]}
    await server.client.create(ENDPOINT_SLICES, codec.convert(EndpointSlice, slice_))


@pytest.mark.parametrize(("path", "code", "why"), [
    ("/api/v1/nodes/here:22/proxy/", 400, "address not allowed"), ("/api/v1/nodes/named:22/proxy/", 400, "address not allowed"),
    ("/api/v1/namespaces/default/pods/web:80/proxy/", 400, "address not allowed"),
    ("/api/v1/namespaces/default/pods/web:80@evil.example/proxy/", 400, 'invalid pod request "web:80@evil.example"'),
    ("/api/v1/namespaces/default/services/web/proxy/", 503, 'no endpoints available for service "web"'),
    ("/api/v1/namespaces/default/services/web:81/proxy/", 503, 'no service port "81" found for service "web"'),
])
def test_what_is_not_of_the_cluster_is_not_reached(path: str, code: int, why: str) -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), running_server() as server:
            await world(server)
            answer = await server.client.raw("GET", path)
            assert (answer.code, codec.loads(answer.body)["message"]) == (code, why)

    asyncio.run(run())
