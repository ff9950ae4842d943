"""Custom resources that a webhook converts, on every path of the API."""

from __future__ import annotations

import asyncio
from typing import Any

from api_asking import Asker
from apiserver.crd.conversions import Webhook, with_webhook
from apiserver.crd.definitions import CRDS, define, gear, gears, until
from sampan.aio.tasks import Tasks
from sampan.api.resourceinfo import Resource

CRD = f"{CRDS}/gears.example.com"
FAILED = "conversion webhook for example.com/v1, Kind=Gear"


def test_every_verb_in_a_version_that_is_not_stored() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        await define(asker, hook.definition())
        # created in one version, stored in the other
        made = await asker.must("POST", gears("v2"), gear("a", api="v2", spec={"size": 3, "color": "red"}))
        assert (made["apiVersion"], made["spec"], made["metadata"]["labels"]) == ("example.com/v2", {"size": 3, "color": "red"}, {"seen-as": "v2"})
        stored = await asker.must("GET", gears("v1", "a"))
        assert (stored["apiVersion"], stored["size"], stored["metadata"]["annotations"]) == ("example.com/v1", 3, {"color": "red"})
        assert stored["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        # read
        await asker.must("POST", gears("v1"), gear("b", size=5))
        got = await asker.must("GET", gears("v2", "b"))
        assert got["spec"] == {"size": 5, "color": "grey"}
        listed = await asker.must("GET", gears("v2"))
        assert [(one["apiVersion"], one["metadata"]["name"], one["spec"]["size"]) for one in listed["items"]] == [
            ("example.com/v2", "a", 3), ("example.com/v2", "b", 5)]
        # replaced, patched, applied
        code, put = await asker.ask("PUT", gears("v2", "b"), got | {"spec": {"size": 6, "color": "blue"}})
        assert (code, put["spec"], put["metadata"]["generation"]) == (200, {"size": 6, "color": "blue"}, 2)
        code, patched = await asker.merge(gears("v2", "b"), {"spec": {"size": 7}})
        assert (code, patched["spec"]) == (200, {"size": 7, "color": "blue"})
        code, applied = await asker.ask("PATCH", gears("v2", "b") + "?fieldManager=me&force=true", gear("b", api="v2", spec={"size": 8}),
                                        content_type="application/apply-patch+yaml")
        assert (code, applied["spec"]) == (200, {"size": 8, "color": "blue"})
        assert (await asker.must("GET", gears("v1", "b")))["size"] == 8
        # subresources
        code, status = await asker.merge(gears("v2", "b", "status"), {"status": {"size": 8}})
        assert (code, status["status"], status["spec"]["size"]) == (200, {"size": 8}, 8)
        scale = await asker.must("GET", gears("v2", "b", "scale"))
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (8, 8)
        code, scaled = await asker.merge(gears("v2", "b", "scale"), {"spec": {"replicas": 2}})
        assert (code, scaled["spec"]["replicas"]) == (200, 2)
        assert (await asker.must("GET", gears("v1", "b")))["size"] == 2
        # deleted
        code, _ = await asker.ask("DELETE", gears("v2", "a"))
        assert code == 200
        assert (await asker.ask("GET", gears("v1", "a")))[0] == 404
        code, gone = await asker.ask("DELETE", gears("v2"))
        assert (code, [one["apiVersion"] for one in gone["items"]]) == (200, ["example.com/v2"])
        assert (await asker.must("GET", gears("v1")))["items"] == []

    with_webhook(check)


def test_what_is_selected_shown_and_watched_is_what_the_version_says() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        await define(asker, hook.definition())
        await asker.must("POST", gears("v1"), gear("a", size=1, metadata={"annotations": {"color": "red"}}))
        await asker.must("POST", gears("v1"), gear("b", size=2))

        def names(value: Any) -> list[str]:
            return [one["metadata"]["name"] for one in value["items"]]

        # labels and fields are those of the version that is asked for
        assert names(await asker.must("GET", gears("v2") + "?labelSelector=seen-as=v2")) == ["a", "b"]
        assert names(await asker.must("GET", gears("v1") + "?labelSelector=seen-as=v2")) == []
        assert names(await asker.must("GET", gears("v2") + "?fieldSelector=spec.color=red")) == ["a"]
        first = await asker.must("GET", gears("v2") + "?limit=1")
        assert names(first) == ["a"]
        assert names(await asker.must("GET", gears("v2") + f"?limit=1&continue={first['metadata']['continue']}")) == ["b"]
        _, table = await asker.ask("GET", gears("v2"), accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        assert [row["cells"] for row in table["rows"]] == [["a", 1], ["b", 2]]
        # a watch sees changes of the other version in its own
        resource: Resource[dict[str, Any]] = Resource("example.com", "v2", "gears", "Gear", "gear", True)
        events = asker.server.client.watch(resource, "default", since=first["metadata"]["resourceVersion"], fields="spec.color=red")
        await asker.merge(gears("v1", "b"), {"metadata": {"annotations": {"color": "red"}}})
        event = await anext(events)
        assert (event.kind, event.object["metadata"]["name"], event.object["spec"]) == ("ADDED", "b", {"size": 2, "color": "red"})
        await asker.merge(gears("v1", "b"), {"size": 4})
        event = await anext(events)
        assert (event.kind, event.object["apiVersion"], event.object["spec"]["size"]) == ("MODIFIED", "example.com/v2", 4)
        await asker.ask("DELETE", gears("v1", "b"))
        event = await anext(events)
        assert (event.kind, event.object["apiVersion"]) == ("DELETED", "example.com/v2")
        await events.aclose()  # type: ignore[attr-defined]

    with_webhook(check)


def test_each_object_is_converted_once_for_all_readers() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        # given objects that were stored before anybody asked for the other version
        await define(asker, hook.definition())
        for name in "abc":
            await asker.must("POST", gears("v1"), gear(name, size=1))
        assert hook.seen == []
        # when it is read again and again
        for _ in range(3):
            await asker.must("GET", gears("v2"))
            await asker.must("GET", gears("v2", "b"))
        # then the webhook was asked once, for all of them
        assert hook.seen == [("v2", ["a", "b", "c"])]
        # and a change costs one more
        await asker.merge(gears("v1", "b"), {"size": 2})
        assert (await asker.must("GET", gears("v2", "b")))["spec"]["size"] == 2
        assert hook.seen[1:] == [("v2", ["b"])]

    with_webhook(check)


def test_what_the_webhook_says_no_to_is_a_500_and_heals_by_itself() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        await define(asker, hook.definition())
        await asker.must("POST", gears("v1"), gear("a", size=1))
        # given a webhook that can't
        hook.reply = lambda review: {"uid": review["request"]["uid"], "result": {"status": "Failure", "message": "not today"}}
        for method, path, body in (("GET", gears("v2"), None), ("GET", gears("v2", "a"), None), ("DELETE", gears("v2", "a"), None)):
            code, status = await asker.ask(method, path, body)
            assert (code, status["message"]) == (500, f"{FAILED} failed: not today")
        # then the stored version is not touched by it, and writes in the other one change nothing
        assert (await asker.must("GET", gears("v1", "a")))["size"] == 1
        code, _ = await asker.ask("POST", gears("v2"), gear("b", api="v2", spec={"size": 1}))
        assert code == 500
        assert (await asker.ask("GET", gears("v1", "b")))[0] == 404
        # when it can again, so can we
        hook.reply = type(hook).reply
        assert (await asker.must("GET", gears("v2", "a")))["spec"]["size"] == 1
        # given a watch, and a change that can't be converted: the watch ends
        resource: Resource[dict[str, Any]] = Resource("example.com", "v2", "gears", "Gear", "gear", True)
        events = asker.server.client.watch(resource, "default", since="0")
        assert (await anext(events)).object["metadata"]["name"] == "a"
        hook.reply = lambda _: 500
        await asker.merge(gears("v1", "a"), {"size": 2})
        assert [event async for event in events] == []

    with_webhook(check)


def test_a_webhook_that_is_slow_holds_up_its_version_only() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        await define(asker, hook.definition())
        await asker.must("POST", gears("v1"), gear("a", size=1))
        # given a webhook that does not answer yet, and two who ask
        hook.hold = asyncio.Event()
        tasks = Tasks()
        asked = [tasks.start(asker.ask("GET", gears("v2", "a")), "ask") for _ in range(2)]
        await hook.arrived.acquire()
        # then others are served
        assert (await asker.must("GET", gears("v1", "a")))["size"] == 1
        await asker.merge(gears("v1", "a"), {"size": 2})
        # when it answers, both have the newest
        hook.hold.set()
        answers = await asyncio.gather(*asked)
        assert [(code, value["spec"]["size"]) for code, value in answers] in ([(200, 1)] * 2, [(200, 2)] * 2)
        assert (await asker.must("GET", gears("v2", "a")))["spec"]["size"] == 2

    with_webhook(check)


def test_another_storage_version_keeps_what_was_stored_before_readable() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        # given an object stored in v1
        await define(asker, hook.definition())
        await asker.must("POST", gears("v1"), gear("old", size=1))
        # when v2 is stored from now on
        code, _ = await asker.merge(CRD, {"spec": {"versions": hook.definition(storage="v2")["spec"]["versions"]}})
        assert code == 200
        await until(asker, CRD, lambda _, value: value["status"]["storedVersions"] == ["v1", "v2"])
        await until(asker, gears("v2"), lambda code, value: code == 200 and value["kind"] == "GearList")
        # then both versions have both objects
        await asker.must("POST", gears("v2"), gear("new", api="v2", spec={"size": 2, "color": "red"}))
        value = await until(asker, gears("v2"), lambda code, _: code == 200)
        assert [(one["metadata"]["name"], one["spec"]["size"]) for one in value["items"]] == [("new", 2), ("old", 1)]
        value = await until(asker, gears("v1"), lambda code, _: code == 200)
        assert [(one["metadata"]["name"], one["size"]) for one in value["items"]] == [("new", 2), ("old", 1)]
        # and what is written goes to the new version: afterwards v2 needs nobody
        await asker.merge(gears("v1", "old"), {"size": 3})
        seen = len(hook.seen)
        assert (await asker.must("GET", gears("v2", "old")))["spec"]["size"] == 3
        assert [one for one in hook.seen[seen:] if one[0] == "v2"] == []
        # and the definition can be deleted without the webhook
        hook.reply = lambda _: 500
        await asker.ask("DELETE", CRD)
        await until(asker, CRD, lambda code, _: code == 404)

    with_webhook(check)


def test_managed_fields_survive_changes_through_two_versions() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        await define(asker, hook.definition())
        apply = {"content_type": "application/apply-patch+yaml"}
        code, _ = await asker.ask("PATCH", gears("v2", "a") + "?fieldManager=two", gear("a", api="v2", spec={"size": 1}), **apply)
        assert code == 201
        code, conflict = await asker.ask("PATCH", gears("v2", "a") + "?fieldManager=other", gear("a", api="v2", spec={"size": 2}), **apply)
        assert code == 409
        assert ".spec.size" in conflict["message"]
        # a write through the other version takes what it changes from those who own it in this one
        code, one = await asker.merge(gears("v1", "a") + "?fieldManager=one", {"size": 5})
        assert code == 200
        owners = {(entry["manager"], entry["apiVersion"]) for entry in one["metadata"]["managedFields"]}
        assert owners == {("one", "example.com/v1")}
        assert one["metadata"]["managedFields"][0]["fieldsV1"] == {"f:size": {}}
        # and an apply through this one conflicts with who owns it in the other, unless it is forced
        code, conflict = await asker.ask("PATCH", gears("v2", "a") + "?fieldManager=two", gear("a", api="v2", spec={"size": 7}), **apply)
        assert code == 409
        assert conflict["message"] == 'Apply failed with 1 conflict: conflict with "one" using example.com/v1: .size'
        forced = gears("v2", "a") + "?fieldManager=two&force=true"
        code, again = await asker.ask("PATCH", forced, gear("a", api="v2", spec={"size": 7}), **apply)
        assert (code, again["spec"]["size"]) == (200, 7)
        assert {entry["manager"] for entry in again["metadata"]["managedFields"]} == {"two"}
        # what nobody changed stays whose it was
        code, kept = await asker.merge(gears("v1", "a") + "?fieldManager=one", {"metadata": {"labels": {"x": "y"}}})
        assert {entry["manager"] for entry in kept["metadata"]["managedFields"]} == {"one", "two"}
        code, scaled = await asker.merge(gears("v2", "a", "scale") + "?fieldManager=scaler", {"spec": {"replicas": 9}})
        assert (code, scaled["spec"]["replicas"]) == (200, 9)

    with_webhook(check)
