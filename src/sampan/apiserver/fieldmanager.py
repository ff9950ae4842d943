"""Managed fields of writes, and server-side apply, for every resource that is served.

Owns what each endpoint may own, and how `sampan.api.apply` meets Structs and custom resources. `record` runs before
admission changes an object, as upstream's does: what a plugin adds belongs to nobody.
Source: apimachinery `util/managedfields/internal/{fieldmanager,structuredmerge,lastapplied*}.go`, kubernetes'
strategies (`GetResetFields`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol

from msgspec.structs import replace

from sampan.api import apply as ssa
from sampan.api import codec, fieldset, managedfields, schema, strict, typed, yamlbody
from sampan.api.apply import Conflicts, Filter, Managed, Manager
from sampan.api.errors import BadRequest, OtherStatus
from sampan.api.fieldset import FieldSet
from sampan.api.jsonvalues import word
from sampan.api.meta.v1 import ManagedFieldsEntry
from sampan.api.scalars import Time
from sampan.api.schema import Shape
from sampan.api.typed import Difference
from sampan.apiserver.catalog import Served
from sampan.apiserver.crossing import Converts, in_version
from sampan.apiserver.options import WriteOptions

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"

# what a write to the endpoint never changes, besides the rule that status belongs to the endpoint of that name alone
_RESET_BY_STATUS: dict[str, tuple[tuple[str, ...], ...]] = {
    "pods": (("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
    "deployments.apps": (("metadata", "labels"),),
    "apiservices.apiregistration.k8s.io": (("metadata",),),
    "flowschemas.flowcontrol.apiserver.k8s.io": (("metadata",),),
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": (("metadata",),),
    "resourceclaims.resource.k8s.io": (("metadata",),),
    "servicecidrs.networking.k8s.io": (("metadata",),),
    "validatingadmissionpolicies.admissionregistration.k8s.io": (("metadata",),),
    "volumeattachments.storage.k8s.io": (("metadata",),),
}
_ONLY: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {
    ("pods", "ephemeralcontainers"): (("spec", "ephemeralContainers"),),
    ("scales.autoscaling", "scale"): (("spec", "replicas"),),
}
_RESET: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {
    ("pods", "resize"): (("status",),),
    ("namespaces", "finalize"): (("status",),),
    ("tokenrequests.authentication.k8s.io", "token"): (),
    ("certificatesigningrequests.certificates.k8s.io", ""): (("spec",), ("status",)),
    ("certificatesigningrequests.certificates.k8s.io", "status"): (("spec",), ("status", "conditions")),
    ("certificatesigningrequests.certificates.k8s.io", "approval"): (("spec",), ("status", "certificate")),
}
"""What the endpoint never owns, where that is another rule than for others of its kind."""


class Shaped(Protocol):
    """What a custom resource's entry in the catalog (`Served.custom`) says about its objects."""

    @property
    def shape(self) -> Shape:
        """The shape that its structural schema describes."""
        ...

    @property
    def converter(self) -> Converts | None:
        """Who makes the other versions, where that is a webhook: then this one's objects need not have their shapes."""
        ...

    @property
    def siblings(self) -> Mapping[str, Shape]:
        """The shapes of all versions, by apiVersion."""
        ...


def shape_of(served: Served) -> Shape:
    """The shape of a resource's objects."""
    if served.custom is not None:
        shape: Shape = served.custom.shape
        return shape
    return schema.of_resource(served.resource) or schema.ANY


