"""Objects for the tests of kinds, as the API server would have them: decoded, defaulted, prepared."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.resourceinfo import Resource
from sampan.api.resources import PODS
from sampan.kinds.all import kind_of


def created(resource: Resource[Any], body: dict[str, Any]) -> Any:
    """What a POST of `body` makes, before validation."""
    obj = codec.convert(resource.wire, body)
    kind = kind_of(resource)
    kind.default(obj)
    kind.as_stored(obj)
    kind.prepare_create(obj)
    return obj


def findings(resource: Resource[Any], body: dict[str, Any]) -> list[str]:
    """What validation says about a new object."""
    obj, kind = created(resource, body), kind_of(resource)
    return [str(error) for error in (*kind.validate(obj), *kind.validate_create(obj))]


def changed(resource: Resource[Any], old: Any, change: dict[str, Any], subresource: str = "") -> tuple[Any, list[str]]:
    """The object after a merge patch (lists are replaced), and what validation says about the change."""
    new = codec.convert(resource.wire, _merged(codec.to_builtins(old), change))
    kind = kind_of(resource)
    kind.default(new)
    if subresource:
        sub = kind.subkind(subresource)
        assert sub is not None
        sub.prepare(new, old)
        return new, [str(error) for error in sub.validate(new, old)]
    kind.prepare_update(new, old)
    return new, [str(error) for error in kind.update_findings(new, old)]


def pod(spec: dict[str, Any] | None = None, **metadata: Any) -> Pod:
    """A created pod; without containers in `spec` it gets one."""
    return created(PODS, pod_body(spec, **metadata))


def pod_body(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "n"} | metadata,
            "spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "nginx:1.27"}]} | (spec or {})}


def _merged(target: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = _merged(out.get(key), value)
    return out
