"""Lease: who holds something, and until when; node heartbeats and leader election.

Source: kubernetes `pkg/apis/coordination/validation/validation.go`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sampan.api import field, names
from sampan.api.coordination.v1 import Lease, LeaseSpec
from sampan.api.resources import LEASES
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

STRATEGIES = ("OldestEmulationVersion",)


def expires(spec: LeaseSpec) -> datetime | None:
    """When the lease runs out unless it is renewed; None when it does not say."""
    if spec.renewTime is None or spec.leaseDurationSeconds is None:
        return None
    return spec.renewTime.moment() + timedelta(seconds=spec.leaseDurationSeconds)


def prepare_create(lease: Lease) -> None:
    """Coordinated leader election is behind a gate that is off: its fields are dropped."""
    lease.spec.strategy = lease.spec.preferredHolder = None


def prepare_update(new: Lease, old: Lease) -> None:
    if old.spec.strategy is None and old.spec.preferredHolder is None:
        prepare_create(new)


def validate(lease: Lease) -> Findings:
    spec, out = lease.spec, Findings()
    if spec.leaseDurationSeconds is not None and spec.leaseDurationSeconds <= 0:
        out.append(field.invalid("spec.leaseDurationSeconds", spec.leaseDurationSeconds, "must be greater than 0"))
    out += checks.nonnegative(spec.leaseTransitions, "spec.leaseTransitions")
    if spec.strategy is not None:
        if "/" in spec.strategy:
            out += checks.named(spec.strategy, names.qualified_name, "spec.strategy")
        else:
            out += checks.one_of(spec.strategy, STRATEGIES, "spec.strategy")
    if spec.preferredHolder and not spec.strategy:
        out.append(field.forbidden("spec.preferredHolder", "may only be specified when `strategy` is defined"))
    return out


KIND: Kind[Lease] = Kind(
    resource=LEASES,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    columns=(
        Column("Name", lambda lease, _: lease.metadata.name, format="name"),
        Column("Holder", lambda lease, _: lease.spec.holderIdentity or ""),
        Column("Age", age),
    ),
    allow_create_on_update=True,
    unconditional_update=False,
)
