"""From a definition to what is served: a `Served` for every version, with a `Kind` made at run time.

Owns the strategy of custom resources (generation, status, scale, selectable fields, columns) and the conversion that
only changes the version. Leaves conversion by webhooks to whoever hands in a `Converter`, and keeping what it made to `views`.
Source: apiextensions-apiserver `pkg/registry/customresource/{strategy,status_strategy,validator,etcd}.go`,
`registry/customresource/tableconvertor`, `pkg/apiserver/customresource_handler.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from sampan.api import codec, strict
from sampan.api import field as paths
from sampan.api.apiextensions.v1 import (
    CustomResourceColumnDefinition,
    CustomResourceDefinition,
    CustomResourceDefinitionVersion,
    CustomResourceSubresourceScale,
)
from sampan.api.errors import FieldError, Forbidden, InternalError, Invalid
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resourceinfo import Resource, Subresource
from sampan.api.scalars import Time
from sampan.api.schema import Shape
from sampan.apiserver.catalog import Served, View
from sampan.apiserver.crd import defaults, embedded, lists, pruning
from sampan.apiserver.crd.jsonpath import compile_path, text_of
from sampan.apiserver.crd.node import JsonSchema, Node, compile_schema, root_shape
from sampan.apiserver.crd.views import Convert
from sampan.apiserver.table import DEFAULT_COLUMNS
from sampan.kinds.apiextensions import values
from sampan.kinds.apiextensions.custom_resource_definition import served_versions, storage_version
from sampan.kinds.apiextensions.values import Rules
from sampan.kinds.kind import Cell, Column, Kind, ScalePaths, SubKind
from sampan.kinds.printing import since

Object = dict[str, Any]
class Converter(Protocol):
    """Asks somebody else for the objects of another version."""

    async def convert(self, objects: Sequence[Object], desired: str) -> list[Object]:
        """In their order; new ones, but for those that have the version already.

        Raises:
            ApiError: They can't be had.
        """
        ...


MakeView = Callable[[Resource[Any], Convert, Convert], View]
"""Makes what has one version's objects: its resource, how stored ones become its own, and the way back."""
RulesFor = Callable[[JsonSchema], Rules | None]
"""Compiles a schema's CEL rules; None where it has none."""

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_SUB_VERBS = ("get", "patch", "update")
_MAX_INT32 = 2**31 - 1
_BLOCKING = frozenset((paths.REQUIRED, paths.TOO_LONG, paths.TOO_MANY, paths.TYPE_INVALID, paths.NOT_SUPPORTED))
_UNCHECKED = ("some validation rules were not checked because the object was invalid; "
              "correct the existing errors to complete validation")


def no_rules(_: JsonSchema) -> Rules | None:
    """Judges no `x-kubernetes-validations`."""
    return None


@dataclass(eq=False)
class Custom:
    """What the server keeps about a custom resource in one version: `Served.custom`."""

    definition: str
    group_version: str
    kind: str
    list_kind: str
    schema: JsonSchema | None
    node: Node
    rules: Rules | None = None
    shape: Shape = field(init=False)
    siblings: dict[str, Shape] = field(default_factory=dict)
    """The shapes of all of the definition's versions, by apiVersion."""
    converter: Converter | None = None
    """Who makes the other versions, where that is a webhook."""
    storage: str = ""
    """The version that objects are stored in."""
    versions: dict[str, Custom] = field(default_factory=dict)
    """All of the definition's versions, by apiVersion."""

    def __post_init__(self) -> None:
        self.shape = root_shape(self.node)

    def decode(self, obj: Object) -> list[str]:
        """Hold a body's object to metadata and schema, in place.

        Returns:
            The complaints about unknown fields.

        Raises:
            Undecodable: Its metadata can't be any.
        """
        obj["metadata"], complaints = strict.coerce_to(ObjectMeta, obj.get("metadata"))
        gone = [f"metadata.{path}" for path in strict.unknown_paths(complaints)] + pruning.prune(obj, self.node) + sorted(embedded.coerce(obj, self.node))
        return [strict.unknown_field(path) for path in gone]

    def settle(self, obj: Object) -> None:
        """Prune and default an object of this version that was stored under an older schema, in place."""
        pruning.prune(obj, self.node)
        defaults.fill(obj, self.node)


def change_version(obj: Object, group_version: str) -> Object:
    """The conversion named None: nothing but the apiVersion differs."""
    return {**codec.loads(codec.encode(obj)), "apiVersion": group_version}


def by_webhook(crd: CustomResourceDefinition) -> bool:
    """Whether somebody else converts its objects."""
    return crd.spec.conversion is not None and crd.spec.conversion.strategy == "Webhook"