class FieldManager:
    """The `fields` of a registry, and the part named `apply`."""

    # -- other writes -----------------------------------------------------------------------------------------------

    def record(self, served: Served, new: Any, old: Any, *, manager: str, subresource: str, now: Time) -> None:
        """Give `manager` the fields that `new` changed, in place."""
        custom = served.custom
        if custom is not None and custom.converter is not None:
            self._record_in_versions(served, new, old, manager, subresource, now)
            return
        entries = _before(new, old, subresource)
        _put_entries(new, [])
        if entries is None or (not entries and old is not None):
            return
        try:
            difference = _difference(served, old, new)
        except typed.TypedError:
            return  # upstream, too, prefers an object without owners to none at all
        if custom is not None and not _fits_others(custom, {one.apiVersion for one in entries}, new):
            return
        by = Manager(manager or managedfields.UNKNOWN, "Update", served.resource.group_version, subresource)
        try:
            _put_entries(new, managedfields.updated(entries, by, difference, _filter(served, subresource), now))
        except managedfields.BadEntry:
            return  # what is stored can't be read

    @staticmethod
    def _record_in_versions(served: Served, new: Any, old: Any, manager: str, subresource: str, now: Time) -> None:
        """The same, where a webhook has to make the other versions in which somebody owns fields."""
        entries = _before(new, old, subresource)
        managed = managedfields.decode(entries) if entries and _readable(entries) else {}
        _put_entries(new, [])
        if entries is None or (not managed and old is not None):
            return
        by, keep = Manager(manager or managedfields.UNKNOWN, "Update", served.resource.group_version, subresource), _filter(served, subresource)
        try:
            difference = _difference(served, old, new)
        except typed.TypedError:
            return
        elsewhere = _elsewhere(served, managed, old, new)
        managed = ssa.update(managed, by, by.version, ssa.filtered(difference, keep), now)
        for version, changed in elsewhere:
            managed, _ = ssa.take(managed, by, version, ssa.filtered(changed, keep))
        _put_entries(new, managedfields.encode(managedfields.cap(managed)))

    # -- apply ------------------------------------------------------------------------------------------------------

    def parse(self, served: Served, raw: bytes, options: WriteOptions, problems: list[str]) -> dict[str, Any]:
        """The applied configuration: YAML or JSON to a tree. What is strictly wrong with it goes to `problems`, unless it is ignored.

        Raises:
            BadRequest: It is neither, or no object.
        """
        del served
        if (plain := _plain_json(raw)) is not None:
            return plain
        try:
            body, found = yamlbody.to_json(raw)
        except yamlbody.YAMLError as error:
            raise BadRequest(f"error decoding YAML: error converting YAML to JSON: {error}") from None
        tree = codec.loads(body)
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            raise BadRequest("error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
                             f"{word(tree)} into Go value of type map[string]interface {{}}")
        if options.validation != "Ignore":
            problems += found
        return tree

    def apply(self, served: Served, old: Any, applied: dict[str, Any], *, manager: str, force: bool, subresource: str,
              now: Time) -> Any:
        """The object with the configuration applied, its owners written in it; made for the caller alone.

        Raises:
            BadRequest: The configuration is of another kind or names owners.
            Conflicts: Others own what would change, and it is not forced.
            OtherStatus: A 500: the configuration does not have its shape.
        """
        shape, version = shape_of(served), served.resource.group_version
        _check(served, shape, applied)
        live = codec.loads(_empty(served) if old is None else codec.encode(old))
        managed = self._applied_before(served, old, now)
        if isinstance(meta := live.get("metadata"), dict):
            meta.pop("managedFields", None)
        by, keep = Manager(manager, "Apply", "", subresource), _filter(served, subresource)

        def attempt(*, forced: bool) -> tuple[dict[str, Any] | None, Managed]:
            return ssa.apply(shape, live, applied, managed, by, version, force=forced, keep=keep)

        try:
            try:
                tree, managed = attempt(forced=force)
            except Conflicts as conflicts:
                if manager != KUBECTL or not _allowed(shape, live, conflicts):
                    raise
                tree, managed = attempt(forced=True)
        except typed.TypedError as error:
            raise OtherStatus(f"failed to merge config: {error}", code=500) from None
        if tree is not None:
            managed = self._taken_elsewhere(served, managed, by, live, tree, force=force)
        if tree is None:
            tree = live
        elif by in managed:
            managed[by] = replace(managed[by], time=now)
        if manager == KUBECTL:
            _note_applied(tree, applied)
        return self._object(served, tree, managed)

    @staticmethod
    def _taken_elsewhere(served: Served, managed: Managed, by: Manager, live: dict[str, Any], tree: dict[str, Any], *, force: bool) -> Managed:
        """Without what others own in other versions and the apply has changed.

        Raises:
            Conflicts: There is some, and it is not forced.
        """
        taken: dict[Manager, FieldSet] = {}
        for version, changed in _elsewhere(served, managed, live if live.get("metadata") else None, tree):
            managed, lost = ssa.take(managed, by, version, ssa.filtered(changed, _filter(served, by.subresource)))
            taken |= lost
        if taken and not force:
            raise Conflicts(taken)
        return managed

    def _applied_before(self, served: Served, old: Any, now: Time) -> Managed:
        if old is None:
            return {}
        managed = managedfields.decode(_entries(old))
        if managed:
            return managed
        by = Manager(managedfields.BEFORE_FIRST_APPLY, "Update", served.resource.group_version)
        difference = managedfields.difference(shape_of(served), _empty(served), codec.encode(old))
        return ssa.update({}, by, by.version, ssa.filtered(difference, _filter(served, "")), now)

    @staticmethod
    def _object(served: Served, tree: dict[str, Any], managed: Managed) -> Any:
        try:
            obj = strict.convert(served.resource, tree, coerce=served.custom.decode if served.custom else None).object
        except strict.Undecodable as error:
            raise OtherStatus(f"failed to convert new typed object: {error}", code=500) from None
        _put_entries(obj, managedfields.encode(managed))
        return obj


