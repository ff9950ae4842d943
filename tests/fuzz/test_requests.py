"""Paths, queries and headers of any kind get an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.shapes import GOOD, TEXTS
from fuzz.world import CUSTOM, MAPS, PODS, SOME, World, bounded, world
from sampan.api import codec

pytestmark = [pytest.mark.slow, pytest.mark.soak]
server = pytest.fixture(world, scope="module")

PARAMETERS = st.sampled_from([
    "labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch", "limit", "continue", "watch", "timeoutSeconds", "allowWatchBookmarks",
    "sendInitialEvents", "pretty", "dryRun", "fieldManager", "force", "fieldValidation", "gracePeriodSeconds", "propagationPolicy", "orphanDependents",
    "includeObject", "ignoreStoreReadErrorWithClusterBreakingPotential", "timeout", "shardSelector", "nothing"])
VALUES = st.one_of(TEXTS, st.sampled_from([
    "0", "1", "-1", "999999999999999999999", "1.5", "NotOlderThan", "Exact", "NotExact", "true", "false", "t", "All", "Strict", "Metadata", "None",
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0", "eyJydiI6MX0", "bnVsbA", "a=b,c!=d,e in (f,g),!h", "a in (", "a notin ()", "a>1", "a>x",
    "metadata.name=a,metadata.namespace!=b", "spec.nodeName=", "status.phase!=Running", "metadata.labels.x=1", "a\\,b=c", "x" * 5000, ",".join(["a=b"] * 3000),
    "a in (" + ",".join(map(str, range(2000))) + ")"]))
RAW = st.text("%=&+;?/#0123456789abcdefgXY\x00é ", max_size=30)
ACCEPTS = st.one_of(
    st.text("abc*/;=,.+ q019\"", max_size=30),
    st.lists(st.sampled_from(["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "*/*", "application/*", "text/html", "q=0.5", "q=nan", "q=",
                              "as=Table", "v=v1", "g=meta.k8s.io", "as=PartialObjectMetadata", "as=PartialObjectMetadataList", "stream=watch", "as=APIGroupDiscoveryList",
                              "g=apidiscovery.k8s.io", "v=v2", "profile=nopeer", "v=v1beta1", "as=Nothing", "charset=utf-8", ""]), max_size=7)
    .map(lambda parts: ";".join(parts).replace(";application", ",application")))
PATHS = st.one_of(
    st.sampled_from([*SOME, *(f"{path}/a" for path in SOME), f"{PODS}/a/log", f"{PODS}/a/status", f"{PODS}/a/proxy/x", f"{CUSTOM}/a/scale", "/", "/api", "/apis", "/apis/apps",
                     "/apis/apps/v1", "/api/v1", "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1", "/openapi/v3/apis/example.com/v1", "/version", "/healthz", "/readyz/ping",
                     "/livez", "/metrics", "/.well-known/openid-configuration", "/openid/v1/jwks", "/api/v1/pods", "/api/v1/namespaces", "/api/v1/watch/pods",
                     "/api/v1/namespaces/default", "/api/v1/componentstatuses", "/api/v1/proxy/nodes/a", "/logs/", "/debug/pprof"]),
    st.lists(st.one_of(st.sampled_from(["api", "apis", "v1", "namespaces", "default", "pods", "apps", "watch", "proxy", "status", "a", "..", ".", "", "%2e%2e", "%00", "~"]),
                       st.text(max_size=6).filter(lambda text: "?" not in text)), max_size=8).map(lambda parts: "/" + "/".join(parts)))
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO"])
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "content-type", "content-encoding", "authorization", "impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-a%2fb",
                     "user-agent", "if-none-match", "accept-encoding", "content-length", "x-request-id", "audit-id", "upgrade", "connection", "x-stream-protocol-version",
                     "warning", "traceparent"]),
    st.one_of(ACCEPTS, TEXTS, st.binary(max_size=10), st.sampled_from(["gzip", "Bearer x", "Bearer secret", "Bearer", "Basic YTpi", "Bearer a.b.c", "0", "websocket"])), max_size=3)


@bounded(300)
@given(path=st.sampled_from([MAPS, PODS, CUSTOM, f"{MAPS}/a", f"{PODS}/a"]), pairs=st.lists(st.tuples(PARAMETERS, VALUES), max_size=4),
       method=st.sampled_from(["GET", "GET", "GET", "DELETE", "POST", "PUT", "PATCH"]))
def test_parameters_take_anything(server: World, path: str, pairs: list[tuple[str, str]], method: str) -> None:
    from urllib.parse import quote

    query = "&".join(f"{key}={quote(value, errors='replace')}" for key, value in pairs)
    plural = path.split("/")[6 if path.startswith("/apis") else 5]
    server.ask(method, f"{path}?{query}", b"" if method == "GET" else codec.encode(GOOD[plural]),
               {"content-type": "application/merge-patch+json" if method == "PATCH" else "application/json"})


@bounded(150)
@given(path=PATHS, query=st.one_of(RAW, st.binary(max_size=20)), method=METHODS)
def test_paths_and_raw_queries_take_anything(server: World, path: str, query: str | bytes, method: str) -> None:
    raw = query if isinstance(query, bytes) else query.encode()
    if method == "DELETE" and "customresourcedefinitions" in path:
        return
    server.ask(method, path.encode("utf-8", "replace") + b"?" + raw)


@bounded(250)
@given(path=PATHS, headers=HEADERS, method=st.sampled_from(["GET", "GET", "POST", "PATCH", "HEAD"]), pretty=st.sampled_from(["", "?pretty=1", "?watch=1", "?limit=1"]))
def test_headers_take_anything(server: World, path: str, headers: dict[str, str | bytes], method: str, pretty: str) -> None:
    server.ask(method, path.replace("?", "") + pretty, b"{}" if method in ("POST", "PATCH") else b"", headers)


@bounded(150)
@given(accept=ACCEPTS, path=PATHS, encoding=st.sampled_from(["", "gzip", "gzip;q=0", "*", "br, gzip"]))
def test_every_form_of_every_answer(server: World, accept: str, path: str, encoding: str) -> None:
    server.ask("GET", path.replace("?", ""), headers={"accept": accept, "accept-encoding": encoding})


def test_bad_requests_leave_nothing_behind(server: World) -> None:
    import gc
    import tracemalloc

    def bad(start: int, count: int) -> None:
        for number in range(start, start + count):
            text = f"{number}" * 300
            server.ask("GET", f"{MAPS}?labelSelector={text}&continue={text}&resourceVersion={text}", headers={"accept": f"application/json;q=0.{text}"})
            server.ask("POST", f"{MAPS}?fieldManager={text}", codec.encode({"metadata": {"name": text.upper(), "labels": {text: text}}}))
            server.ask("PATCH", f"{MAPS}/{text}", codec.encode([{"op": text}]), {"content-type": "application/json-patch+json"})
            server.ask("GET", f"/apis/{text}/v1/{text}", headers={"authorization": f"Bearer {text}.{text}.{text}", "user-agent": text})

    # given caches that have seen some
    bad(0, 150)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    # when there are many more, each with texts of its own (over 4 kB in all)
    bad(1000, 400)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # then hardly anything of them is kept
    assert grown < 400 * 1024, f"{grown // 400} bytes were kept of each round"
