"""Acting as somebody else: the Impersonate-* headers, and whether the requestor may.

Owns the five modes of Kubernetes 1.36: a service account as its own node, any node, a service account, other users (each
wants `impersonate:<mode>` on whom and `impersonate-on:<mode>:<verb>` on what), and the classic verb `impersonate`.
The mode that last worked for a requestor is tried first, and the first refusal is what he is told.
Source: KEP-5284; apiserver `endpoints/filters/impersonation/{constrained_impersonation,mode}.go`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from msgspec import structs

from sampan.api import goprint, names
from sampan.api.errors import BadRequest, Forbidden
from sampan.apiserver.auth.base import Authorizer
from sampan.apiserver.auth.denial import denial, refusal
from sampan.apiserver.auth.serviceaccounts import groups_of, split_username
from sampan.apiserver.auth.tokens import AUTHENTICATED, UNAUTHENTICATED
from sampan.apiserver.request import Attributes, RequestInfo, User

MOST_REQUESTORS = 10_000
MANY = 4  # from here on one question about `*` is asked before many single ones
_EXTRA = "impersonate-extra-"
_NODE = "system:node:"
_NODE_NAME = "authentication.kubernetes.io/node-name"


def wanted_user(headers: Mapping[str, str]) -> User | None:
    """Whom the headers ask for, as they say it; None when they ask for nobody.

    Raises:
        BadRequest: They ask for groups, a uid or extras, but for no user.
    """
    if not any(header.startswith("impersonate-") for header in headers):
        return None
    name, uid = (headers.get(header, "").partition("\n")[0] for header in ("impersonate-user", "impersonate-uid"))
    raw_groups = headers.get("impersonate-group")
    groups = tuple(raw_groups.split("\n")) if raw_groups is not None else ()
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        if header.startswith(_EXTRA):
            key = unquote(header.removeprefix(_EXTRA)).lower()
            extra[key] = (*extra.get(key, ()), *value.split("\n"))
    if name:
        return User(name, uid, groups, extra)
    if uid or groups or extra:
        shown = (f'&user.DefaultInfo{{Name:"", UID:{goprint.quote(uid)}, Groups:{_go_strings(groups)}, '
                 f"Extra:{_go_extra(extra)}}}")
        raise BadRequest(f"requested {shown} without impersonating a user name")
    return None


@dataclass(frozen=True)
class _Mode:
    verb: str
    name: str = ""  # empty: the classic one
    applies: Callable[[User, User], bool] = lambda wanted, requestor: True

    @property
    def group(self) -> str:
        return "authentication.k8s.io" if self.name else ""


class Impersonator:
    """Decides who a request acts as."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._last: OrderedDict[str, int] = OrderedDict()

    def impersonate(self, request: RequestInfo) -> User:
        """Whom the request acts as; the requestor where no header asks for somebody else.

        Raises:
            BadRequest: The headers make no sense.
            Forbidden: The requestor may not.
        """
        wanted = wanted_user(request.headers)
        if wanted is None:
            return request.user
        attributes = request.attributes()
        requestor = attributes.user.name
        last = self._last.get(requestor)
        order = range(len(_MODES)) if last is None else [last, *(i for i in range(len(_MODES)) if i != last)]
        refusal: Forbidden | None = None
        for index in order:
            mode = _MODES[index]
            if not mode.applies(wanted, attributes.user):
                continue
            try:
                user = self._check(mode, wanted, attributes)
            except Forbidden as error:
                refusal = refusal or error
                continue
            self._remember(requestor, index)
            return user
        assert refusal is not None  # the classic mode always applies
        raise refusal

    def _remember(self, requestor: str, index: int) -> None:
        self._last[requestor] = index
        self._last.move_to_end(requestor)
        if len(self._last) > MOST_REQUESTORS:
            self._last.popitem(last=False)

    def _check(self, mode: _Mode, wanted: User, attributes: Attributes) -> User:
        requestor = attributes.user
        if mode.name == "associated-node":
            # judged without the values of the account's extras, so that one answer is good for all its nodes
            keys = tuple(sorted(requestor.extra))
            requestor = replace(requestor, extra={"authentication.kubernetes.io/associated-node-keys": keys})
        if mode.name:
            self._ask(structs.replace(attributes, user=requestor, verb=f"impersonate-on:{mode.name}:{attributes.verb}"))
        asked = Attributes(user=requestor, verb=mode.verb, path="", is_resource=True, group=mode.group, version="v1")
        user = self._check_name(mode, wanted, asked)
        outside = structs.replace(asked, group="authentication.k8s.io")
        if wanted.uid:
            self._ask(structs.replace(outside, resource="uids", name=wanted.uid))
        if wanted.groups:
            self._check_groups(mode, wanted.groups, structs.replace(asked, resource="groups"))
        if wanted.extra:
            self._check_extra(mode, wanted.extra, structs.replace(outside, resource="userextras"))
        if user.name == "system:anonymous":
            return _ensure(user, UNAUTHENTICATED)
        return user if UNAUTHENTICATED in user.groups else _ensure(user, AUTHENTICATED)

    def _check_name(self, mode: _Mode, wanted: User, asked: Attributes) -> User:
        user = wanted
        asked = structs.replace(asked, resource="users", name=wanted.name)
        if mode.name and (node := _node_of(wanted.name)):
            name = "*" if mode.name == "associated-node" else node
            asked = structs.replace(asked, resource="nodes", name=name)
            user = replace(wanted, groups=("system:nodes",))
        if (account := split_username(wanted.name)) is not None:
            asked = structs.replace(asked, resource="serviceaccounts", namespace=account[0], name=account[1])
            if not wanted.groups:
                user = replace(wanted, groups=groups_of(account[0]))
        self._ask(asked)
        return user

    def _check_groups(self, mode: _Mode, groups: tuple[str, ...], asked: Attributes) -> None:
        if mode.name:
            if "" in groups:
                raise denial(asked, "impersonating the empty string group is not allowed")
            if "system:masters" in groups:
                raise denial(structs.replace(asked, name="system:masters"), "impersonating the system:masters group is not allowed")
            if len(groups) >= MANY and self._authorizer.authorize(structs.replace(asked, name="*")).allowed:
                return
        for group in groups:
            self._ask(structs.replace(asked, name=group))

    def _check_extra(self, mode: _Mode, extra: Mapping[str, tuple[str, ...]], asked: Attributes) -> None:
        if mode.name:
            if (why := _why_not_extra(extra)):
                raise denial(asked, why)
            large = sum(map(len, extra.values())) >= MANY
            if large and self._authorizer.authorize(structs.replace(asked, subresource="*", name="*")).allowed:
                return
        for key, values in extra.items():
            for value in values:
                self._ask(structs.replace(asked, subresource=key, name=value))

    def _ask(self, asked: Attributes) -> None:
        decision = self._authorizer.authorize(asked)
        if not decision.allowed:
            raise refusal(asked, decision) if decision.error else denial(asked, decision.reason)


