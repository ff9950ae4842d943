"""What lists and watches ask for: `Selection`, `ListQuery`, `WatchQuery`, `Rendering`. Pure data.

Selectors come in compiled, as functions of an `Entry`; what an index can answer (namespace, name, the indexed field)
stands beside them, so that nothing scans for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sampan.apiserver.entries import Entry

Matcher = Callable[[Entry], bool]


@dataclass(frozen=True)
class Selection:
    """Which objects of a resource. Everything that is set must hold.

    `text` is the canonical text of both selectors: equal texts promise equal `matches`, so watchers with equal
    selections share one evaluation. Whoever sets `matches` sets `text`.
    """

    namespace: str = ""
    name: str = ""  # metadata.name=…
    indexed: str = ""  # the resource's indexed field, pods: spec.nodeName=…
    text: str = ""
    matches: Matcher | None = field(default=None, compare=False)

    def holds(self, entry: Entry) -> bool:
        """Whether the object is selected."""
        return (
            (not self.namespace or entry.namespace == self.namespace)
            and (not self.name or entry.name == self.name)
            and (not self.indexed or entry.indexed == self.indexed)
            and (self.matches is None or self.matches(entry))
        )

    @property
    def by_selector(self) -> bool:
        """Whether anything but the namespace narrows it (then a list tells no remaining count)."""
        return bool(self.name or self.indexed or self.matches)


ALL = Selection()


@dataclass(frozen=True)
class ListQuery:
    """A list. `resource_version`, `match` and `continue_` are the query's text as it came (already validated as
    ListOptions: unknown matches, forbidden combinations); `limit` ≤ 0 is none.
    """

    selection: Selection = ALL
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    match: str = ""  # "", Exact, NotOlderThan


@dataclass(frozen=True)
class Rendering:
    """How a watcher wants objects, if not as they are (Table, PartialObjectMetadata, another version).

    `key` tells renderings apart: watchers with equal keys and selections share the bytes of each event.
    """

    key: str
    render: Callable[[Entry], bytes]
    first: Callable[[Entry], bytes] | None = None  # for the first event of a watch (Table: with column definitions)
    bookmark: Callable[[int, bool], bytes] | None = None  # (revision, whether the initial events end here)
    frame: Callable[[str, bytes], bytes] | None = None  # (event type, object) -> bytes on the wire; None: JSON lines


@dataclass(frozen=True)
class WatchQuery:
    """A watch. `resource_version` is the query's text: "" and "0" start with the current objects."""

    selection: Selection = ALL
    resource_version: str = ""
    bookmarks: bool = False  # allowWatchBookmarks
    initial: bool | None = None  # sendInitialEvents
    rendering: Rendering | None = None
