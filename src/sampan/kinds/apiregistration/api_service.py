"""APIService: who serves a group and version, this server or one behind a service.

Source: kube-aggregator `pkg/apis/apiregistration/{validation/validation.go,v1/defaults.go}`,
`pkg/registry/apiservice/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.apiregistration.v1 import APIService, APIServiceCondition, APIServiceStatus
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import API_SERVICES
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age


def is_local(obj: APIService) -> bool:
    """Served by this server itself."""
    return obj.spec.service is None


def default(obj: APIService) -> None:
    if obj.spec.service is not None and obj.spec.service.port is None:
        obj.spec.service.port = 443


def prepare_create(obj: APIService) -> None:
    """Local ones are available from the start."""
    obj.status = APIServiceStatus()
    if is_local(obj):
        obj.status.conditions = [APIServiceCondition(
            type="Available", status="True", lastTransitionTime=obj.metadata.creationTimestamp, reason="Local",
            message="Local APIServices are always available")]


def prepare_status(new: APIService, old: APIService) -> None:
    new.spec = old.spec
    _keep(new.metadata, old.metadata)


def _keep(new: ObjectMeta, old: ObjectMeta) -> None:
    new.labels, new.annotations, new.finalizers = old.labels, old.annotations, old.finalizers
    new.ownerReferences = old.ownerReferences


def validate(obj: APIService) -> Findings:
    spec, out = obj.spec, Findings()
    wanted = f"{spec.version}.{spec.group}"
    if obj.metadata.name != wanted:
        out.append(field.invalid("metadata.name", obj.metadata.name, f'must be `spec.version+"."+spec.group`: "{wanted}"'))
    if spec.group:
        if messages := names.dns1123_subdomain(spec.group):
            out.append(field.invalid("spec.group", spec.group, ",".join(messages)))
    elif spec.version != "v1":
        out.append(field.required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    if messages := names.dns1035_label(spec.version):
        out.append(field.invalid("spec.version", spec.version, ",".join(messages)))
    if not 0 < spec.groupPriorityMinimum <= 20000:
        out.append(field.invalid("spec.groupPriorityMinimum", spec.groupPriorityMinimum,
                                 "must be positive and less than 20000"))
    if not 0 < spec.versionPriority <= 1000:
        out.append(field.invalid("spec.versionPriority", spec.versionPriority, "must be positive and less than 1000"))
    if spec.service is None:
        if spec.caBundle:
            out.append(field.invalid("spec.caBundle", f"{len(spec.caBundle)} bytes",
                                     "local APIServices may not have a caBundle"))
        if spec.insecureSkipTLSVerify:
            out.append(field.invalid("spec.insecureSkipTLSVerify", True,
                                     "local APIServices may not have insecureSkipTLSVerify"))
        return out
    if not spec.service.namespace:
        out.append(field.required("spec.service.namespace"))
    if not spec.service.name:
        out.append(field.required("spec.service.name"))
    if spec.service.port is not None:
        out += [field.invalid("spec.service.port", spec.service.port, f"port is not valid: {message}")
                for message in names.port_number(spec.service.port)]
    if spec.insecureSkipTLSVerify and spec.caBundle:
        out.append(field.invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))
    return out


def validate_status(new: APIService, old: APIService) -> Findings:
    out: Findings = []
    for index, one in enumerate(new.status.conditions):
        out += checks.one_of(one.status, ("True", "False", "Unknown"), f"status.conditions[{index}].status")
    return out


def _available(obj: APIService) -> str:
    condition = meta.condition(obj.status.conditions, "Available")
    if condition is None:
        return "Unknown"
    return "True" if condition.status == "True" else f"{condition.status} ({condition.reason})"


def _service(obj: APIService) -> str:
    return "Local" if obj.spec.service is None else f"{obj.spec.service.namespace}/{obj.spec.service.name}"


KIND: Kind[APIService] = Kind(
    resource=API_SERVICES,
    metadata="both",
    default=default,
    prepare_create=prepare_create,
    prepare_update=meta.keep_status,
    validate=validate,
    name_check=names.path_segment_name,
    subkinds=(SubKind("status", prepare_status, validate_status),),
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Service", lambda obj, _: _service(obj)),
        Column("Available", lambda obj, _: _available(obj)),
        Column("Age", age),
    ),
    unconditional_update=False,
)
