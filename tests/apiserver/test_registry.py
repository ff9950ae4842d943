"""Writes: compare and swap, retries, generated names, dry run, what changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from api_asking import MAPS, PODS, Asker, config_map, pod, with_server
from sampan.api import codec
from sampan.apiserver.registry import volatile


def test_a_write_that_changes_nothing_writes_nothing() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", MAPS, config_map("a", k="v"))
        again = await asker.must("PUT", f"{MAPS}/a", config_map("a", k="v"))
        assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert again["metadata"]["managedFields"] == made["metadata"]["managedFields"]

    with_server(test)


def test_a_dry_run_answers_as_if_and_stores_nothing() -> None:
    async def test(asker: Asker) -> None:
        code, value = await asker.ask("POST", f"{MAPS}?dryRun=All", config_map("a"))
        assert (code, value["metadata"].get("resourceVersion")) == (201, None)
        assert (await asker.ask("GET", f"{MAPS}/a"))[0] == 404
        before = asker.server.store.revision
        await asker.must("POST", MAPS, config_map("b"))
        await asker.must("DELETE", f"{MAPS}/b?dryRun=All")
        assert asker.server.store.revision == before + 1

    with_server(test)


def test_generated_names_have_five_letters_more() -> None:
    async def test(asker: Asker) -> None:
        body = {"metadata": {"generateName": "x" * 80 + "-"}}
        name = (await asker.must("POST", MAPS, body))["metadata"]["name"]
        assert (len(name), name[:58]) == (63, "x" * 58)

    with_server(test)


def test_where_a_generated_name_is_taken_the_next_one_is_tried() -> None:
    async def test(asker: Asker) -> None:
        body = pod("a") | {"metadata": {"generateName": "x-", "labels": {"a": "b"}}}
        # given chance that repeats itself
        asker.server.identity.rng.seed(7)
        first = await asker.must("POST", PODS, body)
        asker.server.identity.rng.seed(7)
        # when the same name comes out
        second = await asker.must("POST", PODS, body)
        # then another one is found, and nothing of the first try is left
        assert second["metadata"]["name"] != first["metadata"]["name"]
        assert [one["metadata"]["labels"] for one in (first, second)] == [{"a": "b"}] * 2
        assert first["spec"] == second["spec"]

    with_server(test)


def test_a_generated_name_gives_a_namespace_its_label() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", "/api/v1/namespaces", {"metadata": {"generateName": "x-"}})
        assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": made["metadata"]["name"]}

    with_server(test)


def test_a_taken_name_beside_a_prefix_is_refused_like_a_generated_one() -> None:
    async def test(asker: Asker) -> None:
        body = {"metadata": {"generateName": "x-", "name": "a"}}
        await asker.must("POST", MAPS, body)
        code, answer = await asker.ask("POST", MAPS, body)
        assert (code, answer["message"]) == (
            409, 'configmaps "a" already exists, the server was not able to generate a unique name for the object')

    with_server(test)


def test_concurrent_patches_all_win() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", MAPS, config_map("a"))
        done = await asyncio.gather(*(asker.merge(f"{MAPS}/a", {"data": {f"k{n}": "v"}}) for n in range(20)))
        assert {code for code, _ in done} == {200}
        assert len((await asker.must("GET", f"{MAPS}/a"))["data"]) == 20

    with_server(test)


def test_of_concurrent_updates_from_one_version_one_wins() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", MAPS, config_map("a"))
        done = await asyncio.gather(*(asker.ask("PUT", f"{MAPS}/a", made | {"data": {"k": str(n)}}) for n in range(5)))
        assert sorted(code for code, _ in done) == [200, 409, 409, 409, 409]

    with_server(test)


def test_a_put_names_another_object_by_its_uid_in_vain() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", MAPS, config_map("a"))
        body = config_map("a")
        body["metadata"]["uid"] = "00000000-1111-2222-3333-444444444444"
        code, value = await asker.ask("PUT", f"{MAPS}/a", body)
        assert (code, value["reason"]) == (409, "Conflict")
        assert "UID in precondition" in value["message"]

    with_server(test)


def test_the_status_of_a_pod_is_not_its_creators() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", PODS, pod("p") | {"status": {"phase": "Failed"}})
        assert made["status"]["phase"] == "Pending"
        _, after = await asker.merge(f"{PODS}/p/status", {"status": {"phase": "Running"}, "spec": {"nodeName": "n"}})
        assert (after["status"]["phase"], "nodeName" in after["spec"]) == ("Running", False)

    with_server(test)


def test_stored_bytes_have_no_revision_and_answers_do() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", MAPS, config_map("a"))
        record = await asker.server.store.get("/registry/core/configmaps/default/a")
        assert record is not None
        assert "resourceVersion" not in codec.loads(record.value)["metadata"]
        assert made["metadata"]["resourceVersion"] == str(record.mod_revision)

    with_server(test)


def test_only_heartbeats_may_be_forgotten_by_a_crash() -> None:
    assert volatile("/registry/coordination.k8s.io/leases/kube-node-lease/n")
    assert not volatile("/registry/coordination.k8s.io/leases/kube-system/kube-scheduler")
    assert not volatile("/registry/core/pods/kube-node-lease/p")


def test_what_is_created_has_no_version_yet() -> None:
    async def test(asker: Asker) -> None:
        wanted = config_map("a")
        wanted["metadata"]["resourceVersion"] = "17"
        code, value = await asker.ask("POST", MAPS, wanted)
        assert (code, value["message"]) == (500, "resourceVersion should not be set on objects to be created")
        assert (await asker.ask("GET", f"{MAPS}/a"))[0] == 404

    with_server(test)


def test_findings_about_metadata_are_told_as_often_as_upstream_looks() -> None:
    async def test(asker: Asker) -> None:
        wrong = {"labels": {"a": "b c"}}
        core, networks = "/api/v1/namespaces/default", "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
        budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        for path, body, times in ((f"{core}/configmaps", {}, 4), (networks, {"spec": {"podSelector": {}}}, 3), (budgets, {}, 2)):
            await asker.must("POST", path, body | {"metadata": {"name": "a"}})
            code, told = await asker.merge(f"{path}/a", {"metadata": wrong})
            assert (code, len(told["details"]["causes"])) == (422, times)

    with_server(test)


def test_what_has_no_namespace_forgets_the_one_that_it_says() -> None:
    async def test(asker: Asker) -> None:
        path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        made = await asker.must("POST", path, {"metadata": {"name": "a", "namespace": "other"}})
        assert "namespace" not in made["metadata"]
        put = await asker.must("PUT", f"{path}/a", {"metadata": {"name": "a", "namespace": "other"}})
        assert "namespace" not in put["metadata"]

    with_server(test)


def test_a_version_matters_to_the_store_alone() -> None:
    async def test(asker: Asker) -> None:
        body = config_map("a") | {"metadata": {"name": "a", "resourceVersion": "5"}}
        code, told = await asker.ask("POST", MAPS, body)
        assert (code, told["message"]) == (500, "resourceVersion should not be set on objects to be created")
        dry = await asker.must("POST", f"{MAPS}?dryRun=All", body)
        assert dry["metadata"]["resourceVersion"] == "5"

    with_server(test)


def test_a_strategic_patch_changes_fields_and_no_kind() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", MAPS, config_map("a"))
        async def patch(change: Any) -> tuple[int, Any]:
            return await asker.ask("PATCH", f"{MAPS}/a", change, content_type="application/strategic-merge-patch+json")
        assert (await patch({"kind": "Secret"}))[0] == 200
        code, told = await patch({"data": 5})
        assert (code, told["message"]) == (422, ' "" is invalid: patch: Invalid value: "map[data:5]": cannot restore map from int64')

    with_server(test)
