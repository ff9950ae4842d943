"""What types and fields mean, in upstream's words, where the package `kubernetes-validate` is installed beside us.

Owns finding and reading them; no description is part of this project. They are read anew for every document that is
made (documents are kept as bytes), so nothing stays in memory.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from sampan.apiserver.openapi.schemas import Descriptions

_PACKAGE = "kubernetes_validate"


def find(version: str) -> Path | None:
    """The file for a minor version like `1.36`, if it is there."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    roots = [Path(place) / "kubernetes-json-schema" for place in spec.submodule_search_locations]
    found = sorted(path for root in roots for path in root.glob(f"v{version}.*-local/_definitions.json"))
    return found[-1] if found else None


def read(path: Path | None) -> Descriptions:
    """By type and field; a type's own text under the empty name. Nothing where there is no file."""
    if path is None:
        return {}
    definitions: dict[str, Any] = msgspec.json.decode(path.read_bytes())["$defs"]
    return {name: _texts(definition) for name, definition in definitions.items()}


def _texts(definition: dict[str, Any]) -> dict[str, str]:
    texts = {field: value["description"] for field, value in definition.get("properties", {}).items() if value.get("description")}
    return texts | ({"": definition["description"]} if definition.get("description") else {})
