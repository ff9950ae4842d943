"""Who asks, may they, how many at once."""

from __future__ import annotations

from dataclasses import replace

from api_asking import MAPS, Asker, config_map, with_server
from sampan.apiserver.request import ADMIN
from sampan.apiserver.server import Settings
from sampan.testing.server import LEAN


def test_impersonation_is_a_right_of_its_own() -> None:
    async def test(asker: Asker) -> None:
        client = asker.server.client_with(authorization="Bearer secret")
        as_alice = {"Impersonate-User": "alice"}
        answer = await client.raw("GET", MAPS, headers=as_alice)
        assert (answer.code, b'User \\"alice\\" cannot list' in answer.body) == (403, True)
        nobody = await asker.server.client_with().raw("GET", "/version", headers=as_alice)
        assert (nobody.code, b"cannot impersonate" in nobody.body) == (403, True)

    with_server(test, settings=replace(LEAN, users={"secret": ADMIN}))


def test_unknown_groups_are_gos_404_unknown_resources_a_status() -> None:
    async def test(asker: Asker) -> None:
        assert await asker.ask("GET", "/apis/none.example.com/v1/things") == (404, "404 page not found\n")
        code, value = await asker.ask("GET", "/apis/apps/v1/things")
        assert (code, value["message"], value["details"]) == (404, "the server could not find the requested resource", {})

    with_server(test)


def test_verbs_go_with_forms_of_paths() -> None:
    async def test(asker: Asker) -> None:
        for method, path in (("POST", f"{MAPS}/a"), ("PUT", MAPS), ("PATCH", MAPS), ("POST", "/api/v1/configmaps"),
                             ("DELETE", "/api/v1/configmaps"), ("DELETE", "/api"), ("OPTIONS", MAPS)):
            assert (await asker.ask(method, path, config_map("a")))[0] == 405

    with_server(test)


def test_a_fresh_server_knows_its_roles_and_what_anybody_may_see() -> None:
    async def test(asker: Asker) -> None:
        stranger = asker.server.client_with()
        assert (await stranger.raw("GET", "/version")).code == 200
        assert (await stranger.raw("GET", "/healthz")).code == 200
        assert (await stranger.raw("GET", "/api/v1/nodes")).code == 403
        assert (await asker.must("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin"))["rules"]

    with_server(test, settings=Settings())


def test_paths_that_lack_a_namespace_and_groups_that_are_not_there_know_no_method() -> None:
    async def test(asker: Asker) -> None:
        for method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
            assert (await asker.ask(method, "/apis/apps/v1/deployments/x"))[0] == 404
            assert (await asker.ask(method, "/apis/nope.io/v1/foos"))[0] == 404
        assert (await asker.ask("POST", "/apis/apps"))[0] == 200
        assert (await asker.ask("POST", "/apis/apps/v1"))[0] == 405
        code, told = await asker.ask("GET", "/api/v1/nodes?timeout=1x")
        assert (code, told["message"]) == (400, 'invalid timeout specified in the request URL - time: unknown unit "x" in duration "1x"')

    with_server(test)


def test_yaml_is_told_of_as_yaml() -> None:
    async def test(asker: Asker) -> None:
        path, kind = "/api/v1/namespaces/default/configmaps?dryRun=All", {"content_type": "application/yaml"}
        code, told = await asker.ask("POST", path, b"a: [", **kind)
        assert (code, told["message"]) == (400, "the object provided is unrecognized (must be of type ConfigMap): "
                                           "yaml: line 1: did not find expected node content (613a205b)")
        twice = b"metadata:\n  name: m\n  name: o"
        code, told = await asker.ask("POST", f"{path}&fieldValidation=Strict", twice, **kind)
        assert (code, told["message"]) == (400, 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
                                           'yaml: unmarshal errors:\n  line 3: key "name" already set in map')
        assert (await asker.ask("POST", path, twice, **kind))[0] == 201

    with_server(test)
