"""What is computed and stored nowhere: the review kinds, and the states of components."""

from __future__ import annotations

from typing import Any

from sampan.api.errors import NotFound
from sampan.api.resources import LEASES
from sampan.apiserver.auth.reviews import REVIEWS, Reviewer
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, form_of, render
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response
from sampan.kinds.coordination.lease import expires


async def review(reviewer: Reviewer, info: RequestInfo, served: Served, obj: Any) -> Response:
    """Answer a review."""
    answer = await REVIEWS[served.resource](reviewer, info.user, info.namespace, obj)
    return render(answer, form_of(info), 201)


COMPONENTS = {"controller-manager": "kube-controller-manager", "scheduler": "kube-scheduler"}
"""Component → the lease of its leader."""


def component_statuses(api: Api, info: RequestInfo, served: Served) -> Response:
    """The store's state, and those of the components that hold a lease."""
    found = {"etcd-0": _component("etcd-0", healthy=True, message="ok")}
    leases = api.caches.of(LEASES)
    for name, lease in COMPONENTS.items():
        entry = leases.get("kube-system", lease)
        ends = expires(entry.object.spec) if entry is not None else None
        if ends is not None and ends >= api.clock.now():
            found[name] = _component(name, healthy=True, message="ok")
        else:
            found[name] = _component(name, healthy=False, message=f"the lease kube-system/{lease} is not being renewed")
    if not info.name:
        items = [{key: value for key, value in one.items() if key not in ("kind", "apiVersion")} for one in found.values()]
        return render({"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items}, form_of(info))
    if info.name not in found:
        raise NotFound.of(served.resource.plural, "", info.name)
    return render(found[info.name], form_of(info))


def _component(name: str, *, healthy: bool, message: str) -> dict[str, Any]:
    condition = {"type": "Healthy", "status": "True" if healthy else "False", "message": message}
    return {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition]}
