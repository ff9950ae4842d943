"""ServiceCIDR: a range that services get their addresses from.

Source: kubernetes `pkg/apis/networking/validation/validation.go`, `pkg/registry/networking/servicecidr/strategy.go`.
"""

from __future__ import annotations

from sampan.api import addresses, field
from sampan.api.networking.v1 import ServiceCIDR, ServiceCIDRStatus
from sampan.api.resources import SERVICE_CIDRS
from sampan.kinds import meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age


def prepare_create(obj: ServiceCIDR) -> None:
    obj.status = ServiceCIDRStatus()


def validate(obj: ServiceCIDR) -> Findings:
    cidrs, at = obj.spec.cidrs, "spec.cidrs"
    if not cidrs:
        return [field.required(at, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [field.invalid(at, {"CIDRs": cidrs}, "may only hold up to 2 values")]
    out = [error for index, text in enumerate(cidrs) for error in addresses.cidr(f"{at}[{index}]", text)]
    networks = [addresses.parse_cidr_sloppy(text) for text in cidrs]
    versions = [network.version for network in networks if network is not None]
    if len(versions) == 2 and versions[0] == versions[1]:
        out.append(field.invalid(at, cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and "
                                            "2001:db8::/64"))
    return out


def judge_update(new: ServiceCIDR, old: ServiceCIDR) -> Findings:
    """Ranges stay; a second one may be added, and only then are they looked at again."""
    now, was, at = new.spec.cidrs, old.spec.cidrs, "spec.cidrs"
    grows = (len(was), len(now)) == (1, 2)
    if len(now) != len(was) and not grows:
        return [field.invalid(at, now or None, field.IMMUTABLE)]
    out = [field.invalid(f"{at}[{index}]", now[index], field.IMMUTABLE) for index, text in enumerate(was) if now[index] != text]
    return out + (validate(new) if grows else [])


KIND: Kind[ServiceCIDR] = Kind(
    resource=SERVICE_CIDRS,
    prepare_create=prepare_create,
    prepare_update=meta.keep_status,
    validate=validate,
    judge_update=judge_update,
    subkinds=(SubKind("status", meta.keep_spec_and_metadata),),
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("CIDRs", lambda obj, _: ",".join(obj.spec.cidrs)),
        Column("Age", age),
    ),
)
