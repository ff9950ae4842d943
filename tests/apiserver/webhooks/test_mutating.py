"""Mutating webhooks, asked over HTTPS by a real API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.webhooks.webhookserver import MAPS, Webhook, asked, config_map, configure, entry, patch, post, webhook
from sampan.apiserver.server import Settings
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS


def changed(*operations: dict[str, Any], **more: Any) -> tuple[int, dict[str, Any]]:
    """What becomes of a ConfigMap with the data {"k": "v"} when the webhook answers with a patch."""

    async def check(server: RunningServer, hook: Webhook) -> tuple[int, dict[str, Any]]:
        await configure(server, entry(hook.url, **more), mutating=True)
        code, body, _ = await post(server, MAPS, config_map(data={"k": "v"}))
        if code == 201:
            stored = await server.client.raw("GET", f"{MAPS}/a")
            assert (await post(server, f"{MAPS}?dryRun=All", config_map("b")))[0] == 201
            assert stored.code == 200
        return code, body

    return asked(check, lambda _: patch(*operations))  # type: ignore[no-any-return]


def test_a_patch_changes_what_is_stored() -> None:
    code, body = changed({"op": "add", "path": "/metadata/labels", "value": {"by": "hook"}}, {"op": "add", "path": "/data", "value": {"x": "y"}})
    assert (code, body["metadata"]["labels"], body["data"]) == (201, {"by": "hook"}, {"x": "y"})


def test_fields_that_are_not_known_are_dropped() -> None:
    code, body = changed({"op": "add", "path": "/colour", "value": "red"})
    assert (code, "colour" in body) == (201, False)


def test_identity_can_not_be_patched() -> None:
    code, body = changed({"op": "replace", "path": "/metadata/uid", "value": "mine"}, {"op": "remove", "path": "/metadata/creationTimestamp"})
    assert code == 201
    assert body["metadata"]["uid"] != "mine"
    assert body["metadata"]["creationTimestamp"]


@pytest.mark.parametrize(("operation", "code", "why"), [
    ({"op": "add", "path": "/data", "value": "text"}, 500, "json: cannot unmarshal string into Go"),
    ({"op": "replace", "path": "/a/b", "value": 1}, 500, "replace operation does not apply: doc is missing path: /a/b: missing value"),
    ({"op": "add", "path": "/metadata/labels", "value": {"a b": "c"}}, 422, "metadata.labels: Invalid value"),
    ({"op": "replace", "path": "", "value": []}, 500, "cannot unmarshal array"),
    ({"op": "replace", "path": "/kind", "value": "Pod"}, 500, 'no kind "Pod" is registered for version "v1"'),
    ({"op": "replace", "path": "/metadata/namespace", "value": "other"}, 400, "the namespace of the provided object does not match"),
])
def test_a_patch_that_breaks_the_object_is_refused(operation: dict[str, Any], code: int, why: str) -> None:
    found, status = changed(operation, failurePolicy="Ignore")
    assert (found, why in status["message"]) == (code, True), status["message"]


@pytest.mark.parametrize(("answer", "why"), [
    ({"allowed": True, "patch": "W3t9XQ=="}, "received invalid webhook response: webhook returned response.patch but not response.patchType"),
    ({"allowed": True, "patchType": "JSONPatch"}, "received invalid webhook response: webhook returned response.patchType but not response.patch"),
    ({"allowed": True, "patchType": "Merge", "patch": "W3t9XQ=="}, 'unsupported patch type "Merge"'),
    ({"allowed": True, "patchType": "JSONPatch", "patch": "eHh4"}, "received undecodable patch in webhook response: "),
])
def test_an_answer_that_can_not_be_used_is_a_failed_call(answer: dict[str, Any], why: str) -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url), mutating=True)
        code, status, _ = await post(server, MAPS, config_map())
        assert code == 500
        assert status["message"].startswith(f'Internal error occurred: failed calling webhook "hook.example.com": {why}')

    asked(check, lambda _: answer)


def test_configurations_are_asked_by_name_each_with_what_the_one_before_left() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        hook.reply = lambda _: patch({"op": "add", "path": "/data/round", "value": str(len(hook.seen))})
        await configure(server, entry(hook.url, "z.example.com"), mutating=True, name="b")
        await configure(server, entry(hook.url, "y.example.com"), mutating=True, name="a")
        code, body, _ = await post(server, MAPS, config_map(data={"k": "v"}))
        assert (code, body["data"]["round"]) == (201, "2")
        assert [one["object"]["data"].get("round") for one in hook.seen] == [None, "1"]

    asked(check)


def test_a_webhook_that_wants_it_is_asked_again_when_a_later_one_changed_the_object() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        def reply(request: dict[str, Any]) -> dict[str, Any]:
            # the first one sees no change, the second one makes one, the first one is asked about it
            return patch({"op": "add", "path": "/data/last", "value": "1"}) if len(hook.seen) == 2 else {"allowed": True}

        hook.reply = reply
        await configure(server, entry(hook.url, "a.example.com", reinvocationPolicy="IfNeeded"), entry(hook.url, "b.example.com"), mutating=True)
        assert (await post(server, MAPS, config_map(data={"k": "v"})))[0] == 201
        assert [one["object"]["data"].get("last") for one in hook.seen] == [None, None, "1"]

    asked(check)


def test_a_webhook_is_asked_once_when_nothing_changed_after_it() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url, "a.example.com", reinvocationPolicy="IfNeeded"), entry(hook.url, "b.example.com"), mutating=True)
        await post(server, MAPS, config_map())
        assert len(hook.seen) == 2

    asked(check)


def test_owners_of_fields_are_the_clients_and_survive_a_webhook_that_breaks_them() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url), mutating=True)
        hook.reply = lambda _: patch({"op": "add", "path": "/data/added", "value": "x"})
        code, body, _ = await post(server, MAPS, config_map(data={"k": "v"}))
        [owner] = body["metadata"]["managedFields"]
        # what a plugin adds belongs to nobody
        assert (code, owner["fieldsV1"]["f:data"]) == (201, {".": {}, "f:k": {}})
        hook.reply = lambda _: patch({"op": "replace", "path": "/metadata/managedFields", "value": [{"operation": "Seize", "apiVersion": "v1"}]})
        code, body, headers = await post(server, MAPS, config_map("b", data={"k": "v"}))
        assert (code, body["metadata"]["managedFields"][0]["operation"]) == (201, "Update")
        assert ".metadata.managedFields was in an invalid state after admission" in headers["warning"]

    asked(check)


def test_a_patch_of_a_deletion_is_refused() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await post(server, MAPS, config_map())
        await configure(server, entry(hook.url), mutating=True)
        code, status, _ = await post(server, f"{MAPS}/a", {}, "DELETE")
        assert (code, status["message"]) == (500, (
            'Internal error occurred: admission webhook "hook.example.com" attempted to modify the object, which is not supported for this operation'))

    asked(check, lambda _: patch({"op": "add", "path": "/data", "value": {}}))


def test_a_pod_is_defaulted_after_its_patch() -> None:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    sidecar = patch({"op": "add", "path": "/spec/containers/-", "value": {"name": "sidecar", "image": "envoy"}})

    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url, rules=[rule]), mutating=True)
        code, body, _ = await post(server, "/api/v1/namespaces/default/pods",
                                   {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
        assert code == 201, body
        added = body["spec"]["containers"][1]
        assert (added["name"], added["imagePullPolicy"], added["terminationMessagePath"]) == ("sidecar", "Always", "/dev/termination-log")

    asked(check, lambda _: sidecar)


def test_a_container_that_a_webhook_added_gets_its_token_in_the_second_round() -> None:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    sidecar = patch({"op": "add", "path": "/spec/containers/-", "value": {"name": "sidecar", "image": "envoy"}})

    async def run() -> None:
        settings = Settings(bootstrap_rbac=False, bootstrap_full=False)
        async with webhook(lambda _: sidecar) as hook, running_server(settings=settings) as server, asyncio.timeout(PATIENCE_SECONDS):
            await post(server, "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
            await configure(server, entry(hook.url, rules=[rule]), mutating=True)
            code, body, _ = await post(server, "/api/v1/namespaces/default/pods",
                                       {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
            assert (code, len(hook.seen)) == (201, 1), body
            mounts = [len(container["volumeMounts"]) for container in body["spec"]["containers"]]
            assert (mounts, len(body["spec"]["volumes"])) == ([1, 1], 1)

    asyncio.run(run())


def test_a_scale_is_changed_through_its_patch() -> None:
    rule = {"operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments/scale"]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}

    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url, rules=[rule]), mutating=True)
        apps = "/apis/apps/v1/namespaces/default/deployments"
        await post(server, apps, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}})
        code, body, _ = await post(server, f"{apps}/d/scale", {"metadata": {"name": "d", "namespace": "default"}, "spec": {"replicas": 4}}, "PUT")
        assert (code, body["spec"]) == (200, {"replicas": 2})

    asked(check, lambda _: patch({"op": "replace", "path": "/spec/replicas", "value": 2}))


@pytest.mark.slow
def test_a_slow_webhook_that_fails_open_changes_nothing() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        hook.hold = asyncio.Event()
        await configure(server, entry(hook.url, timeoutSeconds=1, failurePolicy="Ignore"), mutating=True)
        code, body, _ = await post(server, MAPS, config_map(data={"k": "v"}))
        assert (code, body["data"]) == (201, {"k": "v"})

    asked(check)
