"""Fields of a schema that hold one of several things: a schema or a list of them, a schema or a boolean, a schema or names.

Their values are any JSON to the decoder; here they are read as upstream's types do, so that whoever walks a schema finds
schemas. Source: apiextensions `pkg/apis/apiextensions/v1/marshal.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec, strict
from sampan.api.apiextensions.v1 import JSONSchemaProps
from sampan.api.errors import BadRequest
from sampan.api.jsonvalues import word

_MAPS = ("properties", "patternProperties", "definitions")
_LISTS = ("allOf", "anyOf", "oneOf")
_PREFIX = 'CustomResourceDefinition in version "v1" cannot be handled as a CustomResourceDefinition: '


def read(schema: JSONSchemaProps) -> JSONSchemaProps:
    """The schema with all its variants read.

    Raises:
        BadRequest: One of them is nothing of what it may be, or they are nested too deep.
    """
    try:
        return codec.convert(JSONSchemaProps, _walked(codec.to_builtins(schema)))
    except (strict.Undecodable, codec.DecodeError) as error:
        raise BadRequest(_PREFIX + str(error)) from None
    except RecursionError:
        raise BadRequest(_PREFIX + "json: exceeded max depth") from None


def _walked(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` fits its type but for the variants; it is changed."""
    for name in _MAPS:
        for key, inner in (schema.get(name) or {}).items():
            schema[name][key] = _walked(inner)
    for name in _LISTS:
        if schema.get(name):
            schema[name] = [_walked(inner) for inner in schema[name]]
    if schema.get("not") is not None:
        schema["not"] = _walked(schema["not"])
    if "items" in schema:
        items = schema["items"]
        schema["items"] = [_schema(one) for one in items] if isinstance(items, list) else _schema(items) if isinstance(items, dict) else None
    for name in ("additionalProperties", "additionalItems"):
        if schema.get(name) is not None:
            schema[name] = _schema_or_bool(schema[name])
    for key, inner in (schema.get("dependencies") or {}).items():
        schema["dependencies"][key] = _names(inner) if isinstance(inner, list) else _schema(inner) if isinstance(inner, dict) else None
    return schema


def _schema(value: Any) -> dict[str, Any]:
    plain, _ = strict.coerce_to(JSONSchemaProps, value)
    return _walked(plain)


def _schema_or_bool(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if not isinstance(value, dict):
        raise strict.Undecodable("boolean or JSON schema expected")
    return _schema(value)


def _names(value: list[Any]) -> list[str]:
    for one in value:
        if not isinstance(one, str):
            raise strict.Undecodable(f"json: cannot unmarshal {word(one)} into Go value of type string")
    return value
