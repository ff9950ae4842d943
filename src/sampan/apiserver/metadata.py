"""ObjectMeta on its way into the store: what the server sets, what a client may not change, and validation.

Owns the rules that are the same for every kind. Objects are Structs, or dicts for custom resources: `meta_of` and
`put_meta` hide the difference. Source: apimachinery `pkg/api/validation/objectmeta.go`, apiserver `registry/rest`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from sampan.api import codec, field, goprint, names
from sampan.api.errors import MOST_FINDINGS_BYTES, FieldError
from sampan.api.meta.v1 import ManagedFieldsEntry, ObjectMeta, OwnerReference
from sampan.api.resourceinfo import Resource
from sampan.kinds.kind import Metadata

NameCheck = Callable[[str], Sequence[str]]
STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))
TOTAL_ANNOTATIONS_BYTES = 256 * 1024
MOST_MANAGER_BYTES = 128
MOST_SUBRESOURCE_BYTES = 256


def meta_of(obj: Any) -> ObjectMeta:
    """The metadata: the object's own for a Struct, a decoded copy for a dict."""
    if isinstance(obj, dict):
        return codec.convert(ObjectMeta, obj.get("metadata") or {})
    return obj.metadata  # type: ignore[no-any-return]


def copied(obj: Any, **parts: Any) -> Any:
    """A Struct like this with other parts; its metadata is a copy, maps and lists included, all else is shared."""
    meta = obj.metadata.__copy__()
    meta.labels, meta.annotations = dict(meta.labels), dict(meta.annotations)
    meta.finalizers, meta.ownerReferences, meta.managedFields = list(meta.finalizers), list(meta.ownerReferences), list(meta.managedFields)
    out = obj.__copy__()
    out.metadata = meta
    for name, part in parts.items():
        setattr(out, name, part)
    return out


def keep_times(new: Any, old: Any) -> None:
    """A write that would change nothing but when its manager wrote changes nothing: `new` gets the times of `old`.

    Source: `k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager/equality.go`.
    """
    if isinstance(new, dict):
        meta, was = new.get("metadata") or {}, (old.get("metadata") or {}).get("managedFields") or []
        now = meta.get("managedFields") or []
        if now != was and [entry | {"time": ""} for entry in now] == [entry | {"time": ""} for entry in was]:
            meta["managedFields"] = was
            if new != old:
                meta["managedFields"] = now
        return
    before, after = old.metadata.managedFields, new.metadata.managedFields
    if before and after and before != after and list(map(_but_time, before)) == list(map(_but_time, after)):
        new.metadata.managedFields = before
        if new != old:
            new.metadata.managedFields = after


def _but_time(entry: ManagedFieldsEntry) -> tuple[Any, ...]:
    return entry.manager, entry.operation, entry.apiVersion, entry.subresource, entry.fieldsType, entry.fieldsV1


def put_meta(obj: Any, meta: ObjectMeta) -> None:
    """Write back what was changed in `meta_of`'s answer; nothing to do for a Struct."""
    if isinstance(obj, dict):
        rest = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion", "metadata")}
        head = {"kind": obj.get("kind", ""), "apiVersion": obj.get("apiVersion", ""), "metadata": codec.to_builtins(meta)}
        obj.clear()
        obj.update(head)
        obj.update(rest)


def validate_meta(meta: ObjectMeta, *, namespaced: bool, name_check: NameCheck | None) -> list[FieldError]:
    """All findings about an object's metadata."""
    check = name_check or names.dns1123_subdomain
    found: list[FieldError] = []
    if meta.generateName:
        # what will be appended is valid in itself: judge the prefix with something in its place
        prefix = meta.generateName
        if messages := check(names.masked(prefix)):
            found += field.invalid_each("metadata.generateName", prefix, messages)
    if not meta.name:
        found.append(field.required("metadata.name", "name or generateName is required"))
    elif messages := check(meta.name):
        found += field.invalid_each("metadata.name", meta.name, messages)
    if namespaced:
        if not meta.namespace:
            found.append(field.required("metadata.namespace"))
        elif messages := names.dns1123_label(meta.namespace):
            found += field.invalid_each("metadata.namespace", meta.namespace, messages)
    elif meta.namespace:
        found.append(field.forbidden("metadata.namespace", "not allowed on this type"))
    if meta.generation < 0:
        found.append(field.invalid("metadata.generation", meta.generation, "must be greater than or equal to 0"))
    return found + validate_maps(meta) + _validate_owners(meta) + _validate_finalizers(meta) + _validate_managed(meta)


