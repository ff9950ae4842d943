"""The contract of a client: typed objects in and out, the errors of `sampan.api.errors`.

Objects that come back are shared and read-only. `Resource` says where; `wire` Structs (dicts for custom
resources) are what. The conformance suite is `sampan.testing.client`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from sampan.api.resourceinfo import Resource

T = TypeVar("T")

PatchType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]
JSON_PATCH: PatchType = "application/json-patch+json"
MERGE_PATCH: PatchType = "application/merge-patch+json"
STRATEGIC_PATCH: PatchType = "application/strategic-merge-patch+json"
APPLY_PATCH: PatchType = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list as it was at `revision`; `continue_` goes on where a limit cut it off."""

    items: list[T]
    revision: str
    continue_: str = ""


class WatchEvent(NamedTuple, Generic[T]):
    """`kind` is ADDED, MODIFIED, DELETED or BOOKMARK. Errors end a watch as exceptions (`Gone` to list again)."""

    kind: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: T
    revision: str


class Answer(NamedTuple):
    """What `raw` got back."""

    code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class DeleteOptions:
    """What a deletion may say; None leaves it to the server's default."""

    grace_period_seconds: int | None = None
    propagation: Literal["Foreground", "Background", "Orphan"] | None = None
    uid: str = ""
    resource_version: str = ""


class Client(Protocol):
    """Every method raises the `ApiError` that the server answered with, and `ServiceUnavailable` when the
    server can't be reached. `namespace` is taken from the object where it has one. Where the server asks to come back later
    (429 and 5xx with `Retry-After`), the request waits and is made again, ten times at most (`sampan.client.retrying`); `raw` never is.
    """

    async def get(self, resource: Resource[T], name: str, namespace: str = "", *, subresource: str = "") -> T: ...

    async def list(
        self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
        limit: int = 0, continue_: str = "", resource_version: str = "",
    ) -> Listing[T]: ...

    def watch(
        self, resource: Resource[T], namespace: str = "", *, since: str = "", labels: str = "", fields: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent[T]]:
        """Events after revision `since` until the server or the caller ends it; bookmarks are asked for.

        Raises:
            Gone: `since` is too old: list again.
        """
        ...

    async def create(self, resource: Resource[T], obj: Any, namespace: str = "", *, name: str = "",
                     subresource: str = "", field_manager: str = "") -> Any:
        """Create `obj`; with a subresource (binding, eviction, token) POST to that of `name`."""
        ...

    async def update(self, resource: Resource[T], obj: T, *, subresource: str = "", field_manager: str = "") -> T: ...

    async def patch(  # noqa: PLR0913 - what a patch may say
        self, resource: Resource[T], name: str, namespace: str, patch: Any, *, type: PatchType = MERGE_PATCH,
        subresource: str = "", field_manager: str = "", force: bool = False, unread: bool = False,
    ) -> T:
        """`patch` is a dict, a list (JSON patch), a Struct or encoded bytes. With `unread`, for callers who only want it done, no object comes back (None)."""
        ...

    async def delete(self, resource: Resource[T], name: str, namespace: str = "",
                     options: DeleteOptions = DeleteOptions()) -> None: ...

    async def delete_all(self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
                         options: DeleteOptions = DeleteOptions()) -> None: ...

    async def raw(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Any request, path with its query; the answer as it is, whatever its code."""
        ...

    async def close(self) -> None: ...
