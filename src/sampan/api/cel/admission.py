"""What expressions of admission policies and match conditions see, and whether they are good ones.

Source: apiserver `pkg/admission/plugin/cel/compile.go`, `pkg/cel/mutation/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from sampan.api.cel.environment import Environment, Program
from sampan.api.cel.errors import CompileError
from sampan.api.cel.library.authorizer import AUTHORIZER, RESOURCE_CHECK
from sampan.api.cel.types import BOOL, DYN, INT, NULL, STRING, Type, list_of, map_of, object_type, same

_GVK = object_type("kubernetes.GroupVersionKind", {"group": STRING, "version": STRING, "kind": STRING})
_GVR = object_type("kubernetes.GroupVersionResource", {"group": STRING, "version": STRING, "resource": STRING})
_USER = object_type("kubernetes.UserInfo", {"username": STRING, "uid": STRING, "groups": list_of(STRING),
                                            "extra": map_of(STRING, list_of(STRING))})
REQUEST = object_type("kubernetes.AdmissionRequest", {
    "kind": _GVK, "resource": _GVR, "subResource": STRING, "requestKind": _GVK, "requestResource": _GVR, "requestSubResource": STRING,
    "name": STRING, "namespace": STRING, "operation": STRING, "userInfo": _USER, "dryRun": BOOL, "options": DYN,
})
_NAMESPACE_META = object_type("kubernetes.NamespaceMetadata", {
    "name": STRING, "generateName": STRING, "namespace": STRING, "labels": map_of(STRING, STRING), "annotations": map_of(STRING, STRING),
    "UID": STRING, "creationTimestamp": DYN, "deletionGracePeriodSeconds": INT, "deletionTimestamp": DYN, "generation": INT,
    "resourceVersion": STRING, "finalizers": list_of(STRING),
})
NAMESPACE = object_type("kubernetes.Namespace", {
    "metadata": _NAMESPACE_META, "spec": object_type("kubernetes.NamespaceSpec", {"finalizers": list_of(STRING)}),
    "status": object_type("kubernetes.NamespaceStatus", {"phase": STRING}),
})
OBJECT = object_type("Object", {}, open=True)
JSON_PATCH = object_type("JSONPatch", {"op": STRING, "path": STRING, "from": STRING, "value": DYN})
PATCHES = list_of(JSON_PATCH)
STRING_OR_NULL = (STRING, NULL)


def _structs(name: str) -> Type | None:
    if name == "JSONPatch":
        return JSON_PATCH
    if name == "Object":
        return OBJECT
    return object_type(name, {}, open=True) if name.startswith("Object.") else None


@cache
def environment(*, params: bool, authorizer: bool = True, mutating: bool = False) -> Environment:
    """Without the policy's own variables."""
    variables = {"object": DYN, "oldObject": DYN, "request": REQUEST, "namespaceObject": NAMESPACE}
    if params:
        variables["params"] = DYN
    if authorizer:
        variables |= {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}
    return Environment(variables, structs=_structs) if mutating else Environment(variables)


class Compiled(NamedTuple):
    """`problem`: why there is no program, in upstream's words."""

    program: Program | None
    problem: str = ""


def compile_as(environment: Environment, expression: str, wanted: Sequence[Type]) -> Compiled:
    """The program of an expression that has to be of one of the types (none given: of any)."""
    try:
        program = environment.compile(expression.strip())
    except CompileError as error:
        return Compiled(None, f"compilation failed: {error}")
    if not wanted or any(same(program.type, one) or (one is OBJECT and program.type.name == "Object") for one in wanted):
        return Compiled(program)
    if len(wanted) == 1:
        return Compiled(None, f"must evaluate to {wanted[0]} but got {program.type}")
    return Compiled(None, f"must evaluate to one of [{' '.join(map(str, wanted))}] but got {program.type}")


def with_variables(base: Environment, variables: Iterable[tuple[str, str]]) -> tuple[Environment, list[Compiled]]:
    """The environment with a policy's `variables`, and each of them compiled: each sees those before it."""
    fields: dict[str, Type] = {}
    compiled = []
    for name, expression in variables:
        if not expression.strip():  # it is refused, and nothing knows it
            compiled.append(Compiled(None))
            continue
        one = compile_as(base.extended({"variables": object_type("kubernetes.variables", dict(fields))}), expression, ())
        fields[name] = one.program.type if one.program else DYN
        compiled.append(one)
    return base.extended({"variables": object_type("kubernetes.variables", fields)}), compiled