def _before(new: Any, old: Any, subresource: str) -> Sequence[ManagedFieldsEntry] | None:
    """The owners before the write: as the client sent them back, else as they are; None: forget them."""
    sent = _entries(new)
    if not subresource and managedfields.is_reset(sent):
        return None
    was = _entries(old)
    return sent if not subresource and sent and sent != was and _readable(sent) else was


def _readable(entries: Sequence[ManagedFieldsEntry]) -> bool:
    try:
        managedfields.decode(entries)
    except managedfields.BadEntry:
        return False
    return True


def _entries(obj: Any) -> Sequence[ManagedFieldsEntry]:
    if obj is None:
        return ()
    if isinstance(obj, dict):
        return codec.convert(list[ManagedFieldsEntry], (obj.get("metadata") or {}).get("managedFields") or [])
    return obj.metadata.managedFields  # type: ignore[no-any-return]


def _put_entries(obj: Any, entries: list[ManagedFieldsEntry]) -> None:
    if not isinstance(obj, dict):
        obj.metadata.managedFields = entries
    elif entries:
        obj.setdefault("metadata", {})["managedFields"] = codec.to_builtins(entries)
    elif "metadata" in obj:
        obj["metadata"].pop("managedFields", None)


_OTHER_IN_YAML = re.compile(rb"[0-9]{19}|\xc2\x85|\xe2\x80[\xa8\xa9]")
"""What JSON and YAML read differently: numbers of more than 64 bits (YAML's readers make floats of them), line breaks of Unicode."""


def _plain_json(raw: bytes) -> dict[str, Any] | None:
    """What nearly every client sends: JSON is YAML too, but read a hundred times faster. None: it may be something else."""
    if not raw.startswith(b"{") or _OTHER_IN_YAML.search(raw) is not None:
        return None
    try:
        tree: dict[str, Any] = codec.loads(raw)
    except (codec.DecodeError, UnicodeDecodeError):
        return None
    return None if strict.repeats(raw) else tree


@lru_cache(maxsize=256)
def _empty_struct(wire: Any) -> bytes:
    return codec.encode(wire())


def _empty(served: Served) -> bytes:
    """What a fresh object is before anything was said about it."""
    wire: Any = served.resource.wire
    return _empty_struct(wire) if served.custom is None else b"{}"


def _difference(served: Served, old: Any, new: Any) -> Difference:
    """How the object changed; without an `old`, from nothing.

    Raises:
        TypedError: An item of a keyed list has no key.
    """
    shape = shape_of(served)
    if served.custom is not None:
        return managedfields.difference(shape, _empty(served) if old is None else codec.encode(old), codec.encode(new))
    return managedfields.creation(shape, new) if old is None else managedfields.change(shape, old, new)


def _filter(served: Served, subresource: str) -> Filter:
    """What the endpoint may own."""
    return _endpoint_filter(served.resource.group_resource, subresource, "status" in served.subresources,
                            custom=served.custom is not None)


