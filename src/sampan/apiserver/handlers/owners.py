"""Owner references that a client wrote twice: one of each is kept, and the client is warned.

Source: apiserver `pkg/endpoints/handlers/create.go` (dedupOwnerReferencesAndAddWarning).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import astuple

from sampan.apiserver import metadata

_WARNING = (".metadata.ownerReferences contains duplicate entries{}; API server dedups owner references in 1.20+, and may reject such requests "
            "as early as 1.24; please fix your requests; duplicate UID(s) observed: {}")


def once_each(obj: Any, warnings: list[str], *, changed: bool = False) -> None:
    """Leave one of equal references, in place. `changed`: the object is what a patch made."""
    meta = metadata.meta_of(obj)
    if len(meta.ownerReferences) < 2:
        return
    kept: dict[tuple[Any, ...], Any] = {}  # there may be thousands
    twice = [one.uid for one in meta.ownerReferences if kept.setdefault(astuple(one), one) is not one]
    if not twice:
        return
    meta.ownerReferences = list(kept.values())
    metadata.put_meta(obj, meta)
    if (warning := _WARNING.format(" after mutating admission happens" if changed else "", ",".join(twice))) not in warnings:
        warnings.append(warning)
