"""Groups that other API servers serve, asked for through ours: real servers, TLS and certificates on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

import aiohttp

from api_asking import Asker
from apiserver.aggregation.extensions import (
    APISERVICES,
    HOST,
    Files,
    Small,
    announce,
    authority,
    condition,
    files,
    front,
    sampan,
    small,
)
from sampan.api.resourceinfo import Resource
from sampan.apiserver.request import User
from sampan.testing.waiting import PATIENCE_SECONDS

METRICS = "v1beta1.metrics.k8s.io"
NODES = "/apis/metrics.k8s.io/v1beta1/nodes"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def with_metrics(check: Callable[[Asker, Small], Awaitable[None]], *, full: bool = False) -> None:
    """Run a check on a server with an available metrics.k8s.io behind it."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, small(there) as server, front(there, full=full) as asker:
            await announce(asker, server.port, METRICS)
            await condition(asker, METRICS, "True")
            await check(asker, server)

    asyncio.run(run())


def test_a_request_goes_on_as_who_asks_and_the_answer_comes_back_as_it_is() -> None:
    async def check(asker: Asker, server: Small) -> None:
        # given somebody with groups and extra fields
        user = User("ann", "u-1", ("devs", "system:authenticated"), {"example.com/Team": ("a b",), "scopes": ("x", "y")})
        client = asker.server.client_as(user)
        # when he asks for what another server has, pretending to be somebody else towards that server
        answer = await client.raw("POST", "/apis/metrics.k8s.io/v1beta1/echo?a=1%2F2&b=", body=b"hello",
                                  headers={"content-type": "text/x-given", "x-remote-user": "root", "x-remote-group": "system:masters",
                                           "authorization": "Bearer secret", "x-other": "kept"})
        # then that server sees him, and nothing of what is between him and us
        assert (answer.code, answer.headers["content-type"], answer.body) == (201, "text/x-echo", b"hello")
        # the server is asked for its health now and then, too
        path, headers, body = next((path, headers, body) for method, path, headers, body in reversed(server.seen) if method == "POST")
        assert (path, body) == ("/apis/metrics.k8s.io/v1beta1/echo?a=1%2F2&b=", b"hello")
        assert headers["x-remote-user"] == ["ann"]
        assert headers["x-remote-uid"] == ["u-1"]
        assert headers["x-remote-group"] == ["devs", "system:authenticated"]
        assert headers["x-remote-extra-example.com%2fteam"] == ["a b"]
        assert headers["x-remote-extra-scopes"] == ["x", "y"]
        assert headers["content-type"] == ["text/x-given"]
        assert headers["x-other"] == ["kept"]
        assert "authorization" not in headers

    with_metrics(check)


def test_watches_stream_and_callers_in_this_process_get_objects() -> None:
    async def check(asker: Asker, server: Small) -> None:
        nodes: Resource[dict[str, object]] = Resource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", "", False)
        listing = await asker.server.client.list(nodes)
        assert (listing.revision, [one["metadata"]["name"] for one in listing.items]) == ("7", ["n1"])  # type: ignore[index]
        events = asker.server.client.watch(nodes, since="7")
        first = await anext(events)
        assert (first.kind, first.revision) == ("ADDED", "8")
        server.hold.set()
        second = await anext(events)
        assert (second.kind, second.revision) == ("DELETED", "9")
        await events.aclose()  # type: ignore[attr-defined]

    with_metrics(check)


