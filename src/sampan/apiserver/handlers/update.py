"""PUT of an object or of a subresource that is the object itself."""

from __future__ import annotations

from typing import Any

from sampan.api.errors import BadRequest, Conflict
from sampan.apiserver import bodies, metadata
from sampan.apiserver.auth.asking import settled
from sampan.apiserver.auth.denial import refusal
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, object_answer, write_of
from sampan.apiserver.handlers.owners import once_each
from sampan.apiserver.options import write_options
from sampan.apiserver.request import Attributes, RequestInfo
from sampan.apiserver.response import Response


async def update(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Decode, replace, answer 200 with the object (201 where it was made)."""
    form = form_of(info)
    repeated: list[str] = []
    raw = await bodies.read(body, info.headers.get("content-type", ""), served.resource.kind, repeated)
    options = write_options(info, "UpdateOptions")
    first = bodies.decode(served, raw, validation=options.validation, warnings=info.warnings, repeated=repeated)
    check_names(served, first, info)
    once_each(first, info.warnings)
    meta = metadata.meta_of(first)
    uid, fresh = meta.uid, [first]

    def another() -> Any:
        obj = bodies.decode(served, raw, validation="Ignore", warnings=[])
        once_each(obj, info.warnings)
        return obj

    def produce(old: Any) -> Any:
        was = metadata.meta_of(old)
        if uid and uid != was.uid:
            raise uid_conflict(served, info, uid, was.uid, dry_run=options.dry_run)
        # every try needs an object of its own: the one before was changed on its way
        return fresh.pop() if fresh else another()

    may_create = served.kind.allow_create_on_update and not info.subresource
    missing = None
    if may_create:
        def missing() -> Any:
            authorize_create(api, info)
            if uid:
                raise uid_conflict(served, info, uid, "", dry_run=options.dry_run)
            return fresh.pop() if fresh else another()

    namespace = info.namespace if served.resource.namespaced else ""
    written = await settled(lambda: api.registry.update(served, namespace, info.name, produce, write_of(info, options), missing=missing))
    return object_answer(api, info, served, written.object, written.body, code=201 if written.created else 200, form=form)


def check_names(served: Served, obj: Any, info: RequestInfo) -> None:
    """The object's name and namespace are those of the URL.

    Raises:
        BadRequest: They are not.
    """
    meta = metadata.meta_of(obj)
    if meta.name and meta.name != info.name:
        raise BadRequest(f"the name of the object ({meta.name}) does not match the name on the URL ({info.name})")
    if not meta.name:
        raise BadRequest(f"the name of the object ({info.name} based on URL) was undeterminable: name must be provided")
    if served.resource.namespaced and meta.namespace and meta.namespace != info.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")


_STORED_AS = {"replicationcontrollers": "controllers", "endpoints": "services/endpoints", "nodes": "minions",
              "services": "services/specs", "ingresses.networking.k8s.io": "ingress"}
_STORED_BY_GROUP = ("apiextensions.k8s.io", "apiregistration.k8s.io")


def uid_conflict(served: Served, info: RequestInfo, wanted: str, found: str, *, dry_run: bool = False) -> Conflict:
    """Another object of that name was meant."""
    where = f"{info.namespace}/{info.name}" if served.resource.namespaced else info.name
    why = f"UID in precondition: {wanted}, UID in object meta: {found}"
    return precondition_conflict(served, where, why, dry_run=dry_run)


def precondition_conflict(served: Served, where: str, why: str, *, dry_run: bool = False) -> Conflict:
    """In the words of upstream's storage, whose keys leave out the group of most built-in kinds; `where`: [namespace/]name."""
    resource = served.resource
    by_group = served.custom is not None or resource.group in _STORED_BY_GROUP
    plural = f"{resource.group}/{resource.plural}" if by_group else _STORED_AS.get(resource.group_resource, resource.plural)
    root = "" if dry_run else "/registry"
    return Conflict.of(resource.plural, resource.group, where.rpartition("/")[2],
                       f"StorageError: invalid object, Code: 4, Key: {root}/{plural}/{where}, ResourceVersion: 0, "
                       f"AdditionalErrorMsg: Precondition failed: {why}")


def authorize_create(api: Api, info: RequestInfo) -> None:
    """A PUT or apply that makes an object needs the right to create it as well.

    Raises:
        Forbidden: It is not there.
    """
    attributes = Attributes(
        user=info.user, verb="create", path=info.path, is_resource=True, group=info.group, version=info.version,
        resource=info.resource, namespace=info.namespace, name=info.name)
    if info.trusted_user is None:
        decision = api.authorizer.authorize(attributes)
        if not decision.allowed:
            raise refusal(attributes, decision)