def build(crd: CustomResourceDefinition, rules_for: RulesFor = no_rules, converter: Converter | None = None,
          make_view: MakeView | None = None) -> list[Served]:
    """Everything that a definition with accepted names makes served.

    With a `converter` versions whose objects it makes have a view. A definition that wants conversion by webhook, without
    a `converter`, has its storage version served alone.
    """
    stored = storage_version(crd)
    names = [one.name for one in served_versions(crd) if one.name == stored or converter is not None or not by_webhook(crd)]
    found = _build(crd, names, rules_for)
    if converter is None or make_view is None or not by_webhook(crd):
        return found
    for custom in found[0].custom.versions.values() if found else ():
        custom.converter = converter
    return [_viewed(crd, one, converter, make_view) for one in found]


def as_stored(crd: CustomResourceDefinition) -> Served:
    """The version that objects are stored in, whether requests may name it or not: to delete them."""
    return _build(crd, [storage_version(crd)], no_rules)[0]


def _viewed(crd: CustomResourceDefinition, served: Served, converter: Converter, make_view: MakeView) -> Served:
    """The same with a view, where objects may be stored in another version."""
    if served.outward is None and served.inward is None:
        return served
    customs: dict[str, Custom] = served.custom.versions
    own, stored = served.custom, customs[f"{crd.spec.group}/{storage_version(crd)}"]

    async def outward(objects: list[Object]) -> list[Object]:
        for obj in objects:
            if (was := customs.get(obj.get("apiVersion", ""))) is not None:
                was.settle(obj)
        made = await converter.convert(objects, own.group_version)
        for obj in made:
            pruning.prune(obj, own.node)
        return made

    async def inward(objects: list[Object]) -> list[Object]:
        made = await converter.convert(objects, stored.group_version)
        for obj in made:
            stored.settle(obj)
        return made

    view = make_view(served.resource, outward, inward)
    return replace(served, stored=served.resource, outward=None, inward=None, view=view)


def _build(crd: CustomResourceDefinition, names: Sequence[str], rules_for: RulesFor) -> list[Served]:
    versions = crd.spec.versions or ()
    customs = {version.name: _custom(crd, version, rules_for) for version in versions}
    resources = {version.name: _resource(crd, version) for version in versions}
    shapes = {custom.group_version: custom.shape for custom in customs.values()}
    for custom in customs.values():
        custom.siblings, custom.storage = shapes, storage_version(crd)
        custom.versions = {one.group_version: one for one in customs.values()}
    out = []
    for version in versions:
        if version.name in names:
            custom, resource = customs[version.name], resources[version.name]
            outward, inward = _conversion(crd, customs, version.name)
            kind = _Strategy(crd, version, custom, resource).kind()
            out.append(Served(resource, kind, resources[storage_version(crd)], outward, inward, custom=custom))
    return out


def _custom(crd: CustomResourceDefinition, version: CustomResourceDefinitionVersion, rules_for: RulesFor) -> Custom:
    spec = crd.spec
    schema = None
    if version.schema is not None and version.schema.openAPIV3Schema is not None:
        schema = codec.to_builtins(version.schema.openAPIV3Schema)
    return Custom(crd.metadata.name, f"{spec.group}/{version.name}", spec.names.kind, spec.names.listKind or f"{spec.names.kind}List",
                  schema, compile_schema(schema), rules_for(schema) if schema is not None else None)


def _resource(crd: CustomResourceDefinition, version: CustomResourceDefinitionVersion) -> Resource[Any]:
    spec, accepted, subs = crd.spec, crd.status.acceptedNames, version.subresources
    group_version = f"{spec.group}/{version.name}"
    found = []
    if subs is not None and subs.scale is not None:
        found.append(Subresource("scale", "autoscaling/v1", "Scale", _SUB_VERBS))
    if subs is not None and subs.status is not None:
        found.append(Subresource("status", group_version, accepted.kind, _SUB_VERBS))
    return Resource(spec.group, version.name, accepted.plural, accepted.kind, accepted.singular, spec.scope == "Namespaced", verbs=VERBS,
                    short_names=tuple(accepted.shortNames), categories=tuple(accepted.categories), subresources=tuple(found))


