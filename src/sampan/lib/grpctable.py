"""gRPC without generated code: message classes and stubs built at run time from tables of names and field numbers.

Owns: the way from a table to `google.protobuf` classes and to callables on a channel. Leaves: the tables (they stand
beside the driver that speaks them, as `messages.json`), channels, errors and deadlines.

A table is JSON: `messages` (full name → field → `number`, `type`, and `repeated`, `optional`, `oneof` where it has
them), `enums` (full name → value's name → number), `services` (full name → method → `in`, `out`, `streamIn`,
`streamOut`). A type is a scalar, a message's full name, `enum NAME` or `map<KEY,VALUE>`. Everything is proto3.
`google.protobuf` is imported when the first class is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any

WELL_KNOWN = {
    "google.protobuf.Any": "any_pb2", "google.protobuf.Duration": "duration_pb2", "google.protobuf.Empty": "empty_pb2",
    "google.protobuf.FieldMask": "field_mask_pb2", "google.protobuf.Struct": "struct_pb2",
    "google.protobuf.Timestamp": "timestamp_pb2", "google.protobuf.Value": "struct_pb2",
    **{f"google.protobuf.{kind}Value": "wrappers_pb2" for kind in (
        "Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")},
}
SCALARS = {"double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "fixed64": 6, "fixed32": 7, "bool": 8,
           "string": 9, "bytes": 12, "uint32": 13, "sfixed32": 15, "sfixed64": 16, "sint32": 17, "sint64": 18}
MESSAGE, ENUM = 11, 14
OPTIONAL, REPEATED = 1, 3


class Table:
    """The messages, enums and services of one table. Classes are made on first use, all at once, and kept."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._pool: Any = None
        self._classes: dict[str, Any] = {}

    @classmethod
    def load(cls, package: str, name: str = "messages.json") -> Table:
        """The table that lies beside the modules of `package`."""
        return cls(json.loads(files(package).joinpath(name).read_bytes()))

    def message(self, full_name: str) -> Any:
        """The class of a message. Raises KeyError for a name that the table lacks."""
        if (known := self._classes.get(full_name)) is not None:
            return known
        from google.protobuf.message_factory import GetMessageClass

        if full_name not in self._facts["messages"] and full_name not in WELL_KNOWN:
            raise KeyError(f"no message {full_name} in this table")
        if self._pool is None:
            self._pool = build_pool(self._facts)
        made = self._classes[full_name] = GetMessageClass(self._pool.FindMessageTypeByName(full_name))
        return made

    def enum(self, full_name: str) -> Mapping[str, int]:
        """The values of an enum, by name."""
        values: Mapping[str, int] = self._facts["enums"][full_name]
        return values

    def service(self, full_name: str, channel: Any) -> Service:
        """Callables for a service's methods on a `grpc` or `grpc.aio` channel."""
        return Service(self, full_name, self._facts["services"][full_name], channel)


class Service:
    """A stub: `service.Version(request, timeout=2)`; each method is made when it is first used."""

    def __init__(self, table: Table, name: str, methods: Mapping[str, Any], channel: Any) -> None:
        self._table, self._name, self._methods, self._channel = table, name, methods, channel

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if (facts := self._methods.get(method)) is None:
            raise AttributeError(f"service {self._name} has no method {method}")
        shape = f"{'stream' if facts.get('streamIn') else 'unary'}_{'stream' if facts.get('streamOut') else 'unary'}"
        made: Callable[..., Any] = getattr(self._channel, shape)(
            f"/{self._name}/{method}",
            request_serializer=self._table.message(facts["in"]).SerializeToString,
            response_deserializer=self._table.message(facts["out"]).FromString,
        )
        self.__dict__[method] = made
        return made


def build_pool(facts: Mapping[str, Any]) -> Any:
    """A private descriptor pool that holds every message and enum of the table, a file for each proto package."""
    from google.protobuf.descriptor_pool import DescriptorPool

    builder = _Builder(facts)
    pool = DescriptorPool()
    for module in builder.well_known():
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pending = {package: builder.file(package) for package in sorted(builder.packages)}
    while pending:
        ready = [name for name, file in pending.items() if not (set(file.dependency) & _paths(pending))]
        if not ready:
            raise ValueError(f"packages refer to one another in a circle: {', '.join(pending)}")
        for name in ready:
            pool.AddSerializedFile(pending.pop(name).SerializeToString())
    return pool


def closure(facts: Mapping[str, Any], services: Iterable[str], roots: Iterable[str] = ()) -> dict[str, Any]:
    """The part of a table that these services and messages need, sorted: what is copied beside a driver."""
    chosen = {name: facts["services"][name] for name in sorted(services)}
    todo = [m[side] for methods in chosen.values() for m in methods.values() for side in ("in", "out")] + list(roots)
    messages: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    while todo:
        name = todo.pop()
        if name in messages or name in WELL_KNOWN or name in SCALARS:
            continue
        if name.startswith("enum "):
            enums[name[5:]] = facts["enums"][name[5:]]
            continue
        if name.startswith("map<"):
            todo.extend(_map_types(name))
            continue
        messages[name] = facts["messages"][name]
        todo.extend(field["type"] for field in messages[name].values())
        todo.extend(parent for parent in [name.rpartition(".")[0]] if parent in facts["messages"])
    return {"services": chosen, "messages": dict(sorted(messages.items())), "enums": dict(sorted(enums.items()))}


