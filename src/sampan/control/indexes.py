"""Functions for `Informer.index`: what objects are looked up by, so that cost does not grow with unrelated ones.

The label index answers "which objects match this selector" and, turned round, "which selectors may match this
object": a selector is filed under one of its required label pairs, an object under all of its pairs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from sampan.api.meta.v1 import LabelSelector, ObjectMeta
from sampan.control.informer import Index
from sampan.control.key import key_of, meta_of, uid_of


def by_namespace(obj: Any) -> Iterable[Hashable]:
    """By namespace."""
    return (key_of(obj).namespace,)


def by_uid(obj: Any) -> Iterable[Hashable]:
    """By the object's own uid."""
    return (uid_of(obj),)


def by_owner(obj: Any) -> Iterable[Hashable]:
    """By the uid of each owner."""
    return [ref.uid for ref in meta_of(obj).ownerReferences]


def by_controller(obj: Any) -> Iterable[Hashable]:
    """By the uid of the managing owner."""
    return [ref.uid for ref in meta_of(obj).ownerReferences if ref.controller]


def _is_managed(meta: ObjectMeta) -> bool:
    for ref in meta.ownerReferences:  # a loop: this is asked of every pod for each of its changes, by several indexes  # noqa: SIM110
        if ref.controller:
            return True
    return False


def orphans(obj: Any) -> Iterable[Hashable]:
    """By namespace, only objects that nobody manages."""
    meta = meta_of(obj)
    return () if _is_managed(meta) else (meta.namespace,)


def by_node(pod: Any) -> Iterable[Hashable]:
    """Pods by the node that they are bound to."""
    return (pod.spec.nodeName,) if pod.spec.nodeName else ()


def by_label(obj: Any) -> Iterable[Hashable]:
    """By (namespace, key, value) of each label."""
    meta = meta_of(obj)
    return [(meta.namespace, key, value) for key, value in meta.labels.items()]


def orphans_by_label(obj: Any) -> Iterable[Hashable]:
    """By (namespace, key, value) of each label, only objects that nobody manages."""
    meta = meta_of(obj)
    if _is_managed(meta):
        return ()
    return [(meta.namespace, key, value) for key, value in meta.labels.items()]


def selector_slot(namespace: str, required: Mapping[str, str]) -> tuple[str, str, str]:
    """Where a selector with these required pairs is filed; one without any under ("", "")."""
    return (namespace, *min(required.items())) if required else (namespace, "", "")


def by_selector(obj: Any) -> Iterable[Hashable]:
    """Objects with a LabelSelector in `spec.selector` by one pair of it; those without a selector not at all."""
    selector: LabelSelector | None = obj.spec.selector
    return () if selector is None else (selector_slot(obj.metadata.namespace, selector.matchLabels),)


def by_map_selector(obj: Any) -> Iterable[Hashable]:
    """Services and replication controllers by one pair of their selector; those without a selector not at all."""
    return (selector_slot(obj.metadata.namespace, obj.spec.selector),) if obj.spec.selector else ()


def candidates(index: Index[Any], namespace: str, labels: Mapping[str, str]) -> list[Any]:
    """From an index by selector: the objects whose selector may match `labels` (match them for certain then)."""
    found: list[Any] = index.get((namespace, "", ""))
    for pair in labels.items():
        found += index.get((namespace, *pair))
    return found


def selected(index: Index[Any], namespace: str, required: Mapping[str, str]) -> list[Any]:
    """From an index by label: the objects that have all of these label pairs (at least one pair)."""
    slots = sorted(((namespace, *pair) for pair in required.items()), key=index.count)
    return [obj for obj in index.get(slots[0]) if required.items() <= meta_of(obj).labels.items()]
