"""Tables of objects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.errors import BadRequest
from sampan.api.meta.v1 import Table
from sampan.api.resources import CONFIG_MAPS, PODS
from sampan.apiserver.catalog import Served
from sampan.apiserver.table import Tables
from sampan.kinds.core import config_map, pod
from sampan.kinds.kind import Column, Kind


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


TABLES = Tables(Clock())
MAPS: Served = Served(CONFIG_MAPS, config_map.KIND, CONFIG_MAPS)


def a_map() -> Any:
    return codec.convert(CONFIG_MAPS.wire, {"kind": "ConfigMap", "apiVersion": "v1", "data": {"x": "1"}, "metadata": {
        "name": "a", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}})


def test_rows_have_the_kind_s_cells_and_the_object_s_metadata() -> None:
    table = TABLES.table(MAPS, [a_map()], query={}, version="v1", revision="7")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    read: Any = codec.decode(Table, codec.encode(table))
    assert read.rows[0].cells[0] == "a"
    assert read.rows[0].cells[2] == "60m"
    assert read.rows[0].object["kind"] == "PartialObjectMetadata"
    assert read.metadata.resourceVersion == "7"


@pytest.mark.parametrize(("include", "kind"), [("None", None), ("Object", "ConfigMap"), ("Metadata", "PartialObjectMetadata")])
def test_a_row_includes_of_its_object_what_is_asked_for(include: str, kind: str | None) -> None:
    table = TABLES.table(MAPS, [a_map()], query={"includeObject": [include]}, version="v1")
    found = codec.to_builtins(table)["rows"][0]["object"]
    assert (found or {}).get("kind") == kind


def test_what_can_t_be_included_is_refused() -> None:
    with pytest.raises(BadRequest, match="Unable to convert to Table as requested: includeObject: Invalid value: \"Bogus\""):
        TABLES.table(MAPS, [], query={"includeObject": ["Bogus"]}, version="v1")


def test_a_kind_without_columns_has_name_and_time_of_creation() -> None:
    plain: Served = Served(CONFIG_MAPS, Kind(resource=CONFIG_MAPS), CONFIG_MAPS)
    table = TABLES.table(plain, [a_map(), {"metadata": {"name": "d", "creationTimestamp": "2026-01-01T00:00:00Z"}}], query={}, version="v1beta1")
    assert [row["cells"] for row in table["rows"]] == [["a", "2026-01-01T00:00:00Z"], ["d", "2026-01-01T00:00:00Z"]]
    assert table["columnDefinitions"][1] == {"name": "Created At", "type": "date", "format": "", "priority": 0,
                                             "description": table["columnDefinitions"][1]["description"]}
    assert table["apiVersion"] == "meta.k8s.io/v1beta1"


def test_later_events_of_a_watch_define_no_columns_and_limited_lists_say_what_is_left() -> None:
    table = TABLES.table(MAPS, [], query={}, version="v1", revision="9", continue_="token", remaining=3, columns=False)
    assert table["columnDefinitions"] is None
    assert table["metadata"] == {"resourceVersion": "9", "continue": "token", "remainingItemCount": 3}
    assert table["rows"] == []


def test_a_row_says_that_its_pod_has_ended_and_a_running_one_s_does_not() -> None:
    pods: Served = Served(PODS, pod.KIND, PODS)
    objects = [codec.convert(PODS.wire, {"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {"phase": phase}})
               for phase in ("Running", "Succeeded")]
    running, ended = TABLES.table(pods, objects, query={}, version="v1")["rows"]
    assert "conditions" not in running
    assert [condition["reason"] for condition in ended["conditions"]] == ["Succeeded"]
    assert list(ended) == ["cells", "conditions", "object"]


def test_undeclared_columns_have_cells_but_no_definition() -> None:
    columns: tuple[Column[Any], ...] = (Column("Name", lambda obj, _: "a"), Column("Extra", lambda obj, _: "b", undeclared=True))
    kind: Served = Served(CONFIG_MAPS, Kind(resource=CONFIG_MAPS, columns=columns), CONFIG_MAPS)
    table = TABLES.table(kind, [a_map()], query={}, version="v1")
    assert table["rows"][0]["cells"] == ["a", "b"]
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name"]
