"""`Resource`: where objects of one kind live in the API, and which wire type they have.

Owns the address (group, version, plural) and the discovery facts of a resource. The table of built-in ones
is `sampan.api.resources` (generated); custom resources make theirs at run time with `wire=dict`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Generic, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Subresource:
    """One subresource as discovery lists it; `group_version` and `kind` say what its bodies are."""

    name: str
    group_version: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Resource(Generic[T]):
    """The address and the discovery facts of one resource; `wire` is the class of its objects."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    namespaced: bool
    wire_path: str = ""
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = field(default=())

    @cached_property
    def wire(self) -> type[T]:
        """The Struct class, imported on first use; `dict` for a custom resource."""
        if not self.wire_path:
            return cast("type[T]", dict)
        module, name = self.wire_path.split(":")
        return cast("type[T]", getattr(import_module(module), name))

    @cached_property
    def group_version(self) -> str:
        """As in `apiVersion`: `v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def group_resource(self) -> str:
        """As in messages: `pods` or `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @cached_property
    def root(self) -> str:
        """The path that its URLs start with: `/api/v1` or `/apis/apps/v1`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of a collection, an object or a subresource (parts are already valid path segments)."""
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)
