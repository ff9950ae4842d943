"""The verbs as requests: one method, one path, one body each, whatever carries them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from sampan.api.core.v1 import ConfigMap
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.policy.v1 import Eviction
from sampan.api.resources import CONFIG_MAPS, PODS
from sampan.client import requests
from sampan.client.base import DeleteOptions
from sampan.client.verbs import Verbs

CONFIG = ConfigMap(metadata=ObjectMeta(name="web", namespace="default"), data={"a": "b"})


class Transport(Verbs):
    """Notes what it is asked and answers with the class that is expected."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any, str]] = []

    async def _object(self, wire: type[Any], method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> Any:
        self.asked.append((method, target, json.loads(body) if body else None, kind))
        return wire

    async def _done(self, method: str, target: str, body: bytes, kind: str = requests.JSON) -> None:
        self.asked.append((method, target, json.loads(body) if body else None, kind))


def test_each_verb_is_one_request() -> None:
    async def scenario() -> None:
        # given
        client = Transport()
        sent = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "default"}, "data": {"a": "b"}}
        # when
        await client.get(CONFIG_MAPS, "web", "default")
        await client.create(CONFIG_MAPS, CONFIG, field_manager="me")
        await client.update(CONFIG_MAPS, CONFIG)
        await client.patch(CONFIG_MAPS, "web", "default", {"data": None}, force=True)
        assert await client.patch(CONFIG_MAPS, "web", "default", {"data": None}, unread=True) is None  # type: ignore[func-returns-value]
        await client.delete(CONFIG_MAPS, "web", "default", DeleteOptions(uid="u"))
        await client.delete_all(CONFIG_MAPS, "default", labels="app=web")
        # then
        path = "/api/v1/namespaces/default/configmaps"
        assert client.asked == [
            ("GET", f"{path}/web", None, requests.JSON),
            ("POST", f"{path}?fieldManager=me", sent, requests.JSON),
            ("PUT", f"{path}/web", sent, requests.JSON),
            ("PATCH", f"{path}/web?force=true", {"data": None}, "application/merge-patch+json"),
            ("PATCH", f"{path}/web", {"data": None}, "application/merge-patch+json"),
            ("DELETE", f"{path}/web", {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "u"}}, requests.JSON),
            ("DELETE", f"{path}?labelSelector=app%3Dweb", None, requests.JSON),
        ]

    asyncio.run(scenario())


def test_a_subresource_has_the_class_of_what_is_sent_and_the_name_of_its_object() -> None:
    async def scenario() -> None:
        # given
        client = Transport()
        eviction = Eviction(kind="Eviction", apiVersion="policy/v1", metadata=ObjectMeta(name="web", namespace="default"))
        # when
        answer = await client.create(PODS, eviction, subresource="eviction")
        # then
        assert answer is Eviction
        assert [asked[:2] for asked in client.asked] == [("POST", "/api/v1/namespaces/default/pods/web/eviction")]

    asyncio.run(scenario())