def _conversion(crd: CustomResourceDefinition, customs: dict[str, Custom], name: str) -> tuple[Callable[[Object], Object] | None, Callable[[Object], Object] | None]:
    """How stored objects become this version's and back; None where stored bytes can be served as they are."""
    stored, own = storage_version(crd), customs[name]
    by_version = {custom.group_version: custom for custom in customs.values()}

    def outward(obj: Object) -> Object:
        new = codec.loads(codec.encode(obj))
        was = by_version.get(new.get("apiVersion", ""))
        if was is not None:
            was.settle(new)
        if new.get("apiVersion") != own.group_version:
            new = change_version(new, own.group_version)
            pruning.prune(new, own.node)
        return new  # type: ignore[no-any-return]

    def inward(obj: Object) -> Object:
        new = change_version(obj, customs[stored].group_version)
        customs[stored].settle(new)
        return new

    plainly = name == stored and set(crd.status.storedVersions or ()) <= {stored}
    # a schema that has changed may prune and default what was stored before
    unchanged = crd.metadata.generation <= 1
    return (None if plainly and unchanged else outward), (None if name == stored else inward)


# ---- the strategy --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Strategy:
    """The functions of one version's `Kind`."""

    crd: CustomResourceDefinition
    version: CustomResourceDefinitionVersion
    custom: Custom
    resource: Resource[Any]

    def kind(self) -> Kind[Object]:
        version, subs = self.version, self.version.subresources
        scale = subs.scale if subs is not None else None
        return Kind(
            resource=self.resource,
            default=lambda obj: defaults.fill(obj, self.custom.node),
            prepare_create=self.prepare_create,
            prepare_update=self.prepare_update,
            validate_create=lambda obj: self.validate(obj, None),
            validate_update=self.validate,
            subkinds=(SubKind("status", _prepare_status, self.validate_status),) if self.has_status else (),
            scale=_scale(scale) if scale is not None else None,
            columns=_columns(version.additionalPrinterColumns),
            fields={one.jsonPath.removeprefix("."): _selectable(one.jsonPath) for one in version.selectableFields},
            unconditional_update=False,
            deprecation=self.deprecation,
        )

    @property
    def has_status(self) -> bool:
        return self.version.subresources is not None and self.version.subresources.status is not None

    @property
    def deprecation(self) -> str:
        if not self.version.deprecated:
            return ""
        text = self.version.deprecationWarning
        return text if text is not None else f"{self.custom.group_version} {self.custom.kind} is deprecated"

    def prepare_create(self, obj: Object) -> None:
        if self.crd.metadata.deletionTimestamp:
            why = "create not allowed while custom resource definition is terminating"
            raise Forbidden.on(self.resource.plural, self.resource.group, obj["metadata"].get("name", ""), why)
        if self.has_status:
            obj.pop("status", None)
        obj["metadata"]["generation"] = 1

    def prepare_update(self, new: Object, old: Object) -> None:
        if self.has_status:
            if "status" in old:
                new["status"] = old["status"]
            else:
                new.pop("status", None)
        generation = old["metadata"].get("generation", 0)
        changed = {k: v for k, v in new.items() if k != "metadata"} != {k: v for k, v in old.items() if k != "metadata"}
        new["metadata"]["generation"] = generation + 1 if changed else generation

    def validate(self, new: Object, old: Object | None) -> list[FieldError]:
        self._check_type(new)
        schema, node = self.custom.schema, self.custom.node
        found: list[FieldError] = []
        if schema is not None:
            found += values.validate(schema, new) if old is None else values.validate_update(schema, new, old)
        found += self._scale_findings(new, status_only=False)
        found += embedded.validate(new, node) if old is None or new != old else []
        found += _new_only(lists.validate_lists(new, node), lists.validate_lists(old, node) if old is not None else [])
        return found + self._rules(new, old, found)

    def validate_status(self, new: Object, old: Object) -> list[FieldError]:
        self._check_type(new)
        schema = ((self.custom.schema or {}).get("properties") or {}).get("status")
        found: list[FieldError] = []
        if schema is not None and "status" in new:
            found += values.validate_update(schema, new["status"], old.get("status"), "status")
        found += self._scale_findings(new, status_only=True)
        found += _new_only(lists.validate_lists(new, self.custom.node), lists.validate_lists(old, self.custom.node))
        return found + self._rules(new, old, found)

    def _check_type(self, obj: Object) -> None:
        """What says to be another kind is refused as that kind."""
        wanted = {"kind": self.custom.kind, "apiVersion": self.custom.group_version}
        found = [paths.invalid(key, obj.get(key, ""), f"must be {value}") for key, value in wanted.items() if obj.get(key) != value]
        if found:
            raise Invalid.of(str(obj.get("kind", "")), self.resource.group, obj["metadata"].get("name", ""), found)

    def _rules(self, new: Object, old: Object | None, found: Sequence[FieldError]) -> list[FieldError]:
        if self.custom.rules is None:
            return []
        if any(error.reason in _BLOCKING for error in found):
            return [paths.invalid("<nil>", None, _UNCHECKED)]
        return list(self.custom.rules.validate(new, old, ""))

    def _scale_findings(self, obj: Object, *, status_only: bool) -> list[FieldError]:
        subs = self.version.subresources
        scale = subs.scale if subs is not None else None
        if scale is None:
            return []
        found: list[FieldError] = []
        numbers = [scale.statusReplicasPath] if status_only else [scale.specReplicasPath, scale.statusReplicasPath]
        for path in numbers:
            value = _nested(obj, path)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                found.append(paths.invalid(path, 0, f"{path} accessor error: {text_of(value)} is of the type {_go_type(value)}, expected int64"))
            elif value < 0:
                found.append(paths.invalid(path, value, "should be a non-negative integer"))
            elif value > _MAX_INT32:
                found.append(paths.invalid(path, value, f"should be less than or equal to {_MAX_INT32}"))
        selector = _nested(obj, scale.labelSelectorPath) if scale.labelSelectorPath else None
        if selector is not None and not isinstance(selector, str):
            words = f"{scale.labelSelectorPath} accessor error: {text_of(selector)} is of the type {_go_type(selector)}, expected string"
            found.append(paths.invalid(scale.labelSelectorPath or "", "", words))
        return found


