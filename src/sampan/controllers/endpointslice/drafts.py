"""Slices on their way: endpoints of one family and one set of ports, brought into slices with as few writes as possible. Pure.

Owns which endpoint is the same as one that a slice has, and packing. Leaves hints to `hints`, writes to `decide`.
Source: `k8s.io/endpointslice` (reconciler.go reconcileByPortMapping, utils.go getSliceToFill, util/endpointset.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from sampan.api.discovery.v1 import Endpoint, EndpointSlice

# what tells slices apart besides their family: the ports, each (name, protocol, port, application protocol)
Ports = tuple[tuple[str | None, str | None, int | None, str | None], ...]
Identity = tuple[Any, ...]


@dataclass(eq=False)
class Draft:
    """What a slice shall say; `old`: the slice that is there. `relabelled`: its labels are not those of the Service."""

    ports: Ports
    endpoints: list[Endpoint]
    old: EndpointSlice | None = None
    relabelled: bool = False

    @classmethod
    def of(cls, old: EndpointSlice, *, relabelled: bool = False) -> Draft:
        """A slice as it is."""
        return cls(ports_of(old), list(old.endpoints or ()), old, relabelled)


@dataclass
class Drafts:
    """What is to be done with the slices of one family."""

    create: list[Draft] = field(default_factory=list)
    update: list[Draft] = field(default_factory=list)
    delete: list[Draft] = field(default_factory=list)
    unchanged: list[Draft] = field(default_factory=list)

    def add(self, more: Drafts) -> None:
        """Take in those of other ports."""
        self.create += more.create
        self.update += more.update
        self.delete += more.delete
        self.unchanged += more.unchanged


def ports_of(one: EndpointSlice) -> Ports:
    """The ports of a slice, in one order."""
    return tuple(sorted(((p.name, p.protocol, p.port, p.appProtocol) for p in one.ports or ()), key=repr))


def identity(endpoint: Endpoint) -> Identity:
    """What makes two endpoints the same one; all else can be changed in its place."""
    ref, addresses = endpoint.targetRef, endpoint.addresses or []
    where = tuple(addresses) if len(addresses) < 2 else tuple(sorted(addresses))
    return where, endpoint.hostname or "", ref.namespace if ref else "", ref.name if ref else ""


def _alike(a: Endpoint, b: Endpoint) -> bool:
    """Two endpoints of one identity say the same; hints are looked at elsewhere."""
    return (a.conditions == b.conditions and a.nodeName == b.nodeName and a.zone == b.zone
            and (a.targetRef == b.targetRef or (a.targetRef is not None and b.targetRef is not None
                                                and replace(a.targetRef, resourceVersion=b.targetRef.resourceVersion) == b.targetRef)))


def fill(slices: Sequence[Draft], ports: Ports, wanted: dict[Identity, Endpoint], most: int) -> Drafts:
    """Have `wanted` in slices of these ports, `most` in each: changed slices first, then one that has room, then new ones."""
    found, left = Drafts(), dict(wanted)
    for one in slices:
        kept: list[Endpoint] = []
        same = True
        for old in one.endpoints:
            new = left.pop(identity(old), None)
            if new is not None:
                kept.append(new)
                same = same and _alike(old, new)
        if same and len(kept) == len(one.endpoints):
            (found.update if one.relabelled else found.unchanged).append(one)
        elif kept:
            one.endpoints = kept
            found.update.append(one)
        else:
            found.delete.append(one)
    rest = list(left.values())
    for one in sorted(found.update, key=lambda draft: -len(draft.endpoints)):
        room = max(0, most - len(one.endpoints))
        one.endpoints, rest = [*one.endpoints, *rest[:room]], rest[room:]
    while rest:
        target = _with_room(found.unchanged, len(rest), most)
        if target is None:
            target = Draft(ports, [])
            found.create.append(target)
        else:
            found.unchanged.remove(target)
            found.update.append(target)
        room = most - len(target.endpoints)
        target.endpoints, rest = [*target.endpoints, *rest[:room]], rest[room:]
    return found


def _with_room(slices: Sequence[Draft], number: int, most: int) -> Draft | None:
    """The slice that is fullest when it has taken all of them; a slice's worth of endpoints gets one of its own."""
    fitting = [one for one in slices if len(one.endpoints) + number <= most] if number < most else []
    return max(fitting, key=lambda one: len(one.endpoints), default=None)
