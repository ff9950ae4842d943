"""From a parsed request to a response: who asks, may they, how many at once, then the handler of the verb.

Owns the order (authenticate → impersonate → flow control → authorize → dispatch; audit around it) and turning errors
into Status objects. Source: `k8s.io/apiserver/pkg/server/config.go`, `DefaultBuildHandlerChain`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

from sampan.api.errors import ApiError, BadRequest, InternalError, Unauthorized, UnsupportedMediaType
from sampan.apiserver.aggregation.aggregator import Aggregator
from sampan.apiserver.auth.asking import Undecided, decided
from sampan.apiserver.auth.base import Authenticator
from sampan.apiserver.auth.denial import refusal
from sampan.apiserver.catalog import Served
from sampan.apiserver.depth import TOO_DEEP
from sampan.apiserver.encryption.store import refuse
from sampan.apiserver.flowcontrol.queueset import Ticket
from sampan.apiserver.freshness import Freshness
from sampan.apiserver.handlers.base import Api, Body, check_shape, needs_verb, no_such_path, not_allowed, render
from sampan.apiserver.handlers.virtual import component_statuses
from sampan.apiserver.negotiation import PROTOBUF, accepted
from sampan.apiserver.options import check_timeout, first
from sampan.apiserver.registry import translated
from sampan.apiserver.request import ANONYMOUS, RequestInfo, User
from sampan.apiserver.response import Answer, Response, Stream, error_answer, page_not_found, warning_headers
from sampan.store.base import StoreFull, StoreRefused, StoreUnavailable

log = logging.getLogger(__name__)

Handler = Callable[[Api, RequestInfo, Served, Body], Awaitable[Response]]
Route = Callable[[RequestInfo], Awaitable[Response]]

_HAS_HEADERS = Answer | Stream
LONG_RUNNING_SUBRESOURCES = frozenset(("attach", "exec", "proxy", "log", "portforward"))


class Impersonation(Protocol):
    """Tells as whom a request is made that has Impersonate headers."""

    def impersonate(self, request: RequestInfo) -> User:
        """The user to go on with.

        Raises:
            Forbidden: The requestor may not act as that one.
        """
        ...


class Handles(Protocol):
    """The pipeline, or what stands around it."""

    async def handle(self, info: RequestInfo, body: Body) -> Response: ...


class Audit(Protocol):
    """Is told about every request when it is answered."""

    def answered(self, request: RequestInfo, code: int) -> None: ...


class Flow(Protocol):
    """Bounds what is worked on at a time: `sampan.apiserver.flowcontrol`."""

    def enter(self, info: RequestInfo) -> Ticket | None:
        """A seat, or a place in a queue; None: `refusal` is the answer."""
        ...

    def refusal(self, info: RequestInfo) -> Answer:
        """What a client is told that is turned away."""
        ...

    def waits(self, ticket: Ticket) -> bool:
        """Whether `turn` must be awaited before the request is worked on."""
        ...

    async def turn(self, ticket: Ticket) -> bool:
        """Whether the request's turn has come before its time was over."""
        ...

    def leave(self, ticket: Ticket) -> None:
        """The seat is free. Again: nothing happens."""
        ...