def test_discovery_has_what_the_others_have_at_their_place() -> None:
    async def check(asker: Asker, server: Small) -> None:
        # given a definition beside the other server's group, whose priority is lower
        groups = [one["name"] for one in (await asker.must("GET", "/apis"))["groups"]]
        assert groups[0] == "apiregistration.k8s.io"
        assert groups[-1] == "metrics.k8s.io"
        code, document = await asker.ask("GET", "/apis", accept=AGGREGATED)
        assert code == 200
        found = next(one for one in document["items"] if one["metadata"]["name"] == "metrics.k8s.io")
        version = found["versions"][0]
        assert (version["version"], version["freshness"]) == ("v1beta1", "Current")
        nodes, pods = version["resources"]
        assert nodes == {"resource": "nodes", "responseKind": {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "NodeMetrics"},
                         "scope": "Cluster", "singularResource": "", "verbs": ["get", "list"]}
        assert pods["subresources"] == [{"subresource": "top", "verbs": ["get"],
                                         "responseKind": {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "PodMetrics"}}]
        group = await asker.must("GET", "/apis/metrics.k8s.io")
        assert group["preferredVersion"]["groupVersion"] == "metrics.k8s.io/v1beta1"
        # when its priority rises over those of built-in groups
        code, _ = await asker.merge(f"{APISERVICES}/{METRICS}", {"spec": {"groupPriorityMinimum": 19000}})
        assert code == 200
        # then it comes before them
        groups = [one["name"] for one in (await asker.must("GET", "/apis"))["groups"]]
        assert groups[:2] == ["apiregistration.k8s.io", "metrics.k8s.io"]
        # and the classic list is the other server's own
        assert (await asker.must("GET", "/apis/metrics.k8s.io/v1beta1"))["resources"][2]["name"] == "pods/top"

    with_metrics(check)


def test_openapi_has_the_others_documents() -> None:
    async def check(asker: Asker, server: Small) -> None:
        index = (await asker.must("GET", "/openapi/v3"))["paths"]
        assert index["apis/metrics.k8s.io/v1beta1"]["serverRelativeURL"] == "/openapi/v3/apis/metrics.k8s.io/v1beta1?hash=1"
        assert index["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")
        assert (await asker.must("GET", "/openapi/v3/apis/metrics.k8s.io/v1beta1?hash=1"))["paths"] == {NODES: {}}
        whole = await asker.must("GET", "/openapi/v2")
        assert "/api/v1/pods" in whole["paths"]
        assert "/apis/other/" not in whole["paths"]
        assert NODES in whole["paths"]
        # a definition of the same name that differs gets another
        listed = whole["definitions"]["io.k8s.metrics.NodeMetricsList"]
        assert listed["properties"]["meta"]["$ref"] == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta_v2"
        assert "unused" not in whole["definitions"]

    with_metrics(check)


def test_who_is_not_there_is_a_503_and_comes_back() -> None:
    async def check(asker: Asker, server: Small) -> None:
        # given an API server that fails
        server.code = 500
        await asker.merge(f"{APISERVICES}/{METRICS}", {"metadata": {"labels": {"look": "again"}}})
        said = await condition(asker, METRICS, "False")
        url = f"https://127.0.0.1:{server.port}/apis/metrics.k8s.io/v1beta1"
        assert (said["reason"], said["message"]) == (
            "FailedDiscoveryCheck", f"failing or missing response from {url}: bad status from {url}: 500")
        # then its group is still told of, and its requests are refused in upstream's words
        assert await asker.ask("GET", NODES) == (503, "service unavailable\n")
        _, document = await asker.ask("GET", "/apis", accept=AGGREGATED)
        assert document["items"][-1]["versions"][0]["freshness"] == "Stale"
        # when it does well again, nobody has to tell us
        server.code = 200
        await condition(asker, METRICS, "True")
        assert (await asker.ask("GET", NODES))[0] == 200

    with_metrics(check)


def test_certificates_are_checked_by_the_bundle_and_the_services_name() -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, small(there) as server, front(there) as asker:
            # given a bundle that does not know the server's authority: whether it is there is not judged by that
            await announce(asker, server.port, METRICS, ca=authority("somebody-else").certificate)
            await condition(asker, METRICS, "True")
            code, text = await asker.ask("GET", NODES)
            assert (code, text) == (503, "tls: failed to verify certificate: x509: certificate signed by unknown authority\n")
            # when the checks are given up explicitly
            await asker.merge(f"{APISERVICES}/{METRICS}", {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}})
            assert (await asker.ask("GET", NODES))[0] == 200
            # and when the right authority is given
            bundle = base64.b64encode(authority("extension-ca").certificate).decode()
            await asker.merge(f"{APISERVICES}/{METRICS}", {"spec": {"caBundle": bundle, "insecureSkipTLSVerify": False}})
            assert (await asker.ask("GET", NODES))[0] == 200
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, small(there, name="other.default.svc") as server, front(there) as asker:
            await announce(asker, server.port, METRICS)
            await condition(asker, METRICS, "True")
            code, text = await asker.ask("GET", NODES)
            assert code == 503
            assert HOST in text

    asyncio.run(run())


