"""serviceaccounts/token: a TokenRequest, answered with its token."""

from __future__ import annotations

from sampan.api.authentication.v1 import TokenRequest
from sampan.api.resourceinfo import Resource
from sampan.apiserver import bodies
from sampan.apiserver.auth.serviceaccounts import DEFAULT_SECONDS
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, needs_verb, render, write_of
from sampan.apiserver.options import write_options
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response
from sampan.kinds.kind import Kind

TOKEN_REQUESTS: Resource[TokenRequest] = Resource(
    "authentication.k8s.io", "v1", "tokenrequests", "TokenRequest", "tokenrequest", True, "sampan.api.authentication.v1:TokenRequest")
_SERVED = Served(TOKEN_REQUESTS, Kind(resource=TOKEN_REQUESTS), TOKEN_REQUESTS)


async def token(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Prepare, ask the admission plugins, sign."""
    needs_verb(served, info.verb, info)
    raw = await bodies.read(body, info.headers.get("content-type", ""), "TokenRequest")
    options = write_options(info, "CreateOptions")
    sent = bodies.decode(_SERVED, raw, validation=options.validation, warnings=info.warnings)
    if sent.spec.expirationSeconds is None:
        sent.spec.expirationSeconds = DEFAULT_SECONDS
    api.registry.fields.record(_SERVED, sent, None, manager=options.manager, subresource=info.subresource, now=api.registry.now())
    issuer = api.parts["tokens"]
    sent = await api.registry.admit_other(served, "CREATE", info.namespace, info.name, write_of(info, options), sent,
                                          lambda request: issuer.prepare(info.namespace, info.name, request))
    if not options.dry_run:
        sent = issuer.issue(info.namespace, info.name, sent)
    return render(sent, form_of(info), 201)
