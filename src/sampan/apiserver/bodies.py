"""A request's body to an object of the version that the request names.

Owns content types, what `kind` and `apiVersion` may say, and strictness about unknown fields (`fieldValidation`).
Source: `k8s.io/apiserver/pkg/endpoints/handlers/create.go`, apimachinery's serializers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sampan.api import codec, strict
from sampan.api.meta.v1 import ManagedFieldsEntry
from sampan.apiserver import metadata, protobodies
from sampan.apiserver.catalog import Served
from sampan.apiserver.negotiation import body_kind

Body = Callable[[], Awaitable[bytes]]
_NO_OWNERS = re.compile(rb'"managedFields"\s*:\s*\[\s*\]')
LONG_YAML_BYTES = 64 * 1024


def yaml_to_json(body: bytes, kind: str = "", repeated: list[str] | None = None) -> bytes:
    """YAML to JSON; `kind` is what it should be, for messages. What keys are `repeated` is added to that list.

    Raises:
        BadRequest: It is not YAML.
    """
    from sampan.api import yamlbody

    try:
        found = yamlbody.to_json(body)
    except yamlbody.YAMLError as error:
        raise strict.unrecognized(kind, body, str(error)) from None
    if repeated is not None:
        repeated += found.problems
    return found.body


def as_json(body: bytes, content_type: str, kind: str = "", repeated: list[str] | None = None) -> bytes:
    """The body as JSON; `kind` is what it should be, for messages.

    Raises:
        UnsupportedMediaType: Neither JSON nor YAML nor protobuf.
        BadRequest: Bad YAML or protobuf.
    """
    form = body_kind(content_type)
    if form == "json":
        return body
    if form == "protobuf":
        return protobodies.to_json(body, kind) if body else body
    return yaml_to_json(body, kind, repeated)


async def read(body: Body, content_type: str, kind: str = "", repeated: list[str] | None = None) -> bytes:
    """The request's body as JSON, as `as_json`; long YAML is read beside the event loop: a mebibyte takes seconds."""
    raw = await body()
    if len(raw) > LONG_YAML_BYTES and body_kind(content_type) == "yaml":
        return await asyncio.to_thread(yaml_to_json, raw, kind, repeated)
    return as_json(raw, content_type, kind, repeated)


def decode(served: Served, body: bytes, *, validation: str, warnings: list[str], repeated: Sequence[str] = ()) -> Any:
    """An object of `served`, made for this request alone, with kind and apiVersion filled in. `repeated`: as `read` found them.

    Raises:
        BadRequest: It can't be one; under Strict also when it has unknown or duplicate fields.
    """
    coerce = served.custom.decode if served.custom else None
    decoded = strict.decode(served.resource, body, validation="Warn" if repeated and validation == "Strict" else validation, coerce=coerce)
    if repeated and validation == "Strict":
        raise strict.refusal(served.resource, [*repeated, *decoded.problems])
    if repeated and validation != "Ignore":
        warnings += [line.strip() for text in repeated for line in text.split("\n")[1:]]
    warnings += decoded.problems
    obj = typed(served, decoded.object)
    if _NO_OWNERS.search(body):
        forget_owners(obj, codec.loads(body))
    return obj


def forget_owners(obj: Any, tree: Any) -> None:
    """An empty list of managed fields asks for what an empty entry does: to forget all owners. A Struct can't tell it from none."""
    sent = tree.get("metadata") if isinstance(tree, dict) else None
    if isinstance(sent, dict) and sent.get("managedFields") == []:
        meta = metadata.meta_of(obj)
        meta.managedFields = [ManagedFieldsEntry()]
        metadata.put_meta(obj, meta)


def typed(served: Served, obj: Any) -> Any:
    """Fill in `kind` and `apiVersion`."""
    resource = served.resource
    if isinstance(obj, dict):
        obj["kind"], obj["apiVersion"] = obj.get("kind") or resource.kind, obj.get("apiVersion") or resource.group_version
    else:
        obj.kind, obj.apiVersion = resource.kind, resource.group_version
    return obj
