"""Names and order of fields in upstream's unversioned types: facts for `sampan.kinds.core.internal`."""

from __future__ import annotations

FIELDS: dict[str, tuple[tuple[str, str], ...]] = {}