@lru_cache(maxsize=1024)
def _endpoint_filter(group_resource: str, subresource: str, has_status: bool, *, custom: bool) -> Filter:
    if only := _ONLY.get((group_resource, subresource)):
        kept = fieldset.of_paths(*only)
        return partial(fieldset.within, kept=kept)
    if (always := _RESET.get((group_resource, subresource))) is not None:
        reset = fieldset.of_paths(*always)
    elif subresource:
        reset = fieldset.of_paths(("spec",), *((("metadata",),) if custom else _RESET_BY_STATUS.get(group_resource, ())))
    else:
        reset = fieldset.of_paths(("status",)) if has_status else {}
    return partial(fieldset.without, right=reset)


def _elsewhere(served: Served, managed: Managed, old: Any, new: Any) -> list[tuple[str, Difference]]:
    """What a write changes, in each of the other versions in which somebody owns fields, where a webhook makes them.

    Raises:
        Undecided: The webhook has to be asked.
    """
    custom = served.custom
    if custom is None or custom.converter is None or old is None:
        return []
    found = []
    for version in sorted({owned.version for owned in managed.values()} - {served.resource.group_version}):
        shape = custom.siblings.get(version)
        if shape is None:
            continue
        left, right = (in_version(custom.converter, one, version) for one in (old, new))
        try:
            found.append((version, managedfields.difference(shape, codec.encode(left), codec.encode(right))))
        except typed.TypedError:
            continue  # nothing can be said about them: they keep what they have
    return found


def _fits_others(custom: Shaped, versions: set[str], new: Any) -> bool:
    """Whether the object has the shape of every version in which somebody owns fields."""
    for version in versions - {new.get("apiVersion")}:
        shape = custom.siblings.get(version)
        if shape is None or typed.validate(shape, new):
            return False
    return True


def _check(served: Served, shape: Shape, applied: dict[str, Any]) -> None:
    resource = served.resource
    api_version, kind = applied.get("apiVersion") or "", applied.get("kind") or ""
    if (api_version, kind) != (resource.group_version, resource.kind):
        group_version = api_version if "/" in str(api_version) else f"/{api_version}"
        raise BadRequest(f"invalid object type: {group_version}, Kind={kind}")
    meta = applied.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    if meta.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    if found := typed.validate(shape, applied):
        said = found[0] if len(found) == 1 else "errors:\n" + "\n".join(f"  {one}" for one in found)
        group_version = resource.group_version if resource.group else f"/{resource.version}"
        namespace, name = (value if isinstance(value, str) else "" for value in (meta.get("namespace"), meta.get("name")))
        raise OtherStatus(f"failed to create typed patch object ({namespace}/{name}; {group_version}, Kind={resource.kind}): {said}",
                          code=500)


# ---- kubectl's annotation ------------------------------------------------------------------------------------------


def _annotation(tree: dict[str, Any]) -> str:
    notes = (tree.get("metadata") or {}).get("annotations") or {}
    return str(notes.get(LAST_APPLIED) or "")


def _allowed(shape: Shape, live: dict[str, Any], conflicts: Conflicts) -> bool:
    """Whether kubectl has itself applied all of what conflicts, on the client's side, and it is still so."""
    try:
        before = codec.loads(_annotation(live))
        applied = typed.fields_of(shape, before)
        difference = typed.compare(shape, before, live)
    except (codec.DecodeError, typed.TypedError, AttributeError):
        return False
    for changed in difference:
        applied = fieldset.difference(applied, changed)
    taken: FieldSet = {}
    for fields in conflicts.taken.values():
        taken = fieldset.union(taken, fields)
    return not fieldset.difference(taken, applied)


def _note_applied(tree: dict[str, Any], applied: dict[str, Any]) -> None:
    if not _annotation(tree):
        return
    said = codec.loads(codec.encode(applied))
    if isinstance(notes := (said.get("metadata") or {}).get("annotations"), dict):
        notes.pop(LAST_APPLIED, None)
    tree["metadata"]["annotations"][LAST_APPLIED] = codec.encode(said).decode() + "\n"
