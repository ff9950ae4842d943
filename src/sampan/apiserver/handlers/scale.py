"""The scale subresource: a view of a kind as autoscaling/v1 Scale.

Source: kubernetes `pkg/registry/apps/deployment/storage/storage.go`, `ScaleREST`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec, field
from sampan.api.autoscaling.v1 import Scale, ScaleSpec, ScaleStatus
from sampan.api.errors import Invalid
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.patch import APPLY
from sampan.api.resourceinfo import Resource
from sampan.apiserver import bodies, metadata
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, needs_verb, no_such_path, object_answer, write_of
from sampan.apiserver.handlers.patch import Patcher, content_type, patcher
from sampan.apiserver.handlers.scalefields import to_parent, to_scale
from sampan.apiserver.handlers.update import check_names, uid_conflict
from sampan.apiserver.options import WriteOptions, write_options
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response
from sampan.kinds.kind import Kind, ScalePaths

SCALES: Resource[Scale] = Resource("autoscaling", "v1", "scales", "Scale", "scale", True, "sampan.api.autoscaling.v1:Scale")
_SERVED = Served(SCALES, Kind(resource=SCALES), SCALES)
"""Scale as if it were a resource of its own: what its bodies are decoded and patched as."""


def scale_of(paths: ScalePaths[Any], obj: Any) -> Scale:
    """The view."""
    meta = metadata.meta_of(obj)
    return Scale(
        kind="Scale", apiVersion="autoscaling/v1",
        metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, uid=meta.uid, resourceVersion=meta.resourceVersion,
                            creationTimestamp=meta.creationTimestamp),
        spec=ScaleSpec(replicas=paths.replicas(obj)),
        status=ScaleStatus(replicas=paths.status_replicas(obj), selector=paths.selector(obj)))


async def scale(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """GET, PUT or PATCH."""
    needs_verb(served, info.verb, info)
    paths = served.kind.scale
    if paths is None:
        raise no_such_path()
    form = form_of(info)
    if info.verb == "get":
        await api.registry.current(served)
        obj = api.registry.outward(served, api.registry.entry(served, info.namespace, info.name))
        paths.check(obj)
        view = scale_of(paths, obj)
        return object_answer(api, info, _SERVED, view, codec.encode(view), form=form)
    raw = await body()
    options = write_options(info, "UpdateOptions" if info.verb == "update" else "PatchOptions")
    change = _change(api, info, raw, options)

    def produce(old: Any) -> Any:
        was = metadata.meta_of(old)
        view = scale_of(paths, old)
        view.metadata.managedFields = to_scale(was.managedFields, paths.path)
        wanted = change(view)
        if wanted.metadata.uid and wanted.metadata.uid != was.uid:
            raise uid_conflict(served, info, wanted.metadata.uid, was.uid)
        if wanted.spec.replicas < 0 and served.custom is None:
            error = field.invalid("spec.replicas", wanted.spec.replicas, "must be greater than or equal to 0")
            raise Invalid.of("Scale", "autoscaling", info.name, [error])
        new = codec.clone(old)
        paths.set_replicas(new, wanted.spec.replicas)
        meta = metadata.meta_of(new)
        meta.resourceVersion = wanted.metadata.resourceVersion or was.resourceVersion
        meta.managedFields = to_parent(was.managedFields, wanted.metadata.managedFields, served.resource.group_version, paths.path)
        metadata.put_meta(new, meta)
        return new

    write = write_of(info, options)
    write.main = write.applying = True
    written = await api.registry.update(served, info.namespace, info.name, produce, write)
    view = scale_of(paths, written.object)
    return object_answer(api, info, _SERVED, view, codec.encode(view), form=form)


def _change(api: Api, info: RequestInfo, raw: bytes, options: WriteOptions) -> Patcher:
    """What the request makes of a Scale, its owners kept."""
    fields = api.registry.fields
    if info.verb == "patch" and content_type(_SERVED, info) == APPLY:
        apply = api.parts["apply"]
        applied = apply.parse(_SERVED, raw, options, info.warnings)
        return lambda view: apply.apply(_SERVED, view, applied, manager=options.manager, force=options.force, subresource="scale",
                                        now=api.registry.now())
    if info.verb == "patch":
        patched = patcher(_SERVED, info, raw, options)
    else:
        sent = bodies.decode(_SERVED, bodies.as_json(raw, info.headers.get("content-type", ""), "Scale"), validation=options.validation,
                             warnings=info.warnings)
        check_names(_SERVED, sent, info)

        def patched(view: Any) -> Any:
            new = codec.clone(sent)
            new.metadata.managedFields = view.metadata.managedFields
            return new

    def change(view: Any) -> Any:
        new = patched(view)
        fields.record(_SERVED, new, view, manager=options.manager, subresource="scale", now=api.registry.now())
        return new

    return change
