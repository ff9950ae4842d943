"""What is served: every resource with its kind, where it is stored, and how its stored form becomes this version.

Owns `Served` and `Catalog`. Custom resources come and go at run time (`add`, `remove`); whoever renders discovery
watches `generation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from sampan.api.resourceinfo import Resource
from sampan.kinds.all import kind_of
from sampan.kinds.kind import Kind

VIRTUAL = frozenset((
    "bindings", "componentstatuses", "tokenreviews", "selfsubjectreviews", "localsubjectaccessreviews",
    "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews",
))
"""Resources that are computed, never stored."""


class View(Protocol):
    """One version's objects, made of stored ones by somebody who has to be asked."""

    async def current(self) -> None:
        """Until the cache has all that has been written by now.

        Raises:
            ApiError: Something can't be converted.
        """
        ...

    async def inward(self, obj: Any) -> Any:
        """The object as it is stored; a new one."""
        ...

    async def outward(self, obj: Any) -> Any:
        """A stored object as this version shows it; a new one."""
        ...


@dataclass(eq=False)
class Served:
    """One resource in one version, as requests name it.

    `known_kind` None: a built-in one. `stored` is the resource whose cache and keys it uses: itself, but for kinds with several versions. `outward`
    and `inward` make this version's object of the stored one and back (new objects, never in place).
    """

    resource: Resource[Any]
    known_kind: Kind[Any] | None
    stored: Resource[Any]
    outward: Callable[[Any], Any] | None = None
    inward: Callable[[Any], Any] | None = None
    view: View | None = None
    """What has this version's objects where making them takes waiting; then `stored` is `resource`, whose cache it fills."""
    custom: Any = None
    """What the CRD machinery keeps about a custom resource; None for built-in ones."""
    subresources: frozenset[str] = field(init=False)
    prefix: str = field(init=False)
    virtual: bool = field(init=False)
    """Whether nothing is stored."""

    @cached_property
    def kind(self) -> Kind[Any]:
        """The rules of its objects; built-in ones are imported when they are first asked for."""
        return self.known_kind or kind_of(self.resource)

    def __post_init__(self) -> None:
        self.subresources = frozenset(sub.name for sub in self.resource.subresources)
        self.prefix = key_prefix(self.stored)
        self.virtual = self.custom is None and self.resource.plural in VIRTUAL

    def key(self, namespace: str, name: str) -> str:
        """Where the object is stored."""
        return f"{self.prefix}{namespace}/{name}" if self.resource.namespaced else self.prefix + name


def key_prefix(resource: Resource[Any]) -> str:
    """`/registry/<group or core>/<resource>/`."""
    return f"/registry/{resource.group or 'core'}/{resource.plural}/"


class Catalog:
    """Everything that is served, by group, version and plural."""

    def __init__(self, served: Iterable[Served] = ()) -> None:
        self._served: dict[tuple[str, str, str], Served] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._groups: dict[str, int] = {}
        self.generation = 0
        for one in served:
            self.add(one)

    def add(self, served: Served) -> None:
        """Serve it from now on, in the place of what was there under the same name."""
        resource = served.resource
        key = (resource.group, resource.version, resource.plural)
        if key not in self._served:
            self._count(key, 1)
        self._served[key] = served
        self.generation += 1

    def remove(self, group: str, version: str, plural: str) -> None:
        """Serve it no longer; one that is not there is no error."""
        if self._served.pop((group, version, plural), None) is not None:
            self._count((group, version, plural), -1)
            self.generation += 1

    def _count(self, key: tuple[str, str, str], by: int) -> None:
        group, version, _ = key
        self._versions[group, version] = self._versions.get((group, version), 0) + by
        self._groups[group] = self._groups.get(group, 0) + by

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """The one that requests name so."""
        return self._served.get((group, version, plural))

    def has_group(self, group: str) -> bool:
        return self._groups.get(group, 0) > 0

    def is_custom(self, group: str) -> bool:
        """Whether it is a group of users: nothing built in is in it."""
        return all(one.custom is not None for one in self._served.values() if one.resource.group == group)

    def has_version(self, group: str, version: str) -> bool:
        return self._versions.get((group, version), 0) > 0

    def by_kind(self, group: str, version: str, kind: str) -> Served | None:
        """The one whose objects say `kind` and `apiVersion` so."""
        return next((one for one in self._served.values()
                     if one.resource.kind == kind and one.resource.group == group and one.resource.version == version), None)

    def of(self, resource: Resource[Any]) -> Served:
        """The one of a built-in resource.

        Raises:
            KeyError: It is not served.
        """
        return self._served[resource.group, resource.version, resource.plural]

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._served.values()))

    def __len__(self) -> int:
        return len(self._served)
