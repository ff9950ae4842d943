"""How plugins refuse: `pods "web" is forbidden: why`. Source: apiserver `pkg/admission/errors.go`."""

from __future__ import annotations

from sampan.api.errors import Forbidden
from sampan.api.names import path_segment_name
from sampan.apiserver.admission.base import AdmissionRequest

GENERATED = 5  # characters behind a generateName


def forbidden(request: AdmissionRequest, why: str, *, final: bool = False) -> Forbidden:
    """The refusal. Before the object is `final` (validating plugins) a generated name is told as its prefix."""
    return Forbidden.on(request.resource.plural, request.resource.group, name_of(request, final=final), why)


def unaddressable(name: str) -> str:
    """Why nothing can be asked for by this name; empty: it can. Upstream's plugins ask the server for what their caches do not know."""
    if not name:
        return "resource name may not be empty"
    why = path_segment_name(name)
    return f'invalid resource name "{name}": [{" ".join(why)}]' if why else ""


def name_of(request: AdmissionRequest, *, final: bool = False) -> str:
    """The name by which upstream tells about the object at that stage."""
    name, obj = request.name, request.object
    if obj is None or isinstance(obj, dict):
        return name or "Unknown"
    prefix = obj.metadata.generateName
    if not final and request.operation == "CREATE" and prefix and not request.subresource \
            and name.startswith(prefix) and len(name) == len(prefix) + GENERATED:
        return str(prefix)
    return name or obj.metadata.name or prefix or "Unknown"