class Pipeline:
    """One for all requests."""

    def __init__(self, api: Api, authenticator: Authenticator, handlers: Mapping[str, Handler], *,
                 impersonation: Impersonation | None = None, audit: Audit | None = None,
                 flow: Flow | None = None, other: Route | None = None, subresources: Mapping[str, Handler] | None = None) -> None:
        """`flow` None: no bound. `other` answers paths that name no resource; `subresources` those by `group_resource/subresource` or `*/name`."""
        self._api, self._authenticator, self._handlers = api, authenticator, handlers
        self._impersonation, self._audit, self._flow = impersonation, audit, flow
        self._other, self._subresources = other, subresources or {}
        self._freshness: Freshness | None = api.parts.get("freshness")
        self._aggregator: Aggregator | None = api.parts.get("aggregator")
        self._unreadable: Mapping[str, str] = api.parts.get("unreadable", {})

    async def handle(self, info: RequestInfo, body: Body) -> Response:
        """Answer; never raises but for cancellation."""
        try:
            response = await self._handle(info, body)
        except ApiError as error:
            response = _error(info, error)
        except (StoreFull, StoreRefused, StoreUnavailable) as error:
            response = _error(info, translated(error))
        except RecursionError:  # what is stored is bounded, so it is the request's own body
            log.info("request nested too deep", extra={"method": info.method, "path": info.path})
            response = _error(info, BadRequest(TOO_DEEP))
        except Exception:  # the last line of defence: logged here, told without details
            log.exception("request failed", extra={"method": info.method, "path": info.path})
            response = error_answer(InternalError(
                f"Internal error occurred: the request {info.method} {info.path} failed; the server's log says why",
                details={"causes": [{"message": "unexpected error"}]}))
        if isinstance(response, _HAS_HEADERS):
            if info.warnings:
                response.headers.extend(warning_headers(info.warnings))
            if info.flow_headers:
                response.headers.extend(info.flow_headers)
        if self._audit is not None:
            self._audit.answered(info, response.code)
        return response

    async def _handle(self, info: RequestInfo, body: Body) -> Response:
        if "timeout" in info.query and not _long_running(info):
            check_timeout(first(info.query, "timeout"))
        # who calls in this process has been trusted before
        info.user = info.authenticated = info.trusted_user or await self._who(info)
        if info.trusted_user is None and self._impersonation is not None and _impersonates(info.headers):
            info.user = await decided(partial(self._impersonation.impersonate, info))
        flow = self._flow
        if flow is None or (_long_running(info) and info.verb != "watch"):
            return await self._dispatch(info, body)
        ticket = flow.enter(info)
        if ticket is None or (flow.waits(ticket) and not await flow.turn(ticket)):
            return flow.refusal(info)
        if info.verb == "watch":
            info.begun = partial(flow.leave, ticket)
        try:
            return await self._dispatch(info, body)
        finally:
            # a watch that has begun keeps its seat until its first events are out
            if info.verb != "watch" or info.begun is not None:
                flow.leave(ticket)

    async def _who(self, info: RequestInfo) -> User:
        user = await self._authenticator.authenticate(info)
        if user is not None:
            return user
        if "authorization" in info.headers:
            raise Unauthorized
        return ANONYMOUS

    async def _authorize(self, info: RequestInfo) -> None:
        attributes = info.attributes()
        try:
            decision = self._api.authorizer.authorize(attributes)
        except Undecided as question:
            decision = await decided(partial(self._api.authorizer.authorize, attributes), question)
        info.audit_annotations["authorization.k8s.io/decision"] = "allow" if decision.allowed else "forbid"
        info.audit_annotations["authorization.k8s.io/reason"] = decision.reason
        if not decision.allowed:
            raise refusal(attributes, decision)

    async def _dispatch(self, info: RequestInfo, body: Body) -> Response:
        if info.trusted_user is None:
            await self._authorize(info)
        if self._aggregator is not None and (remote := self._aggregator.find(info)) is not None:
            return await self._aggregator.pass_on(remote, info, body)
        if not info.is_resource:
            return await self._other(info) if self._other is not None else page_not_found()
        if self._freshness is not None:
            await self._freshness.wait(info)
        api = self._api
        served = api.catalog.find(info.group, info.version, info.resource)
        if served is None:
            if self._other is not None and not api.catalog.has_group(info.group):
                return await self._other(info)
            if info.group and api.catalog.is_custom(info.group):
                return page_not_found()
            raise no_such_path()
        if self._unreadable:
            refuse(self._unreadable, served, info)
        info.custom = served.custom is not None
        if info.custom and info.headers.get("content-type", "").startswith(PROTOBUF):
            raise UnsupportedMediaType("the body of the request was in an unknown format - accepted media types include: "
                                       "application/json, application/yaml")
        _check_place(info, served)
        if info.subresource and (handler := self._subresource(info, served)) is not None:
            return await handler(api, info, served, body)
        if info.method == "HEAD" or not info.verb:
            raise not_allowed()
        if served.virtual and served.resource.plural == "bindings":
            return await self._subresources["pods/binding"](api, info, served, body)
        needs_verb(served, info.verb, info)
        check_shape(info, served)
        if served.kind.deprecation:
            info.warnings.append(served.kind.deprecation)
        if served.virtual and info.method == "GET":
            return component_statuses(api, info, served)
        return await self._handlers[info.verb](api, info, served, body)

    def _subresource(self, info: RequestInfo, served: Served) -> Handler | None:
        if info.subresource not in served.subresources:
            raise no_such_path()
        found = self._subresources.get(f"{served.resource.group_resource}/{info.subresource}")
        return found or self._subresources.get(f"*/{info.subresource}")


def _check_place(info: RequestInfo, served: Served) -> None:
    """Objects of a namespace are named within it, others are not.

    Raises:
        NotFound: There is no such path.
    """
    elsewhere = bool(info.namespace) and served.resource.plural != "namespaces"
    if (bool(info.name) and not info.namespace) if served.resource.namespaced else elsewhere:
        raise no_such_path()


def _error(info: RequestInfo, error: ApiError) -> Answer:
    """The Status in the form that the client asked for, as far as that can be known."""
    accept = info.headers.get("accept", "")
    if "yaml" not in accept and "protobuf" not in accept:
        return error_answer(error)
    try:
        form = accepted(info.headers["accept"], shapes=False)
    except ApiError:
        return error_answer(error)
    answer = error_answer(error)
    return render(error.status(), form, answer.code, headers=answer.headers) if form.yaml or form.protobuf else answer


def _long_running(info: RequestInfo) -> bool:
    return info.verb in {"watch", "proxy"} or info.subresource in LONG_RUNNING_SUBRESOURCES


def _impersonates(headers: Mapping[str, str]) -> bool:
    return any(name.startswith("impersonate-") for name in headers)
