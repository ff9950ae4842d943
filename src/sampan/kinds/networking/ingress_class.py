"""IngressClass: which controller serves which Ingresses.

Source: kubernetes `pkg/apis/networking/validation/validation.go`, `pkg/apis/networking/v1/defaults.go`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import field, names
from sampan.api.networking.v1 import IngressClass, IngressClassParametersReference
from sampan.api.resources import INGRESS_CLASSES
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
SCOPES = ("Cluster", "Namespace")
MAX_CONTROLLER_BYTES = 250


def is_default(obj: IngressClass) -> bool:
    """Whether Ingresses without a class get this one."""
    return obj.metadata.annotations.get(IS_DEFAULT) == "true"


def default(obj: IngressClass) -> None:
    if obj.spec.parameters is not None and obj.spec.parameters.scope is None:
        obj.spec.parameters.scope = "Cluster"


def validate(obj: IngressClass) -> Findings:
    out: Findings = []
    if len(obj.spec.controller.encode()) > MAX_CONTROLLER_BYTES:
        out.append(field.too_long("spec.controller", MAX_CONTROLLER_BYTES))
    out += names.domain_prefixed_path("spec.controller", obj.spec.controller)
    if obj.spec.parameters is not None:
        out += _parameters(obj.spec.parameters, "spec.parameters")
    return out


def _parameters(ref: IngressClassParametersReference, at: str) -> Findings:
    out: Findings = []
    if ref.apiGroup is not None:
        out += checks.named(ref.apiGroup, names.dns1123_subdomain, f"{at}.apiGroup")
    out += checks.required_name(ref.kind, names.path_segment_name, f"{at}.kind")
    out += checks.required_name(ref.name, names.path_segment_name, f"{at}.name")
    if ref.scope is None:
        return [*out, field.required(f"{at}.scope")]
    out += checks.one_of(ref.scope, SCOPES, f"{at}.scope")
    if ref.scope == "Namespace":
        if ref.namespace is None:
            out.append(field.required(f"{at}.namespace", "`parameters.scope` is set to 'Namespace'"))
        else:
            out += checks.named(ref.namespace, names.dns1123_label, f"{at}.namespace")
    if ref.scope == "Cluster" and ref.namespace is not None:
        out.append(field.forbidden(f"{at}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return out


def judge_update(new: IngressClass, old: IngressClass) -> Findings:
    return field.immutable(new.spec.controller, old.spec.controller, "spec.controller") + validate(new)


def _parameters_text(obj: IngressClass, _: datetime) -> str:
    ref = obj.spec.parameters
    if ref is None:
        return "<none>"
    kind = f"{ref.kind}.{ref.apiGroup}" if ref.apiGroup is not None else ref.kind
    return f"{kind}/{ref.name}"


KIND: Kind[IngressClass] = Kind(
    resource=INGRESS_CLASSES,
    metadata="both",
    default=default,
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate,
    judge_update=judge_update,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Controller", lambda obj, _: obj.spec.controller),
        Column("Parameters", _parameters_text),
        Column("Age", age),
    ),
)
