"""Deletions on a running server."""

from __future__ import annotations

from api_asking import MAPS, PODS, Asker, config_map, pod, with_server


def test_most_kinds_answer_with_a_status_pods_with_themselves() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", MAPS, config_map("a"))
        assert (await asker.must("DELETE", f"{MAPS}/a"))["status"] == "Success"
        await asker.must("POST", PODS, pod("p"))
        gone = await asker.must("DELETE", f"{PODS}/p")
        assert (gone["kind"], gone["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 0)
        assert (await asker.ask("GET", f"{PODS}/p"))[0] == 404

    with_server(test)


def test_a_pod_on_a_node_stays_for_its_grace_period() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", PODS, pod("p", nodeName="n"))
        assert (await asker.must("DELETE", f"{PODS}/p"))["metadata"]["deletionGracePeriodSeconds"] == 30
        assert (await asker.ask("GET", f"{PODS}/p"))[0] == 200
        await asker.must("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
        assert (await asker.ask("GET", f"{PODS}/p"))[0] == 404

    with_server(test)


def test_the_last_finalizer_takes_the_object_with_it() -> None:
    async def test(asker: Asker) -> None:
        body = config_map("a")
        body["metadata"]["finalizers"] = ["x.example.com/one"]
        await asker.must("POST", MAPS, body)
        await asker.must("DELETE", f"{MAPS}/a")
        assert (await asker.ask("POST", MAPS, config_map("a")))[1]["message"].startswith("object is being deleted")
        await asker.merge(f"{MAPS}/a", {"metadata": {"finalizers": []}})
        assert (await asker.ask("GET", f"{MAPS}/a"))[0] == 404

    with_server(test)


def test_a_namespace_goes_when_both_its_lists_of_finalizers_are_empty() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})
        assert (await asker.must("DELETE", "/api/v1/namespaces/x"))["status"]["phase"] == "Terminating"
        await asker.must("PUT", "/api/v1/namespaces/x/finalize", {"metadata": {"name": "x"}, "spec": {}})
        assert (await asker.ask("GET", "/api/v1/namespaces/x"))[0] == 404
        assert (await asker.ask("DELETE", "/api/v1/namespaces/default"))[0] == 403

    with_server(test)


def test_preconditions_protect_what_came_after() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", MAPS, config_map("a"))
        code, value = await asker.ask("DELETE", f"{MAPS}/a", {"preconditions": {"resourceVersion": "1"}})
        assert (code, value["reason"]) == (409, "Conflict")

    with_server(test)


def test_namespaces_and_definitions_judge_preconditions_in_their_own_words() -> None:
    async def test(asker: Asker) -> None:
        uid = (await asker.must("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}))["metadata"]["uid"]
        code, value = await asker.ask("DELETE", "/api/v1/namespaces/x", {"preconditions": {"uid": "other"}})
        assert (code, value["message"]) == (409, 'Operation cannot be fulfilled on namespaces "x": Precondition failed: UID in precondition: '
                                                 f"other, UID in object meta: {uid}")

    with_server(test)


def test_options_of_the_wrong_type_are_told_with_their_field() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", MAPS, config_map("a"))
        code, value = await asker.ask("DELETE", f"{MAPS}/a", {"gracePeriodSeconds": "x"})
        assert (code, value["message"]) == (
            400, "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64")

    with_server(test)


def test_jobs_orphan_their_pods_unless_they_are_told_otherwise() -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}

    async def test(asker: Asker) -> None:
        for name in ("a", "b"):
            await asker.must("POST", jobs, {"metadata": {"name": name}, "spec": {"template": template}})
        assert (await asker.must("DELETE", f"{jobs}/a"))["metadata"]["finalizers"] == ["orphan"]
        assert (await asker.must("DELETE", f"{jobs}/b?propagationPolicy=Background"))["status"] == "Success"

    with_server(test)