def validate_maps(meta: ObjectMeta) -> list[FieldError]:
    """Findings about labels and annotations."""
    found: list[FieldError] = []
    for key, value in meta.labels.items():
        if messages := names.label_key(key):
            found += field.invalid_each("metadata.labels", key, messages)
        if messages := names.label_value(value):
            found += field.invalid_each("metadata.labels", value, messages)
    total = 0
    for key, value in meta.annotations.items():
        if messages := names.qualified_name(key.lower()):
            found += field.invalid_each("metadata.annotations", key, messages)
        total += len(key.encode()) + len(value.encode())
    if total > TOTAL_ANNOTATIONS_BYTES:
        found.append(FieldError("FieldValueTooLong", "metadata.annotations",
                                f"Too long: may not be more than {TOTAL_ANNOTATIONS_BYTES} bytes"))
    return found


def _validate_owners(meta: ObjectMeta) -> list[FieldError]:
    found: list[FieldError] = []
    controller, shown_bytes = "", 0
    path = "metadata.ownerReferences"  # upstream names no index
    for owner in meta.ownerReferences:
        group, slash, version = owner.apiVersion.partition("/")
        if not slash:
            version = group
        if not version or not owner.apiVersion or owner.apiVersion.count("/") > 1:
            found.append(field.invalid(f"{path}.apiVersion", owner.apiVersion, "version must not be empty"))
        if not owner.kind:
            found.append(field.invalid(f"{path}.kind", "", "must not be empty"))
        if not owner.name:
            found.append(field.invalid(f"{path}.name", "", "must not be empty"))
        if not owner.uid:
            found.append(field.invalid(f"{path}.uid", "", "must not be empty"))
        if owner.apiVersion == "v1" and owner.kind == "Event":
            found.append(field.invalid(path, _shown(owner), "/v1, Kind=Event is disallowed from being an owner"))
        if owner.controller:
            if controller and shown_bytes <= MOST_FINDINGS_BYTES:  # each shows all of them
                found.append(field.invalid(path, [_shown(one) for one in meta.ownerReferences],
                                           "Only one reference can have Controller set to true. Found "
                                           f'"true" in references for {controller} and {owner.kind}/{owner.name}'))
                shown_bytes += len(found[-1].detail)
            elif not controller:
                controller = f"{owner.kind}/{owner.name}"
    return found


def _shown(owner: OwnerReference) -> dict[str, Any]:
    """In the order of Go's fields."""
    return {"apiVersion": owner.apiVersion, **codec.to_builtins(owner)}


def _validate_finalizers(meta: ObjectMeta) -> list[FieldError]:
    found: list[FieldError] = []
    kept = {"orphan": 0, "foregroundDeletion": 0}
    for finalizer in meta.finalizers:
        if finalizer in kept:
            kept[finalizer] += 1
        found += [field.invalid("metadata.finalizers", finalizer, why) for why in names.qualified_name(finalizer)]
    if kept["orphan"] and kept["foregroundDeletion"]:
        found.append(FieldError(
            "FieldValueInvalid", "metadata.finalizers",
            f"Invalid value: {codec.encode(meta.finalizers).decode()}: finalizer orphan and foregroundDeletion cannot be both set"))
    return found


def unqualified_finalizers(meta: ObjectMeta, resource: Resource[Any]) -> list[FieldError]:
    """Built-in kinds ask more of finalizers than that they are names: a domain, but for the standard ones.

    Source: kubernetes `pkg/apis/core/validation/validation.go`, `ValidateObjectMeta`.
    """
    if resource.group in ("apiextensions.k8s.io", "apiregistration.k8s.io"):
        return []  # their servers are of their own, with apimachinery's rules alone
    return [field.invalid(f"metadata.finalizers[{index}]", one, "name is neither a standard finalizer name nor is it fully qualified")
            for index, one in enumerate(meta.finalizers) if "/" not in one and one not in STANDARD_FINALIZERS]