def _paths(packages: Iterable[str]) -> set[str]:
    return {f"{package}.proto" for package in packages}


def _map_types(type_name: str) -> tuple[str, str]:
    key, _, value = type_name[4:-1].partition(",")
    return key, value


class _Builder:
    """One table on its way to file descriptors."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._messages: Mapping[str, Any] = facts["messages"]
        self._enums: Mapping[str, Any] = facts["enums"]
        self._by_package: dict[str, list[str]] = {}
        for name in [*self._messages, *self._enums]:
            if not self._parent(name):
                self._by_package.setdefault(name.rpartition(".")[0], []).append(name)
        self._children: dict[str, list[str]] = {}
        for name in [*self._messages, *self._enums]:
            if parent := self._parent(name):
                self._children.setdefault(parent, []).append(name)

    @property
    def packages(self) -> Iterable[str]:
        return self._by_package

    def _parent(self, name: str) -> str:
        outer = name.rpartition(".")[0]
        return outer if outer in self._messages else ""

    def _package(self, name: str) -> str:
        while parent := self._parent(name):
            name = parent
        return name.rpartition(".")[0]

    def _used(self, names: Iterable[str]) -> set[str]:
        """Every type that the fields of these messages name."""
        used: set[str] = set()
        for name in names:
            for field in self._messages.get(name, {}).values():
                kind = field["type"]
                used.update(_map_types(kind) if kind.startswith("map<") else (kind.removeprefix("enum "),))
            used |= self._used(self._children.get(name, ()))
        return used

    def well_known(self) -> list[Any]:
        """The modules of the well-known types; all are small, and services may name them without any field."""
        from google.protobuf import (
            any_pb2,
            duration_pb2,
            empty_pb2,
            field_mask_pb2,
            struct_pb2,
            timestamp_pb2,
            wrappers_pb2,
        )

        return [any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2]

    def file(self, package: str) -> Any:
        """The descriptor of a proto package."""
        from google.protobuf.descriptor_pb2 import FileDescriptorProto

        names = self._by_package[package]
        file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        needed: set[str] = set()
        for used in self._used(names):
            if used in WELL_KNOWN:
                needed.add(f"google/protobuf/{WELL_KNOWN[used].removesuffix('_pb2')}.proto")
            elif used not in SCALARS:
                if used not in self._messages and used not in self._enums:
                    raise KeyError(f"{package} uses {used}, which the table lacks")
                needed.add(f"{self._package(used)}.proto")
        file.dependency.extend(sorted(needed - {file.name}))
        for name in sorted(names):
            if name in self._messages:
                self._fill(file.message_type.add(), name)
            else:
                self._fill_enum(file.enum_type.add(), name)
        return file

    def _fill_enum(self, enum: Any, name: str) -> None:
        enum.name = name.rpartition(".")[2]
        numbers = list(self._enums[name].values())
        enum.options.allow_alias = len(numbers) != len(set(numbers))
        if not enum.options.allow_alias:
            enum.ClearField("options")
        for value, number in sorted(self._enums[name].items(), key=lambda item: (item[1], item[0])):
            enum.value.add(name=value, number=number)

    def _fill(self, message: Any, name: str) -> None:
        message.name = name.rpartition(".")[2]
        for child in sorted(self._children.get(name, ())):
            if child in self._messages:
                self._fill(message.nested_type.add(), child)
            else:
                self._fill_enum(message.enum_type.add(), child)
        fields = sorted(self._messages[name].items(), key=lambda item: item[1]["number"])
        oneofs = {oneof: index for index, oneof in enumerate(dict.fromkeys(f["oneof"] for _, f in fields if "oneof" in f))}
        for oneof in oneofs:
            message.oneof_decl.add(name=oneof)
        for field_name, facts in fields:
            field = message.field.add(name=field_name, number=facts["number"],
                                      label=REPEATED if facts.get("repeated") else OPTIONAL)
            if facts["type"].startswith("map<"):
                self._map(message, field, name, facts["type"])
            else:
                self._type(field, facts["type"])
            if "oneof" in facts:
                field.oneof_index = oneofs[facts["oneof"]]
            elif facts.get("optional"):
                # presence of a proto3 scalar is a oneof of its own
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field_name}")

    def _type(self, field: Any, kind: str) -> None:
        if kind in SCALARS:
            field.type = SCALARS[kind]
        elif kind.startswith("enum "):
            field.type, field.type_name = ENUM, f".{kind[5:]}"
        else:
            field.type, field.type_name = MESSAGE, f".{kind}"

    def _map(self, message: Any, field: Any, owner: str, kind: str) -> None:
        entry = message.nested_type.add(name=f"{_camel(field.name)}Entry")
        entry.options.map_entry = True
        for number, (part, part_kind) in enumerate(zip(("key", "value"), _map_types(kind), strict=True), 1):
            self._type(entry.field.add(name=part, number=number, label=OPTIONAL), part_kind)
        field.label, field.type, field.type_name = REPEATED, MESSAGE, f".{owner}.{entry.name}"


def _camel(name: str) -> str:
    """How protoc names a map's entry message."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
