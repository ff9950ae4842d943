"""What somebody is told who may not do what he asked for. Source: apiserver `handlers/responsewriters/errors.go`."""

from __future__ import annotations

from typing import Any

from sampan.api import goprint
from sampan.api.errors import ApiError, Forbidden, InternalError
from sampan.apiserver.auth.base import Decision
from sampan.apiserver.request import Attributes


def denial_text(attributes: Attributes, reason: str = "") -> str:
    """`User "x" cannot get resource "pods" in API group "" in the namespace "y"`, with the authorizers' reason."""
    user = goprint.quote(attributes.user.name)
    if not attributes.is_resource:
        text = f'User {user} cannot {attributes.verb} path {goprint.quote(attributes.path)}'
        return f"{text}: {reason}" if reason else text
    resource = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    scope = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    text = f'User {user} cannot {attributes.verb} resource "{resource}" in API group "{attributes.group}" {scope}'
    return f"{text}: {reason}" if reason else text


class PathForbidden(Forbidden):
    """About a path that is no resource: upstream's Status has details, and nothing in them."""

    def status(self) -> dict[str, Any]:
        """With the empty details."""
        body = super().status()
        return {**{key: value for key, value in body.items() if key != "code"}, "details": {}, "code": body["code"]}


def refusal(attributes: Attributes, decision: Decision) -> ApiError:
    """The answer to what was not allowed: an authorizer that could not tell is the server's fault."""
    if decision.error:
        return InternalError(f"Internal Server Error: {goprint.quote(attributes.path)}: {decision.error}")
    return denial(attributes, decision.reason)


def denial(attributes: Attributes, reason: str = "") -> Forbidden:
    """The answer to a request that no authorizer allows."""
    text = denial_text(attributes, reason)
    if not attributes.is_resource:
        return PathForbidden(f"forbidden: {text}")
    return Forbidden.on(attributes.resource, attributes.group, attributes.name, text)