def _validate_managed(meta: ObjectMeta) -> list[FieldError]:
    found: list[FieldError] = []
    for index, entry in enumerate(meta.managedFields):
        path = f"metadata.managedFields[{index}]"
        if entry.operation not in ("Apply", "Update"):
            found.append(field.invalid(f"{path}.operation", entry.operation, "must be `Apply` or `Update`"))
        if entry.fieldsType and entry.fieldsType != "FieldsV1":
            found.append(field.invalid(f"{path}.fieldsType", entry.fieldsType, "must be `FieldsV1`"))
        found += manager_errors(f"{path}.manager", entry.manager)
        if len(entry.subresource.encode()) > MOST_SUBRESOURCE_BYTES:
            found.append(field.too_long(f"{path}.subresource", MOST_SUBRESOURCE_BYTES))
    return found


def manager_errors(path: str, manager: str) -> list[FieldError]:
    """Findings about a field manager's name."""
    found = []
    if len(manager.encode()) > MOST_MANAGER_BYTES:
        found.append(field.too_long(path, MOST_MANAGER_BYTES))
    if not manager.isprintable():
        at = 0
        for char in manager:
            if not char.isprintable():
                found.append(field.invalid(path, manager, f"invalid character U+{ord(char):04X} (at position {at})"))
            at += len(char.encode())
    return found


def validate_change(new: ObjectMeta, old: ObjectMeta, resource: Resource[Any], *, built_in: bool,
                    again: Metadata = "change") -> list[FieldError]:
    """All findings about the metadata of an update, those that upstream tells several times too.

    What did not change was judged when it was written. `again` is what the kind says itself.
    """
    update, managed = validate_meta_update(new, old), _validate_managed(new)
    found = managed
    if new.name and _judged(new) != _judged(old):
        found = validate_meta(new, namespaced=resource.namespaced, name_check=_any_name)
        update += validate_maps(new) + _validate_owners(new)
    update += managed
    # what is common to all kinds, then what the kind says itself
    kinds_own = [*(update if again in ("change", "both") else ()), *(found if again in ("object", "both") else ())]
    unqualified = unqualified_finalizers(new, resource) * (2 if again == "both" else 1) if built_in and again != "none" else []
    return [*found, *update, *kinds_own, *unqualified]


_judged = attrgetter("labels", "annotations", "finalizers", "ownerReferences", "generateName")


def _any_name(_: str) -> tuple[str, ...]:
    return ()


def validate_meta_update(new: ObjectMeta, old: ObjectMeta) -> list[FieldError]:
    """Findings about what a change of metadata may not change; run after what the server keeps has been put back."""
    found: list[FieldError] = []
    if old.deletionTimestamp:
        added = [one for one in new.finalizers if one not in old.finalizers]
        if added:
            shown = ", ".join(goprint.quote(one) for one in sorted(added))
            found.append(field.forbidden("metadata.finalizers", "no new finalizers can be added if the object is being deleted, "
                                                          f"found new finalizers []string{{{shown}}}"))
    if new.generation < old.generation:
        found.append(field.invalid("metadata.generation", new.generation, "must not be decremented"))
    pairs = (
        ("metadata.name", new.name, old.name), ("metadata.namespace", new.namespace, old.namespace),
        ("metadata.uid", new.uid, old.uid), ("metadata.creationTimestamp", new.creationTimestamp, old.creationTimestamp),
        ("metadata.deletionTimestamp", new.deletionTimestamp, old.deletionTimestamp),
        ("metadata.deletionGracePeriodSeconds", new.deletionGracePeriodSeconds, old.deletionGracePeriodSeconds),
    )
    return found + [field.invalid(path, now, field.IMMUTABLE) for path, now, was in pairs if now != was]


def keep_system_fields(new: ObjectMeta, old: ObjectMeta) -> None:
    """Put back what an update can't change but may leave out."""
    new.generation = old.generation
    if not new.uid:
        new.uid = old.uid
    new.creationTimestamp = old.creationTimestamp
    if old.deletionTimestamp:
        new.deletionTimestamp = old.deletionTimestamp
    if old.deletionGracePeriodSeconds is not None and new.deletionGracePeriodSeconds is None:
        new.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds
    new.selfLink = ""

