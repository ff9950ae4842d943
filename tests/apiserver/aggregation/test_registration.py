"""The APIServices of custom resources come and go with their definitions; others are left alone."""

from __future__ import annotations

import asyncio
from typing import Any

from api_asking import Asker, with_server
from apiserver.aggregation.extensions import APISERVICES
from apiserver.crd.definitions import CRDS, define, definition, until, version
from sampan.api import codec
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.apiregistration.v1 import APIService
from sampan.apiserver.aggregation.registration import LABEL, changes, wanted
from sampan.testing.waiting import PATIENCE_SECONDS

NAME = "v1.example.com"


def crd(*versions: dict[str, Any], **more: Any) -> Any:
    return codec.convert(CustomResourceDefinition, definition(*versions, **more))


def service(name: str, label: str = "", **spec: Any) -> Any:
    which, _, group = name.partition(".")
    return codec.convert(APIService, {"metadata": {"name": name, "labels": {LABEL: label} if label else {}},
                                      "spec": {"group": group, "version": which, "groupPriorityMinimum": 1000, "versionPriority": 100} | spec})


def test_every_served_version_of_a_group_is_wanted_once() -> None:
    found = wanted([crd(version("v1"), version("v2", storage=False), version("v3", storage=False) | {"served": False}),
                    crd(version("v1"), plural="wheels", kind="Wheel")], frozenset((("example.com", "v2"),)))
    assert list(found) == [NAME]
    assert found[NAME].metadata.labels == {LABEL: "true"}
    assert (found[NAME].spec.groupPriorityMinimum, found[NAME].spec.versionPriority) == (1000, 100)


def test_only_what_is_kept_by_the_server_is_touched() -> None:
    want = wanted([crd()], frozenset())
    names = lambda some: [one.metadata.name for one in some]  # noqa: E731 - a test's own
    assert names(changes(want, {}).create) == [NAME]
    # given one that somebody else has made
    assert changes(want, {NAME: service(NAME, groupPriorityMinimum=7)}) == changes({}, {})
    # given one of ours that somebody changed
    assert names(changes(want, {NAME: service(NAME, "true", groupPriorityMinimum=7)}).update) == [NAME]
    assert changes(want, {NAME: service(NAME, "true")}) == changes({}, {})
    # given some that are not wanted any more: built-in ones and others' stay
    there = {one.metadata.name: one for one in (service(NAME, "true"), service("v1.apps", "onstart"), service("v1.other.example.com"))}
    assert names(changes({}, there).delete) == [NAME]


def test_they_follow_their_definitions() -> None:
    async def check(asker: Asker) -> None:
        await define(asker, definition())
        made = await until(asker, f"{APISERVICES}/{NAME}", lambda code, _: code == 200)
        assert made["status"]["conditions"][0]["reason"] == "Local"
        # when somebody deletes it, it is made again
        await asker.ask("DELETE", f"{APISERVICES}/{NAME}")
        again = await until(asker, f"{APISERVICES}/{NAME}", lambda code, _: code == 200)
        assert again["metadata"]["uid"] != made["metadata"]["uid"]
        # when its definition goes, it goes
        await asker.ask("DELETE", f"{CRDS}/gears.example.com")
        await until(asker, f"{APISERVICES}/{NAME}", lambda code, _: code == 404)

    with_server(check)


def test_a_service_in_the_place_of_a_definition_is_asked_instead() -> None:
    async def check(asker: Asker) -> None:
        # given a custom resource whose group somebody else is to serve
        await asker.must("POST", APISERVICES, {
            "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1", "metadata": {"name": NAME},
            "spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10, "insecureSkipTLSVerify": True,
                     "service": {"name": "none", "namespace": "default"}}})
        await asker.must("POST", CRDS, definition())
        # then requests go there, and nobody is there
        await until(asker, f"{APISERVICES}/{NAME}", lambda _, value: bool((value.get("status") or {}).get("conditions")))
        assert await asker.ask("GET", "/apis/example.com/v1/gears") == (503, "service unavailable\n")
        # when that APIService goes, the definition's own takes its place
        await asker.ask("DELETE", f"{APISERVICES}/{NAME}")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await until(asker, "/apis/example.com/v1/gears", lambda code, _: code == 200)

    with_server(check)