def test_another_sampan_serves_a_group_of_ours_as_who_asks() -> None:
    from apiserver.crd.definitions import define, definition, gear, gears

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, sampan(there) as (other, port), front(there) as asker:
            # given a second API server with custom resources, and somebody who may read them there
            behind = Asker(other)
            await define(behind, definition())
            await behind.must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {
                "kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader"},
                "rules": [{"apiGroups": ["example.com"], "resources": ["gears"], "verbs": ["get", "list", "watch"]}]})
            await behind.must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
                "kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"}]})
            # when ours is told of it
            await announce(asker, port, "v1.example.com")
            await condition(asker, "v1.example.com", "True")
            # then its objects are made, read and watched through ours
            await asker.must("POST", gears(), gear("a", size=1))
            assert (await behind.must("GET", gears(name="a")))["size"] == 1
            dev = Asker(asker.server)
            client = asker.server.client_as(User("dev", groups=("devs", "system:authenticated")))
            answer = await client.raw("GET", gears(name="a"))
            assert (answer.code, json.loads(answer.body)["size"]) == (200, 1)
            answer = await client.raw("POST", gears(), body=json.dumps(gear("b")).encode(), headers={"content-type": "application/json"})
            assert answer.code == 403
            assert json.loads(answer.body)["message"].startswith('gears.example.com is forbidden: User "dev" cannot create resource "gears"')
            resource: Resource[dict[str, object]] = Resource("example.com", "v1", "gears", "Gear", "gear", True)
            events = asker.server.client.watch(resource, "default", since="0")
            first = await anext(events)
            assert first.object["metadata"]["name"] == "a"  # type: ignore[index]
            await events.aclose()  # type: ignore[attr-defined]
            # and aggregated discovery and OpenAPI tell of them
            _, document = await asker.ask("GET", "/apis", accept=AGGREGATED)
            assert document["items"][-1]["versions"][0]["resources"][0]["resource"] == "gears"
            key = (await dev.must("GET", "/openapi/v3"))["paths"]["apis/example.com/v1"]["serverRelativeURL"]
            assert "com.example.v1.Gear" in (await asker.must("GET", key))["components"]["schemas"]

    asyncio.run(run())


def test_websockets_are_joined() -> None:
    async def run() -> None:
        from sampan.testing.https import served

        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, small(there) as server:
            from sampan.apiserver.server import Settings

            settings = Settings(bootstrap_rbac=False, bootstrap_full=False, aggregation=there.front_proxy())
            async with served(settings=settings) as (running, access), aiohttp.ClientSession() as session:
                asker = Asker(running)
                await announce(asker, server.port, METRICS)
                await condition(asker, METRICS, "True")
                tls = _context(there, access)
                async with session.ws_connect(access.server.replace("https", "wss") + "/apis/metrics.k8s.io/v1beta1/sock", ssl=tls,
                                              protocols=("v4.channel.k8s.io",)) as socket:
                    await socket.send_str("me")
                    assert (await socket.receive()).data == "heard me"
                    assert socket.protocol == "v4.channel.k8s.io"
                asked = [headers for _, path, headers, _ in server.seen if path.endswith("/sock")]
                assert [headers["x-remote-user"] for headers in asked] == [["kubernetes-admin"]]

    asyncio.run(run())


def _context(there: Files, access: object) -> object:
    import ssl

    context = ssl.create_default_context(cadata=access.ca.decode())  # type: ignore[attr-defined]
    context.load_cert_chain(there.write("c.crt", access.client_certificate), there.write("c.key", access.client_key))  # type: ignore[attr-defined]
    return context


def test_extension_servers_are_told_whom_to_believe() -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, front(there, full=True, client_ca=b"CLIENTS") as asker:
            data = (await asker.must("GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"))["data"]
            assert data["client-ca-file"] == "CLIENTS"
            assert data["requestheader-client-ca-file"] == authority("front-proxy-ca").certificate.decode()
            assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
            assert data["requestheader-username-headers"] == '["X-Remote-User"]'
            assert data["requestheader-group-headers"] == '["X-Remote-Group"]'
            assert data["requestheader-extra-headers-prefix"] == '["X-Remote-Extra-"]'
            assert data["requestheader-uid-headers"] == '["X-Remote-Uid"]'

    asyncio.run(run())