def _only_name(wanted: User) -> bool:
    return not wanted.uid and not wanted.groups and not wanted.extra


def _node_of(name: str) -> str:
    """The node whose user name it is; empty when it is none."""
    node = name.removeprefix(_NODE)
    return node if node != name and not names.dns1123_subdomain(node) else ""


def _is_own_node(wanted: User, requestor: User) -> bool:
    node = _node_of(wanted.name)
    return bool(node) and _only_name(wanted) and split_username(requestor.name) is not None \
        and tuple(requestor.extra.get(_NODE_NAME, ())) == (node,)


_MODES = (
    _Mode("impersonate:associated-node", "associated-node", _is_own_node),
    _Mode("impersonate:arbitrary-node", "arbitrary-node",
          lambda wanted, requestor: _only_name(wanted) and bool(_node_of(wanted.name))),
    _Mode("impersonate:serviceaccount", "serviceaccount",
          lambda wanted, requestor: _only_name(wanted) and split_username(wanted.name) is not None),
    _Mode("impersonate:user-info", "user-info",
          lambda wanted, requestor: not _node_of(wanted.name) and split_username(wanted.name) is None),
    _Mode("impersonate"),
)


def _why_not_extra(extra: Mapping[str, tuple[str, ...]]) -> str:
    for key, values in extra.items():
        if not key:
            return "impersonating the empty string key in extra is not allowed"
        domain, slash, path = key.partition("/")
        if not slash or not path or names.dns1123_subdomain(domain):
            return (f"impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {goprint.quote(key)}: "
                    'must be a domain-prefixed path (such as "acme.io/foo")')
        if not values or "" in values:
            return "impersonating the empty string value in extra is not allowed"
    return ""


def _ensure(user: User, group: str) -> User:
    return user if group in user.groups else replace(user, groups=(*user.groups, group))


def _go_strings(values: tuple[str, ...]) -> str:
    return f"[]string{{{', '.join(map(goprint.quote, values))}}}" if values else "[]string(nil)"


def _go_extra(extra: Mapping[str, tuple[str, ...]]) -> str:
    if not extra:
        return "map[string][]string(nil)"
    pairs = ", ".join(f"{goprint.quote(key)}:{_go_strings(values)}" for key, values in sorted(extra.items()))
    return f"map[string][]string{{{pairs}}}"
