"""CSIDriver: what a CSI driver wants of the control plane and of nodes.

Source: kubernetes `pkg/apis/storage/{validation/validation.go,v1/defaults.go}`, `pkg/registry/storage/csidriver/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.resources import CSI_DRIVERS
from sampan.api.storage.v1 import CSIDriver, CSIDriverSpec
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
MODES = ("Persistent", "Ephemeral")
MIN_TOKEN_SECONDS = 10 * 60
MAX_TOKEN_SECONDS = 1 << 32
MIN_UPDATE_SECONDS = 10


def default(obj: CSIDriver) -> None:
    spec = obj.spec
    if spec.attachRequired is None:
        spec.attachRequired = True
    if spec.fsGroupPolicy is None:
        spec.fsGroupPolicy = "ReadWriteOnceWithFSType"
    for name in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        if getattr(spec, name) is None:
            setattr(spec, name, False)
    spec.volumeLifecycleModes = spec.volumeLifecycleModes or ["Persistent"]


def prepare_create(obj: CSIDriver) -> None:
    obj.spec.preventPodSchedulingIfMissing = None  # VolumeLimitScaling is off


def prepare_update(new: CSIDriver, old: CSIDriver) -> None:
    """The generation counts changes: it begins at none."""
    if old.spec.preventPodSchedulingIfMissing is None:
        new.spec.preventPodSchedulingIfMissing = None
    meta.bump_generation(new, old)


def validate(obj: CSIDriver) -> Findings:
    spec, out = obj.spec, Findings()
    for name, shown in (("attachRequired", "attachedRequired"), ("podInfoOnMount",) * 2, ("storageCapacity",) * 2):
        if getattr(spec, name) is None:
            out.append(field.required(f"spec.{shown}"))  # upstream's path has the extra letters
    if spec.fsGroupPolicy is not None:
        out += checks.one_of(spec.fsGroupPolicy, FS_GROUP_POLICIES, "spec.fsGroupPolicy")
    out += _tokens(spec)
    for mode in spec.volumeLifecycleModes:
        out += checks.one_of(mode, MODES, "spec.volumeLifecycleModes")
    if spec.seLinuxMount is None:
        out.append(field.required("spec.seLinuxMount"))
    seconds = spec.nodeAllocatableUpdatePeriodSeconds
    if seconds is not None and seconds < MIN_UPDATE_SECONDS:
        out.append(field.invalid("spec.nodeAllocatableUpdatePeriodSeconds", seconds,
                                 f"must be greater than or equal to {MIN_UPDATE_SECONDS} seconds"))
    return out + _secrets(spec)


def _tokens(spec: CSIDriverSpec) -> Findings:
    out: Findings = []
    seen: set[str] = set()
    for index, one in enumerate(spec.tokenRequests):
        at = f"spec.tokenRequests[{index}]"
        if one.audience in seen:
            out.append(field.duplicate(f"{at}.audience", one.audience))
            continue
        seen.add(one.audience)
        if one.expirationSeconds is None:
            continue
        if one.expirationSeconds < MIN_TOKEN_SECONDS:
            out.append(field.invalid(f"{at}.expirationSeconds", one.expirationSeconds,
                                     "may not specify a duration less than 10 minutes"))
        if one.expirationSeconds > MAX_TOKEN_SECONDS:
            out.append(field.invalid(f"{at}.expirationSeconds", one.expirationSeconds,
                                     "may not specify a duration larger than 2^32 seconds"))
    return out


def _secrets(spec: CSIDriverSpec) -> Findings:
    if spec.serviceAccountTokenInSecrets is not None and not spec.tokenRequests:
        return [field.invalid("spec.serviceAccountTokenInSecrets", spec.serviceAccountTokenInSecrets,
                              "serviceAccountTokenInSecrets is set but no tokenRequests are specified")]
    return []


def validate_update(new: CSIDriver, old: CSIDriver) -> Findings:
    return (field.immutable(new.spec.attachRequired, old.spec.attachRequired, "spec.attachedRequired")
            + field.immutable(new.spec.volumeLifecycleModes, old.spec.volumeLifecycleModes, "spec.volumeLifecycleModes"))


def warnings(new: CSIDriver, old: CSIDriver | None) -> list[str]:
    same = old is not None and old.spec.tokenRequests == new.spec.tokenRequests
    if new.spec.tokenRequests and not same and new.spec.serviceAccountTokenInSecrets is None:
        return ["spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent "
                "possible logging of tokens in volume attributes"]
    return []


KIND: Kind[CSIDriver] = Kind(
    resource=CSI_DRIVERS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("AttachRequired", lambda obj, _: obj.spec.attachRequired is not False, type="boolean"),
        Column("PodInfoOnMount", lambda obj, _: bool(obj.spec.podInfoOnMount), type="boolean"),
        Column("StorageCapacity", lambda obj, _: bool(obj.spec.storageCapacity), type="boolean"),
        Column("TokenRequests", lambda obj, _: ",".join(one.audience for one in obj.spec.tokenRequests) or "<unset>"),
        Column("RequiresRepublish", lambda obj, _: bool(obj.spec.requiresRepublish), type="boolean"),
        Column("Modes", lambda obj, _: ",".join(obj.spec.volumeLifecycleModes) or "<none>"),
        Column("Age", age),
    ),
    unconditional_update=False,
    warnings=warnings,
)
