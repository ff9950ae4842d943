"""What a client of a server that crashes may rely on: the acknowledged writes, and who saw which revision.

`Served` refuses a revision that stands for two things. `Model` has, for every object, what was acknowledged and the one
write that was under way when the server died: after a restart the object is one or the other, whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sampan.api import codec
from sampan.api.core.v1 import ConfigMap, Service, ServicePort, ServiceSpec
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, SERVICES

NAMESPACE = "default"
NUMBER = "number"


class Key(NamedTuple):
    """Which object."""

    plural: str
    name: str

    @property
    def resource(self) -> Resource[Any]:
        return CONFIG_MAPS if self.plural == "configmaps" else SERVICES


def filling(number: int) -> str:
    """Content whose size changes, so that a torn write shows."""
    return f"{number}." * (number * 37 % 200)


def wanted(key: Key, number: int) -> Any:
    """The object as its writer's `number`th write has it."""
    meta = ObjectMeta(name=key.name, namespace=NAMESPACE, annotations={NUMBER: str(number)})
    if key.resource is CONFIG_MAPS:
        return ConfigMap(metadata=meta, data={"one": str(number), "two": str(number), "filling": filling(number)})
    kind = "NodePort" if number % 2 else "ClusterIP"
    return Service(metadata=meta, spec=ServiceSpec(type=kind, ports=[ServicePort(port=80)]))


def number_of(obj: Any) -> int:
    """Which write made it.

    Raises:
        AssertionError: Parts of several writes did.
    """
    number = int(obj.metadata.annotations[NUMBER])
    if isinstance(obj, ConfigMap):
        assert obj.data == {"one": str(number), "two": str(number), "filling": filling(number)}, f"half a write: {obj.data}"
    return number


class Served:
    """Every revision that anybody saw, with what it stood for."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], tuple[str, bool, bytes]] = {}
        self.newest = 0

    def saw(self, key: Key, obj: Any, *, gone: bool = False) -> int:
        """An answer, event or item of a list had this object; its revision."""
        revision = int(obj.metadata.resourceVersion)
        content = codec.encode(codec.to_builtins(obj) | {"kind": key.plural, "apiVersion": ""})
        known = self._seen.setdefault((revision, key.plural), (key.name, gone, content))
        assert known == (key.name, gone, content), f"revision {revision} was served twice: {known} and {(key.name, gone, content)}"
        self.newest = max(self.newest, revision)
        return revision

    def __len__(self) -> int:
        return len(self._seen)


@dataclass
class Entry:
    """One object: the acknowledged state, and what may have become of it since."""

    number: int = 0
    obj: Any = None
    pending: bool = False
    pending_number: int = 0
    """What the write under way leaves: 0 for nothing."""
    history: list[int] = field(default_factory=list)
    """Revisions of acknowledged creations and updates."""


class Model:
    """All objects. Each belongs to one writer, so nobody else's write explains a difference."""

    def __init__(self, served: Served) -> None:
        self.entries: dict[Key, Entry] = {}
        self.served = served
        self.acknowledged = 0

    def entry(self, key: Key) -> Entry:
        return self.entries.setdefault(key, Entry())

    def begins(self, key: Key, number: int) -> None:
        """A write is sent that leaves `number`, or nothing where that is 0."""
        entry = self.entry(key)
        entry.pending, entry.pending_number = True, number


    def acknowledges(self, key: Key, obj: Any, floor: int) -> None:
        """The server answered; `floor` is the newest revision that was seen before it was asked.

        Raises:
            AssertionError: The answer is not of this write.
        """
        entry = self.entry(key)
        self.acknowledged += 1
        if obj is not None:
            revision = self.served.saw(key, obj)
            assert number_of(obj) == entry.pending_number
            assert revision > floor, f"{key} was written at {revision}, after {floor} had been served"
            entry.history.append(revision)
        entry.number, entry.obj, entry.pending = entry.pending_number, obj, False

    def finds(self, found: dict[Key, Any]) -> None:
        """Compare with what the restarted server lists, and go on from there.

        Raises:
            AssertionError: An acknowledged write is missing, or something is there that nobody wrote.
        """
        for key in found.keys() | self.entries.keys():
            assert key in self.entries, f"{key} was never written"
            self._find(key, self.entries[key], found.get(key))

    def _find(self, key: Key, entry: Entry, obj: Any) -> None:
        number = number_of(obj) if obj is not None else 0
        if number != entry.number:
            assert entry.pending, f"{key} is {number}, acknowledged was {entry.number}"
            assert number == entry.pending_number, f"{key} is {number}, written were {entry.number} and {entry.pending_number}"
        elif obj is not None:
            assert codec.encode(obj) == codec.encode(entry.obj), f"{key} changed without a write: {obj} was {entry.obj}"
        if obj is not None and entry.obj is not None and number != entry.number:
            assert obj.metadata.uid == entry.obj.metadata.uid
            assert int(obj.metadata.resourceVersion) > int(entry.obj.metadata.resourceVersion)
        entry.number, entry.obj, entry.pending = number, obj, False
