"""Which handler answers which verb, and which subresources have one of their own."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.apiserver.handlers.binding import binding
from sampan.apiserver.handlers.connect import exec_, log, portforward, proxy
from sampan.apiserver.handlers.create import create
from sampan.apiserver.handlers.delete import delete, deletecollection
from sampan.apiserver.handlers.eviction import eviction
from sampan.apiserver.handlers.get import get
from sampan.apiserver.handlers.list import list_
from sampan.apiserver.handlers.patch import patch_
from sampan.apiserver.handlers.scale import scale
from sampan.apiserver.handlers.token import token
from sampan.apiserver.handlers.update import update
from sampan.apiserver.handlers.watch import watch
from sampan.apiserver.pipeline import Handler

VERBS: Mapping[str, Handler] = {
    "get": get, "list": list_, "watch": watch, "create": create, "update": update, "patch": patch_, "delete": delete,
    "deletecollection": deletecollection,
}

SUBRESOURCES: Mapping[str, Handler] = {
    "*/scale": scale, "pods/binding": binding, "pods/eviction": eviction, "serviceaccounts/token": token,
    "pods/log": log, "pods/exec": exec_, "pods/attach": exec_, "pods/portforward": portforward, "*/proxy": proxy,
}
"""By `group_resource/name`, or `*/name` for every resource; the others are the object itself."""
