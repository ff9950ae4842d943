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
