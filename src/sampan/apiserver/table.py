"""The Table form of objects: what `kubectl get` prints.

Owns the table around the cells; the cells are the kinds' (`Kind.columns`).
Source: apiserver `registry/rest/table.go`, `endpoints/handlers/response.go`, apimachinery `meta/v1` Table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

from sampan.api import field
from sampan.api.errors import BadRequest
from sampan.api.resources import DAEMON_SETS, PODS
from sampan.apiserver.catalog import Served
from sampan.kinds.core.pod_columns import row_conditions
from sampan.kinds.kind import Column, Kind
from sampan.lib.clock import Clock

GENERATION = "deprecated.daemonset.template.generation"
NAME_DESCRIPTION = "What the object is called: unique among its kind within a namespace."
CREATED_DESCRIPTION = "The time at which the object was created, in RFC 3339 and UTC; set by the server."


def _name(obj: Any, _: Any) -> str:
    return str(obj["metadata"].get("name", "") if isinstance(obj, dict) else obj.metadata.name)


def _created(obj: Any, _: Any) -> str:
    created = obj["metadata"].get("creationTimestamp") if isinstance(obj, dict) else obj.metadata.creationTimestamp
    return str(created or "<unknown>")


DEFAULT_COLUMNS: tuple[Column[Any], ...] = (
    Column("Name", _name, format="name", description=NAME_DESCRIPTION),
    Column("Created At", _created, type="date", description=CREATED_DESCRIPTION),
)


@lru_cache(maxsize=512)
def _definitions(columns: tuple[Column[Any], ...]) -> list[dict[str, Any]]:
    return [{"name": column.name, "type": column.type, "format": column.format, "description": column.description or column.name,
             "priority": column.priority} for column in columns if not column.undeclared]


def included(query: Mapping[str, list[str]]) -> str:
    """What a row has of its object: None, Metadata (unless said) or Object.

    Raises:
        BadRequest: Something else is asked for.
    """
    asked = "".join(query.get("includeObject", ())[:1])
    if asked not in ("", "None", "Metadata", "Object"):
        error = field.invalid("includeObject", asked, "must be 'Metadata', 'Object', 'None', or empty")
        raise BadRequest(f"Unable to convert to Table as requested: {error}")
    return asked or "Metadata"


class Tables:
    """Renders tables; ages are told by the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def table(self, served: Served, objects: Sequence[Any], *, query: Mapping[str, list[str]], version: str, revision: str = "",
              continue_: str = "", remaining: int | None = None, columns: bool = True) -> dict[str, Any]:
        """The Table of objects of one resource.

        Args:
            served: Whose columns.
            objects: Structs or dicts, read only.
            query: The request's, for `includeObject`.
            version: Of meta.k8s.io, v1 or v1beta1.
            revision: Of the list, or of the one object.
            continue_: Where a limited list goes on.
            remaining: How many are left there.
            columns: Whether columns are defined; in a watch only the first event does it.

        Raises:
            BadRequest: `includeObject` asks for what there is not.
        """
        shown = columns_of(served.kind)
        now, include = self._clock.now(), included(query)
        if served.resource is DAEMON_SETS and include == "Metadata":
            objects = [_without_generation(obj) for obj in objects]
        rows = [{"cells": [column.value(obj, now) for column in shown], "object": _object(obj, include, version)} for obj in objects]
        if served.resource is PODS:
            rows = [_with_conditions(row, obj) for row, obj in zip(rows, objects, strict=True)]
        metadata: dict[str, Any] = {"resourceVersion": revision} if revision else {}
        if continue_:
            metadata["continue"] = continue_
        if remaining is not None:
            metadata["remainingItemCount"] = remaining
        return {"kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata,
                "columnDefinitions": _definitions(shown) if columns else None, "rows": rows}


def _without_generation(daemon_set: Any) -> Any:
    """Upstream's rows show an internal form in which this annotation is a field of the spec."""
    if GENERATION not in daemon_set.metadata.annotations:
        return daemon_set
    shown = copy(daemon_set)
    shown.metadata = copy(daemon_set.metadata)
    shown.metadata.annotations = {key: value for key, value in daemon_set.metadata.annotations.items() if key != GENERATION}
    return shown


def _with_conditions(row: dict[str, Any], pod: Any) -> dict[str, Any]:
    """Clients may show rows of pods that have ended in another way."""
    conditions = row_conditions(pod)
    return {"cells": row["cells"], "conditions": conditions, "object": row["object"]} if conditions else row


def columns_of(kind: Kind[Any] | None) -> tuple[Column[Any], ...]:
    """The kind's columns, or name and time of creation."""
    return kind.columns if kind is not None and kind.columns else DEFAULT_COLUMNS


def _object(obj: Any, include: str, version: str) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return obj
    metadata = obj.get("metadata") if isinstance(obj, dict) else obj.metadata
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}