def _new_only(found: list[FieldError], before: list[FieldError]) -> list[FieldError]:
    return [error for error in found if error not in before]


def _prepare_status(new: Object, old: Object) -> None:
    """Of the new object, only the status and who owns what is taken."""
    managed = new["metadata"].get("managedFields")
    status = new.get("status", _ABSENT)
    revision = new["metadata"].get("resourceVersion")
    new.clear()
    new.update(codec.loads(codec.encode(old)))
    if managed is None:
        new["metadata"].pop("managedFields", None)
    else:
        new["metadata"]["managedFields"] = managed
    if revision is not None:
        new["metadata"]["resourceVersion"] = revision
    new.pop("status", None)
    if status is not _ABSENT:
        new["status"] = status


_ABSENT: Any = object()


def _go_type(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int64", float: "float64", dict: "map[string]interface {}", list: "[]interface {}"}
    return names.get(type(value), "<nil>")


def _nested(obj: Any, path: str) -> Any:
    """What stands at a path of plain fields; None where nothing does."""
    for name in path.removeprefix(".").split("."):
        if not isinstance(obj, dict):
            return None
        obj = obj.get(name)
    return obj


def _scale(scale: CustomResourceSubresourceScale) -> ScalePaths[Object]:
    def number(path: str) -> Callable[[Object], int]:
        def read(obj: Object) -> int:
            value = _nested(obj, path)
            return value if isinstance(value, int) and not isinstance(value, bool) else 0

        return read

    def write(obj: Object, replicas: int) -> None:
        *parents, last = scale.specReplicasPath.removeprefix(".").split(".")
        for name in parents:
            inner = obj.get(name)
            if not isinstance(inner, dict):
                inner = obj[name] = {}
            obj = inner
        obj[last] = replicas

    def selector(obj: Object) -> str:
        value = _nested(obj, scale.labelSelectorPath) if scale.labelSelectorPath else ""
        return value if isinstance(value, str) else ""

    def check(obj: Object) -> None:
        if _nested(obj, scale.specReplicasPath) is None:
            why = f'the spec replicas field "{scale.specReplicasPath}" does not exist'
            raise InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})

    path = tuple(scale.specReplicasPath.removeprefix(".").split("."))
    return ScalePaths(number(scale.specReplicasPath), write, number(scale.statusReplicasPath), selector, check, path)


# ---- columns and selectable fields ---------------------------------------------------------------------------------

_AGE = CustomResourceColumnDefinition(name="Age", type="date", jsonPath=".metadata.creationTimestamp")


def _columns(definitions: Sequence[CustomResourceColumnDefinition]) -> tuple[Column[Object], ...]:
    return (DEFAULT_COLUMNS[0], *(_column(one) for one in definitions or (_AGE,)))


def _column(definition: CustomResourceColumnDefinition) -> Column[Object]:
    find, kind = compile_path(definition.jsonPath), definition.type

    def cell(obj: Object, now: datetime) -> Cell:
        found = find(obj)
        return _cell(kind, found[0], now) if found else None

    return Column(definition.name, cell, type=kind, format=definition.format, description=definition.description,
                  priority=definition.priority)


def _cell(kind: str, value: Any, now: datetime) -> Cell:
    if value is None:
        return "" if kind == "string" else None
    match kind:
        case "string":
            return text_of(value)
        case "integer" if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            try:
                return since(Time.parse(value), now)
            except ValueError:
                return "<invalid>"
        case _:
            return None


def _selectable(path: str) -> Callable[[Object], str]:
    find = compile_path(path)

    def read(obj: Object) -> str:
        found = find(obj)
        return text_of(found[0]) if found and found[0] is not None else ""

    return read
