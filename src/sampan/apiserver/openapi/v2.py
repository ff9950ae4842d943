"""OpenAPI v3 parts as a Swagger 2.0 document.

Source: kube-openapi `pkg/builder`, `pkg/util/proto`: v2 has no defaults, no oneOf and no references with siblings.
"""

from __future__ import annotations

from typing import Any

from sampan.apiserver.openapi.schemas import PREFIX

_DEFINITIONS = "#/definitions/"
_PRODUCES = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


def document(version: str, items: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The whole document."""
    return {
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": version},
        "paths": {path: _item(item) for path, item in sorted(items.items())},
        "definitions": {name: _schema(one) for name, one in sorted(definitions.items())},
        "securityDefinitions": {"BearerToken": {"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}},
        "security": [{"BearerToken": []}],
    }


def _item(item: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {key: _operation(value) for key, value in item.items() if key in _METHODS}
    if "parameters" in item:
        out["parameters"] = [_parameter(one) for one in item["parameters"]]
    return out


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in operation.items() if key not in ("parameters", "requestBody", "responses")}
    body = operation.get("requestBody")
    parameters = [_parameter(one) for one in operation.get("parameters", ())]
    out["consumes"] = ["*/*"]
    out["produces"] = _PRODUCES
    if body:
        content = body["content"]
        if "*/*" not in content:
            out["consumes"] = list(content)
        first = next(iter(content.values()))["schema"]
        one = {"name": "body", "in": "body", "schema": _schema(first)}
        parameters.insert(0, {**one, "required": True} if body.get("required") else one)
    if parameters:
        out["parameters"] = parameters
    out["responses"] = {code: _response(answer) for code, answer in operation["responses"].items()}
    return out


def _response(answer: dict[str, Any]) -> dict[str, Any]:
    out = {"description": answer.get("description", "")}
    if content := answer.get("content"):
        out["schema"] = _schema(next(iter(content.values()))["schema"])
    return out


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in parameter.items() if key != "schema"}
    out.update(parameter["schema"])
    return out


def _schema(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(PREFIX, _DEFINITIONS)}
    out = {key: value for key, value in schema.items() if key not in ("default", "nullable", "oneOf", "anyOf", "not")}
    if len(out.get("allOf", ())) == 1 and "$ref" in out["allOf"][0]:
        out["$ref"] = out.pop("allOf")[0]["$ref"].replace(PREFIX, _DEFINITIONS)
    else:
        out.pop("allOf", None)
    if "oneOf" in schema or schema.get("x-kubernetes-int-or-string"):
        # quantities, ports: v2 knows one type only
        out["type"] = "string"
        if schema.get("x-kubernetes-int-or-string"):
            del out["type"]
    if "properties" in out:
        out["properties"] = {name: _schema(one) for name, one in out["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in out:
            out[key] = _schema(out[key])
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" in out:
        # clients of v2 would refuse what they do not know
        del out["properties"]
    return out
