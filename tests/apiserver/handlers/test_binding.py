"""Binding pods to nodes."""

from __future__ import annotations

from api_asking import PODS, Asker, pod, with_server

BINDINGS = "/api/v1/namespaces/default/bindings"


def test_a_bound_pod_has_its_node_and_is_scheduled() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", PODS, pod("p"))
        assert (await asker.merge(f"{PODS}/p/status", {"status": {"nominatedNodeName": "n"}}))[0] == 200
        body = {"metadata": {"name": "p", "annotations": {"by": "test"}}, "target": {"kind": "Node", "name": "n"}}
        code, value = await asker.ask("POST", f"{PODS}/p/binding", body)
        assert (code, value["status"]) == (201, "Success")
        bound = await asker.must("GET", f"{PODS}/p")
        assert (bound["spec"]["nodeName"], bound["metadata"]["annotations"]["by"]) == ("n", "test")
        assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
        assert "nominatedNodeName" not in bound["status"]  # the hint has served

    with_server(test)


def test_a_pod_is_bound_once() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", PODS, pod("p"))
        for node, wanted in (("a", 201), ("b", 409)):
            code, _ = await asker.ask("POST", BINDINGS, {"metadata": {"name": "p"}, "target": {"name": node}})
            assert code == wanted

    with_server(test)


def test_gates_and_wrong_targets_keep_a_pod_where_it_is() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", PODS, pod("p", schedulingGates=[{"name": "x/y"}]))
        assert (await asker.ask("POST", BINDINGS, {"metadata": {"name": "p"}, "target": {"name": "n"}}))[0] == 409
        code, value = await asker.ask("POST", BINDINGS, {"metadata": {"name": "p"}, "target": {"kind": "Pod"}})
        assert (code, value["message"]) == (
            500, '[target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>", target.name: Required value]')

    with_server(test)


def test_a_binding_for_another_pod_of_that_name_is_refused_in_the_words_of_the_store() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", PODS, pod("p"))
        uid, target = made["metadata"]["uid"], {"name": "n"}
        code, value = await asker.ask("POST", f"{PODS}/p/binding", {"metadata": {"name": "p", "uid": "other"}, "target": target})
        assert (code, value["message"]) == (409, (
            'Operation cannot be fulfilled on pods "p": StorageError: invalid object, Code: 4, Key: /registry/pods/default/p, ResourceVersion: 0, '
            f"AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: {uid}"))
        code, value = await asker.ask("POST", BINDINGS, {"metadata": {"name": "p", "resourceVersion": "1"}, "target": target})
        assert code == 409
        assert "ResourceVersion in precondition: 1" in value["message"]
        # who posts to the collection makes an object: its uid is not the client's to choose
        assert (await asker.ask("POST", BINDINGS, {"metadata": {"name": "p", "uid": "other"}, "target": target}))[0] == 201

    with_server(test)


def test_a_binding_names_its_pod() -> None:
    async def test(asker: Asker) -> None:
        code, value = await asker.ask("POST", BINDINGS, {"metadata": {}, "target": {"name": "n"}})
        assert (code, value["message"]) == (400, "Name parameter required.")
        assert (await asker.ask("POST", BINDINGS, {"metadata": {}, "target": {}}))[1]["message"] == "target.name: Required value"

    with_server(test)
