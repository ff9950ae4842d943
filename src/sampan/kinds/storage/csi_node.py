"""CSINode: which CSI drivers a node has, under which names, and how many volumes each can attach.

Source: kubernetes `pkg/apis/storage/validation/validation.go`, `pkg/registry/storage/csinode/strategy.go`.
"""

from __future__ import annotations

from msgspec import structs

from sampan.api import field, names
from sampan.api.resources import CSI_NODES
from sampan.api.storage.v1 import CSINode, CSINodeDriver
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.storage.parameters import validate_driver_name

MAX_NODE_ID_BYTES = 256


def attach_limit(node: CSINode, driver: str) -> int | None:
    """How many volumes of a driver the node can attach; None: no limit known."""
    for one in node.spec.drivers or ():
        if one.name == driver:
            return one.allocatable.count if one.allocatable is not None else None
    return None


def as_stored(node: CSINode) -> None:
    node.spec.drivers = node.spec.drivers or None
    for driver in node.spec.drivers or ():
        driver.topologyKeys = driver.topologyKeys or None


def validate(node: CSINode) -> Findings:
    out: Findings = []
    seen: set[str] = set()
    for index, driver in enumerate(node.spec.drivers or ()):
        at = f"spec.drivers[{index}]"
        out += validate_driver_name(driver.name, f"{at}.name")
        out += _driver(driver, at, taken=driver.name in seen)
        seen.add(driver.name)
    return out


def _driver(driver: CSINodeDriver, at: str, *, taken: bool) -> Findings:
    out: Findings = []
    if not driver.nodeID:
        out.append(field.required(f"{at}.nodeID"))
    if len(driver.nodeID.encode()) > MAX_NODE_ID_BYTES:
        out.append(field.invalid(f"{at}.nodeID", driver.nodeID, f"must be {MAX_NODE_ID_BYTES} characters or less"))
    if driver.allocatable is not None:
        out += checks.nonnegative(driver.allocatable.count, f"{at}.allocatable.count")
    if taken:
        out.append(field.duplicate(f"{at}.name", driver.name))
    keys: set[str] = set()
    for key in driver.topologyKeys or ():  # upstream tells of the driver, not of its keys
        if not key:
            out.append(field.required(at))
        if key in keys:
            out.append(field.duplicate(at, key))
        keys.add(key)
        out += checks.named(key, names.qualified_name, at)
    return out


def validate_update(new: CSINode, old: CSINode) -> Findings:
    """A driver that was there stays as it was, but for how much it can attach; it may go and come back."""
    out: Findings = []
    named: dict[str, list[CSINodeDriver]] = {}
    for driver in new.spec.drivers or ():
        named.setdefault(driver.name, []).append(driver)
    for before in old.spec.drivers or ():
        for driver in named.get(before.name, ()):
            if (driver.nodeID, driver.topologyKeys or []) != (before.nodeID, before.topologyKeys or []):
                shown = internal(structs.replace(driver, allocatable=None))
                out.append(field.invalid("spec.drivers", shown, field.IMMUTABLE))
    return out


KIND: Kind[CSINode] = Kind(
    resource=CSI_NODES,
    metadata="object",
    as_stored=as_stored,
    validate=validate,
    validate_update=validate_update,
    columns=(
        Column("Name", lambda node, _: node.metadata.name, format="name"),
        Column("Drivers", lambda node, _: len(node.spec.drivers or ()), type="integer"),
        Column("Age", age),
    ),
    unconditional_update=False,
)
