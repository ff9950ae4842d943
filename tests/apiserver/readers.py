"""Readers over objects in memory, made of real `Entry`s: for tests that need no store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sampan.api import codec
from sampan.api.resourceinfo import Resource
from sampan.apiserver.entries import Entry


class MemoryReader:
    def __init__(self, resource: Resource[Any]) -> None:
        self._resource = resource
        self._entries: dict[tuple[str, str], Entry] = {}
        self.revision = self.generation = 0
        self.walked = 0
        """How often somebody asked for everything."""

    def get(self, namespace: str, name: str) -> Entry | None:
        return self._entries.get((namespace, name))

    def entries(self, namespace: str = "", *, indexed: str = "") -> Iterator[Entry]:
        self.walked += 0 if namespace or indexed else 1
        return iter([entry for key, entry in sorted(self._entries.items())
                     if (not namespace or key[0] == namespace) and (not indexed or entry.indexed == indexed)])

    def put(self, obj: Any) -> Entry:
        self.generation += 1
        self.revision += 1
        meta = obj.metadata
        meta.resourceVersion = str(self.revision)
        indexed = obj.spec.nodeName if self._resource.plural == "pods" else ""
        entry = Entry(self._resource, "", meta.namespace, meta.name, codec.encode(obj), self.revision, indexed)
        self._entries[meta.namespace, meta.name] = entry
        return entry

    def remove(self, namespace: str, name: str) -> None:
        self.generation += 1
        del self._entries[namespace, name]


class MemoryReaders:
    def __init__(self) -> None:
        self._readers: dict[Resource[Any], MemoryReader] = {}

    def of(self, resource: Resource[Any]) -> MemoryReader:
        return self._readers.setdefault(resource, MemoryReader(resource))

    def put(self, resource: Resource[Any], body: Any, namespace: str = "") -> Any:
        """Store a Struct, or what a dict stands for."""
        obj = codec.convert(resource.wire, body) if isinstance(body, dict) else codec.clone(body)
        obj.metadata.namespace = namespace or obj.metadata.namespace
        obj.metadata.uid = obj.metadata.uid or f"uid-{resource.plural}-{obj.metadata.namespace}-{obj.metadata.name}"
        self.of(resource).put(obj)
        return obj
