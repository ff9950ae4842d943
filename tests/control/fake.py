"""A tiny server behind the client protocol: objects, one revision counter, watches from a revision, `Gone`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from sampan.api import codec
from sampan.api.errors import AlreadyExists, ApiError, Conflict, Gone, NotFound
from sampan.api.scalars import Time
from sampan.client.base import DeleteOptions, Listing, WatchEvent
from sampan.control.key import Key, key_of
from sampan.lib.clock import Identity


def merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


class FakeClient:
    def __init__(self, clock: Any, identity: Identity) -> None:
        self.clock, self.identity = clock, identity
        self.revision, self.oldest = 0, 0
        self.objects: dict[Any, dict[Key, Any]] = {}
        self.log: list[tuple[Any, str, Any, int]] = []
        self.changed = asyncio.Event()
        self.era = 0
        self.fail: Callable[[str, Any, Any], ApiError | None] = lambda verb, resource, obj: None
        self.calls: list[tuple[str, str, str]] = []
        self.lists = 0
        self.answers = asyncio.Event()  # while it is not set, no creation is answered
        self.answers.set()

    def _note(self, resource: Any, kind: str, obj: Any) -> Any:
        self.revision += 1
        obj.metadata.resourceVersion = str(self.revision)
        self.log.append((resource, kind, obj, self.revision))
        self.changed.set()
        self.changed = asyncio.Event()
        return obj

    def _check(self, verb: str, resource: Any, obj: Any, name: str) -> None:
        self.calls.append((verb, resource.plural, name))
        if (error := self.fail(verb, resource, obj)) is not None:
            raise error

    def break_watches(self, *, forget: bool = False) -> None:
        if forget:
            self.oldest = self.revision + 1
        self.era += 1
        self.changed.set()
        self.changed = asyncio.Event()

    async def get(self, resource: Any, name: str, namespace: str = "", *, subresource: str = "") -> Any:
        self._check("get", resource, None, name)
        try:
            return self.objects[resource][Key(namespace, name)]
        except KeyError:
            raise NotFound.of(resource.plural, resource.group, name) from None

    async def list(self, resource: Any, namespace: str = "", **_: Any) -> Listing[Any]:
        self._check("list", resource, None, "")
        self.lists += 1
        return Listing(list(self.objects.get(resource, {}).values()), str(self.revision))

    async def watch(self, resource: Any, namespace: str = "", *, since: str = "", **_: Any) -> AsyncIterator[Any]:
        self._check("watch", resource, None, "")
        seen = int(since or 0)
        if seen < self.oldest:
            raise Gone("too old resource version")
        era, at = self.era, 0
        while era == self.era:
            changed = self.changed
            while at < len(self.log):
                of, kind, obj, revision = self.log[at]
                at += 1
                if of is resource and revision > seen:
                    yield WatchEvent(kind, obj, str(revision))
            if changed is self.changed:
                await changed.wait()

    async def create(self, resource: Any, obj: Any, namespace: str = "", **_: Any) -> Any:
        obj = codec.clone(obj)
        if not obj.metadata.name:
            obj.metadata.name = obj.metadata.generateName + self.identity.suffix()
        self._check("create", resource, obj, obj.metadata.name)
        await self.answers.wait()
        key = key_of(obj)
        table = self.objects.setdefault(resource, {})
        if key in table:
            raise AlreadyExists.of(resource.plural, resource.group, key.name)
        obj.metadata.uid = self.identity.uid()
        obj.metadata.creationTimestamp = Time.of(self.clock.now())
        table[key] = self._note(resource, "ADDED", obj)
        return obj

    async def update(self, resource: Any, obj: Any, *, subresource: str = "", field_manager: str = "") -> Any:
        self._check("update", resource, obj, obj.metadata.name)
        old = await self.get(resource, obj.metadata.name, obj.metadata.namespace)
        if obj.metadata.resourceVersion not in ("", old.metadata.resourceVersion):
            raise Conflict.of(resource.plural, resource.group, obj.metadata.name, "the object has been modified")
        new = codec.clone(obj)
        self.objects[resource][key_of(obj)] = self._note(resource, "MODIFIED", new)
        return new

    async def patch(self, resource: Any, name: str, namespace: str, patch: Any, **_: Any) -> Any:
        self._check("patch", resource, patch, name)
        old = await self.get(resource, name, namespace)
        new = codec.convert(type(old), merge(codec.to_builtins(old), patch))
        self.objects[resource][Key(namespace, name)] = self._note(resource, "MODIFIED", new)
        return new

    async def delete(self, resource: Any, name: str, namespace: str = "", options: Any = DeleteOptions()) -> None:
        self._check("delete", resource, None, name)
        old = await self.get(resource, name, namespace)
        if options.uid and options.uid != old.metadata.uid:
            raise Conflict.of(resource.plural, resource.group, name, "uid")
        del self.objects[resource][Key(namespace, name)]
        self._note(resource, "DELETED", codec.clone(old))

    async def delete_all(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError

    async def raw(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def close(self) -> None: ...
