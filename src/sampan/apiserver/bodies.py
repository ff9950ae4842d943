"""A request's body to an object of the version that the request names.

Owns content types, what `kind` and `apiVersion` may say, and strictness about unknown fields (`fieldValidation`).
Source: `k8s.io/apiserver/pkg/endpoints/handlers/create.go`, apimachinery's serializers.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.errors import BadRequest
from sampan.apiserver.catalog import Served
from sampan.apiserver.negotiation import body_kind


def yaml_to_json(body: bytes) -> bytes:
    """YAML 1.1 (`yes` is a boolean) to JSON.

    Raises:
        BadRequest: It is not YAML.
    """
    import yaml

    try:
        value = yaml.load(body, _loader())  # noqa: S506 - a safe loader without timestamps
    except yaml.YAMLError as error:
        raise BadRequest(f"error converting YAML to JSON: {' '.join(str(error).split())}") from None
    return codec.encode(value)


def _loader() -> Any:
    global _LOADER  # noqa: PLW0603 - yaml is imported on first use
    if _LOADER is None:
        import yaml

        base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

        class Loader(base):  # type: ignore[misc,valid-type]
            """JSON knows no dates and only text as keys."""

        Loader.yaml_implicit_resolvers = {
            first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in base.yaml_implicit_resolvers.items()}
        Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
        _LOADER = Loader
    return _LOADER


_LOADER: Any = None


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    loader.flatten_mapping(node)
    return {_key(loader.construct_object(key, deep=True)): loader.construct_object(value, deep=True) for key, value in node.value}


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def as_json(body: bytes, content_type: str) -> bytes:
    """The body as JSON.

    Raises:
        UnsupportedMediaType: Neither JSON nor YAML.
        BadRequest: Bad YAML.
    """
    return yaml_to_json(body) if body_kind(content_type) == "yaml" else body


def decode(served: Served, body: bytes, *, validation: str, warnings: list[str]) -> Any:
    """An object of `served`, made for this request alone.

    Raises:
        BadRequest: It can't be one; under Strict also when it has unknown or duplicate fields.
    """
    resource = served.resource
    wire = resource.wire
    try:
        obj = codec.decode(wire, body)
    except codec.DecodeError as error:
        obj = slow(served, body, error, validation=validation, warnings=warnings)
    return typed(served, obj)


def typed(served: Served, obj: Any) -> Any:
    """Fill or check `kind` and `apiVersion`."""
    resource = served.resource
    if isinstance(obj, dict):
        kind, version = obj.get("kind") or "", obj.get("apiVersion") or ""
        obj["kind"], obj["apiVersion"] = kind or resource.kind, version or resource.group_version
    else:
        kind, version = obj.kind, obj.apiVersion
        obj.kind, obj.apiVersion = resource.kind, resource.group_version
    if version and version != resource.group_version:
        raise BadRequest(f"the API version in the data ({version}) does not match the expected API version ({resource.group_version})")
    if kind and kind != resource.kind:
        raise BadRequest(f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: converting '
                         f"({resource.group_version}.{kind}) to ({resource.group_version}.{resource.kind}): unknown conversion")
    return obj


def slow(served: Served, body: bytes, error: Exception, *, validation: str, warnings: list[str]) -> Any:
    """Where the fast decoder refused: name what is wrong as upstream does, or take what can be taken."""
    del validation, warnings
    resource = served.resource
    raise BadRequest(f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {error}') from None
