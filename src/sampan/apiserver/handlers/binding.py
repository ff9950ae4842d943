"""Binding a pod to a node: POST of pods/binding, or of the collection `bindings`.

Source: kubernetes `pkg/registry/core/pod/storage/storage.go`, `BindingREST`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import field
from sampan.api.core.v1 import PodCondition
from sampan.api.errors import BadRequest, Conflict, OtherStatus
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import BINDINGS, PODS
from sampan.apiserver import bodies
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, needs_verb, render, write_of
from sampan.apiserver.handlers.create import check_namespace
from sampan.apiserver.handlers.update import precondition_conflict
from sampan.apiserver.options import write_options
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response
from sampan.kinds.kind import Kind

_SERVED = Served(BINDINGS, Kind(resource=BINDINGS), BINDINGS)
SUCCESS: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def binding(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Bind, answer with a Status."""
    needs_verb(served, info.verb, info)
    form = form_of(info)
    raw = await bodies.read(body, info.headers.get("content-type", ""), "Binding")
    options = write_options(info, "CreateOptions")
    sent = bodies.decode(_SERVED, raw, validation=options.validation, warnings=info.warnings)
    check_namespace(_SERVED, sent, info.namespace)
    name = info.name or sent.metadata.name
    if not info.name:
        sent.metadata.uid = ""  # whoever makes an object, as posting to `bindings` is taken to be, doesn't choose that
    if sent.metadata.name != name:
        raise BadRequest("name in URL does not match name in Binding object")
    pods = api.catalog.of(PODS)
    sent = await api.registry.admit_other(pods if info.name else _SERVED, "CREATE", info.namespace, name, write_of(info, options), sent,
                                          _check_target)
    if not name:
        raise BadRequest("Name parameter required.")
    now = api.registry.now()

    def change(pod: Any) -> None:
        if why := _meant_another(pod.metadata, sent.metadata):
            raise precondition_conflict(pods, f"{info.namespace}/{name}", why, dry_run=options.dry_run)
        _assign(pod, sent, name, now)

    await api.registry.adjust(pods, info.namespace, name, change, dry_run=options.dry_run)
    return render(SUCCESS, form, 201)


def _check_target(sent: Any) -> None:
    found = []
    if sent.target.kind not in ("", "Node"):
        found.append(field.not_supported("target.kind", sent.target.kind, ("Node", "<empty>")))
    if not sent.target.name:
        found.append(field.required("target.name"))
    if found:
        raise OtherStatus(field.aggregate(found), code=500)


def _refuse(name: str, why: str) -> Conflict:
    return Conflict.of("pods/binding", "", name, why)


def _meant_another(found: ObjectMeta, wanted: ObjectMeta) -> str:
    """Why this is not the pod that the binding is for; empty: it is."""
    if wanted.uid and wanted.uid != found.uid:
        return f"UID in precondition: {wanted.uid}, UID in object meta: {found.uid}"
    if wanted.resourceVersion and wanted.resourceVersion != found.resourceVersion:
        return f"ResourceVersion in precondition: {wanted.resourceVersion}, ResourceVersion in object meta: {found.resourceVersion}"
    return ""


def _assign(pod: Any, sent: Any, name: str, now: Any) -> None:
    meta = pod.metadata
    if meta.deletionTimestamp:
        raise _refuse(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if pod.spec.nodeName:
        raise _refuse(name, f'pod {name} is already assigned to node "{pod.spec.nodeName}"')
    if pod.spec.schedulingGates:
        raise _refuse(name, f"pod {name} has non-empty .spec.schedulingGates")
    pod.spec.nodeName = sent.target.name
    meta.annotations = {**meta.annotations, **sent.metadata.annotations}
    meta.labels = {**meta.labels, **sent.metadata.labels}
    pod.status.nominatedNodeName = ""  # it was a hint, and would be a stale one
    set_condition(pod, PodCondition(type="PodScheduled", status="True"), now)


def set_condition(pod: Any, wanted: PodCondition, now: Any) -> None:
    """Put a condition into a pod's status, with the time of its last change of status."""
    conditions = pod.status.conditions
    for index, found in enumerate(conditions):
        if found.type == wanted.type:
            wanted.lastTransitionTime = found.lastTransitionTime if found.status == wanted.status else now
            wanted.lastProbeTime = found.lastProbeTime
            pod.status.conditions = [*conditions[:index], wanted, *conditions[index + 1:]]
            return
    wanted.lastTransitionTime = now
    pod.status.conditions = [*conditions, wanted]

