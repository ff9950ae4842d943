"""Namespaces. Source: kubernetes `pkg/registry/core/namespace`, `pkg/apis/core/validation` (`ValidateNamespace`)."""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.core.v1 import Namespace, NamespaceStatus
from sampan.api.errors import FieldError
from sampan.api.resources import NAMESPACES
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def is_terminating(namespace: Namespace) -> bool:
    """Its deletion was asked for."""
    return namespace.metadata.deletionTimestamp is not None


def default(namespace: Namespace) -> None:
    """Every namespace is in a phase, and has its name as a label."""
    default_named(namespace)
    namespace.status.phase = namespace.status.phase or "Active"


def default_named(namespace: Namespace) -> None:
    """The label."""
    if namespace.metadata.name and namespace.metadata.labels.get(NAME_LABEL) != namespace.metadata.name:
        namespace.metadata.labels = namespace.metadata.labels | {NAME_LABEL: namespace.metadata.name}


def prepare_create(namespace: Namespace) -> None:
    """Active, and kept until its content is gone."""
    namespace.status = NamespaceStatus(phase="Active")
    if FINALIZER not in namespace.spec.finalizers:
        namespace.spec.finalizers = [*namespace.spec.finalizers, FINALIZER]


def prepare_update(new: Namespace, old: Namespace) -> None:
    """Finalizers have their own subresource, and so has the status."""
    new.spec.finalizers = old.spec.finalizers
    new.status = old.status


def prepare_status(new: Namespace, old: Namespace) -> None:
    new.spec = old.spec


def prepare_finalize(new: Namespace, old: Namespace) -> None:
    new.status = old.status


def _finalizers(namespace: Namespace, indexed: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, name in enumerate(namespace.spec.finalizers):
        path = f"spec.finalizers[{index}]" if indexed else "spec.finalizers"
        errors += field.invalid_each(path, name, names.qualified_name(name))
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            errors.append(field.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified"))
    return errors


def validate(namespace: Namespace) -> list[FieldError]:
    return _finalizers(namespace, indexed=False)


def validate_status(new: Namespace, _: Namespace) -> list[FieldError]:
    """The phase says whether the namespace is being deleted."""
    terminating = is_terminating(new)
    wanted, when = ("Terminating", "not empty") if terminating else ("Active", "empty")
    if new.status.phase == wanted:
        return []
    return [field.invalid("status.Phase", new.status.phase, f"may only be '{wanted}' if `deletionTimestamp` is {when}")]


KIND: Kind[Namespace] = Kind(
    resource=NAMESPACES,
    metadata="both",
    default=default,
    default_named=default_named,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    name_check=names.dns1123_label,
    subkinds=(
        SubKind("status", prepare_status, validate_status),
        SubKind("finalize", prepare_finalize, lambda new, _: _finalizers(new, indexed=True)),
    ),
    columns=(
        Column("Name", lambda namespace, _: namespace.metadata.name, format="name"),
        Column("Status", lambda namespace, _: namespace.status.phase),
        Column("Age", age),
    ),
    fields={"name": lambda namespace: namespace.metadata.name, "status.phase": lambda namespace: namespace.status.phase},
)
