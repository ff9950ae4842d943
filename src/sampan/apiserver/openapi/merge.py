"""A part of another server's Swagger 2.0 document in ours. Pure.

Source: kube-openapi `pkg/aggregator/aggregator.go` (`FilterSpecByPathsWithoutSideEffects`,
`MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PREFIX = "#/definitions/"


def part(document: Mapping[str, Any], roots: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The path items below some roots (`/apis/GROUP/VERSION`) and the definitions that they need."""
    items = {path: item for path, item in _mapping(document, "paths").items()
             if any(path == root or path.startswith(f"{root}/") for root in roots)}
    definitions, found = _mapping(document, "definitions"), {}
    waiting = _names(items)
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in found:
            found[name] = definitions[name]
            waiting |= _names(definitions[name])
    return items, found


def into(paths: dict[str, Any], definitions: dict[str, Any], more: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Add a part to the paths and definitions of a document, in place. Definitions that differ get names of their own."""
    items, added = more
    renamed: dict[str, str] = {}
    for name, value in added.items():
        if name in definitions and definitions[name] != value:
            number = 2
            while f"{name}_v{number}" in definitions or f"{name}_v{number}" in added:
                number += 1
            renamed[name] = f"{name}_v{number}"

    def new_name(name: str) -> str:
        return renamed.get(name, name)

    for name, value in added.items():
        definitions[new_name(name)] = _rewritten(value, new_name)
    paths.update({path: _rewritten(item, new_name) for path, item in items.items() if path not in paths})


def _mapping(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _names(value: Any) -> set[str]:
    found: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            reference = one.get("$ref")
            if isinstance(reference, str) and reference.startswith(PREFIX):
                found.add(reference.removeprefix(PREFIX))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def _rewritten(value: Any, new_name: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: PREFIX + new_name(item.removeprefix(PREFIX)) if key == "$ref" and isinstance(item, str) and item.startswith(PREFIX)
                else _rewritten(item, new_name) for key, item in value.items()}
    return [_rewritten(one, new_name) for one in value] if isinstance(value, list) else value
