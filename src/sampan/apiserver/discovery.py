"""Discovery: which groups, versions and resources there are, in the classic documents and the aggregated ones.

Owns rendering the catalog, the order of groups and versions, and the cache of ready bytes; they are made when they are
first asked for and again when the catalog has changed (`Catalog.generation`), so custom resources show at once.
Source: `k8s.io/apiserver/pkg/endpoints/discovery`, `k8s.io/kube-aggregator/pkg/apiserver/handler_discovery.go`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sampan.api import codec
from sampan.api.resourceinfo import Resource, Subresource
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.handlers.base import no_such_path, render
from sampan.apiserver.negotiation import Where, accepted
from sampan.apiserver.options import first
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Response, page_not_found
from sampan.lib.memo import remembered

AGGREGATED = b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_STORED_VERSIONS = {
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): "v1beta1",
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): "v1beta1",
    ("apiextensions.k8s.io", "CustomResourceDefinition"): "v1beta1",
}
"""Where the storage version that upstream tells of is not the version that we store."""
_KUBE_VERSION = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")

Foreign = dict[str, Any]
"""The APIVersionDiscovery of a version that another API server serves."""
Groups = dict[str, dict[str, "list[Served] | Foreign"]]
FIRST = "apiregistration.k8s.io"
BUILT_IN_PRIORITY, CUSTOM_PRIORITY, VERSION_PRIORITY = 18000, 1000, 100
"""Where groups and versions stand that have no APIService."""


class Others(Protocol):
    """What API servers behind this one serve, and where groups stand; keys are (group, version)."""

    @property
    def generation(self) -> Any: ...

    @property
    def priorities(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Priorities of the group and of the version within it."""
        ...

    def versions(self) -> Mapping[tuple[str, str], Foreign]: ...


class Discovery:
    """Answers /api, /apis and what lies between them and the resources."""

    def __init__(self, catalog: Catalog, server_address: str = "", others: Others | None = None) -> None:
        """`server_address`: host and port that /api tells of; empty: what the client has called."""
        self._catalog, self._address, self._others = catalog, server_address, others
        self._generation: Any = None
        self._groups: Groups = {}
        self._made: dict[str, Answer] = {}

    def groups(self) -> Groups:
        """Group → version → resources, all in the order in which they are shown; the core group is ""."""
        self._refresh()
        return self._groups

    def answer(self, info: RequestInfo, parts: list[str]) -> Response:
        """The document of a path that begins with `api` or `apis`.

        Raises:
            NotFound: No such version in a group that is served, as a Status; other paths get Go's page.
            NotAcceptable: The client takes neither JSON nor YAML.
        """
        self._refresh()
        if parts == ["api"]:
            return self._aggregated(info, "api") or self._plain(info, _versions(self._address or info.headers.get("host", ""), self._groups))
        if parts == ["apis"]:
            return self._aggregated(info, "apis") or self._cached(info, "apis", self._group_list)
        if parts[0] == "api":
            group, rest = "", parts[1:]
        else:
            group, rest = parts[1], parts[2:]
        versions = self._groups.get(group)
        if not versions:
            return page_not_found()
        if not rest:
            return self._cached(info, "/".join(parts), lambda: {"kind": "APIGroup", "apiVersion": "v1"} | _group(group, versions))
        served = versions.get(rest[0])
        if not isinstance(served, list) or len(rest) > 1:
            raise no_such_path()
        return self._cached(info, "/".join(parts), lambda: _resource_list(group, rest[0], served))

    def paths(self) -> list[str]:
        """The paths of the documents, for the index."""
        found = []
        for group, versions in self.groups().items():
            root = f"/apis/{group}" if group else "/api"
            found += [root, *(f"{root}/{version}" for version in versions)]
        return ["/apis", "/apis/", *found]

    def _refresh(self) -> None:
        generation = (self._catalog.generation, self._others.generation if self._others is not None else None)
        if self._generation != generation:
            self._generation = generation
            self._groups = _ordered(self._catalog)
            if self._others is not None:
                self._groups = with_others(self._groups, self._others)
            self._made.clear()

    def _cached(self, info: RequestInfo, path: str, make: Callable[[], dict[str, Any]]) -> Answer:
        where: Where = "page" if path.startswith("apis") and path.count("/") < 2 else "route"
        form = accepted(info.headers.get("accept", ""), first(info.query, "pretty"), shapes=False, where=where)
        if not form.plain:
            return render(make(), form)
        made = self._made.get(path)
        if made is None:
            made = self._made[path] = render(make(), form)
        return Answer(made.code, made.body, result=made.result)

    def _plain(self, info: RequestInfo, value: dict[str, Any]) -> Answer:
        return render(value, accepted(info.headers.get("accept", ""), first(info.query, "pretty"), shapes=False))

    def _aggregated(self, info: RequestInfo, root: str) -> Answer | None:
        """The aggregated document, if that is what the client asks for first of what we have."""
        if not _wants_aggregated(info.headers.get("accept", "")):
            return None
        key = f"aggregated/{root}"
        made = self._made.get(key)
        if made is None:
            groups = {name: versions for name, versions in self._groups.items() if (root == "api") is (name == "")}
            body = codec.encode(_discovery_list(groups)) + b"\n"
            tag = b'"%b"' % hashlib.sha512(body).hexdigest().upper().encode()
            made = self._made[key] = Answer(200, body, AGGREGATED, [(b"etag", tag), (b"vary", b"Accept")])
        tag_text = made.headers[0][1].decode()
        if tag_text in [part.strip() for part in info.headers.get("if-none-match", "").split(",")]:
            return Answer(304, b"", b"", list(made.headers))
        return Answer(200, made.body, AGGREGATED, list(made.headers))

    def _group_list(self) -> dict[str, Any]:
        groups = [_group(name, versions) for name, versions in self._groups.items() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


@remembered(maxsize=64)
def _wants_aggregated(accept: str) -> bool:
    clauses = []
    for text in accept.split(","):
        kind, *rest = (part.strip() for part in text.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest)
        try:
            weight = float(parameters.get("q", "1"))
        except ValueError:
            weight = 0.0
        clauses.append((weight, kind.lower(), parameters))
    for _, kind, parameters in sorted(clauses, key=lambda clause: -clause[0]):
        if kind not in ("application/json", "application/*", "*/*"):
            continue
        shape = parameters.get("as", "")
        if not shape:
            return False
        if (shape, parameters.get("g"), parameters.get("v")) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"):
            return True
    return False


def _ordered(catalog: Catalog) -> Groups:
    """Built-in groups in the catalog's order, which is upstream's; then custom ones by name, newest version first."""
    built_in: dict[str, dict[str, list[Served]]] = {}
    custom: dict[str, dict[str, list[Served]]] = {}
    for served in catalog:
        resource = served.resource
        groups = built_in if served.custom is None or resource.group in built_in else custom
        groups.setdefault(resource.group, {}).setdefault(resource.version, []).append(served)
    for group in sorted(custom):
        versions = custom[group]
        built_in[group] = {version: sorted(versions[version], key=lambda one: one.resource.plural)
                           for version in sorted(versions, key=version_rank)}
    return dict(built_in)  # type: ignore[arg-type]


def with_others(groups: Groups, others: Others) -> Groups:
    """With what others serve, in the order that priorities say; of equal ones built-in groups come first, then by name."""
    foreign, priorities = others.versions(), others.priorities
    merged: Groups = {name: dict(versions) for name, versions in groups.items()}
    for (group, version), discovery in foreign.items():
        merged.setdefault(group, {})[version] = discovery
    built_in = {name for name, versions in groups.items() if any(isinstance(some, list) and some[0].custom is None for some in versions.values())}

    def place(name: str) -> tuple[bool, bool, int, bool, str]:
        usual = BUILT_IN_PRIORITY if name in built_in else CUSTOM_PRIORITY
        highest = max((priorities[name, version][0] for version in merged[name] if (name, version) in priorities), default=usual)
        return name != "", name != FIRST, -highest, name not in built_in, "" if name in built_in else name

    out: Groups = {}
    for name in sorted(merged, key=place):
        versions = merged[name]
        if name not in built_in or any(group == name for group, _ in foreign):
            order = sorted(versions, key=lambda one: (-priorities.get((name, one), (0, VERSION_PRIORITY))[1], version_rank(one)))
            versions = {version: versions[version] for version in order}
        out[name] = versions
    return out


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as upstream prefers them: v2, v1, v2beta1, v1beta2, v1alpha1, then others by name."""
    found = _KUBE_VERSION.fullmatch(version)
    if found is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (stage, -int(found[1]), -int(found[3] or 0), version)


def _versions(host: str, groups: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "APIVersions", "versions": list(groups.get("", ())),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]}


def _group(name: str, versions: Mapping[str, Any]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


# -- the classic list of a version's resources --------------------------------------------------------------------


def _resource_list(group: str, version: str, served: list[Served]) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    for one in served:
        resources.append(_resource(one))
        resources += [_subresource(one.resource, sub) for sub in one.resource.subresources]
    head = {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if group else {})
    return head | {"groupVersion": f"{group}/{version}" if group else version, "resources": resources}


def _resource(served: Served) -> dict[str, Any]:
    resource = served.resource
    value: dict[str, Any] = {"name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
                             "kind": resource.kind, "verbs": resource.verbs}
    if resource.short_names:
        value["shortNames"] = resource.short_names
    if resource.categories:
        value["categories"] = resource.categories
    if not served.virtual:
        value["storageVersionHash"] = storage_version_hash(served.stored, served.custom.storage if served.view is not None else "")
    return value


def _subresource(resource: Resource[Any], sub: Subresource) -> dict[str, Any]:
    value: dict[str, Any] = {"name": f"{resource.plural}/{sub.name}", "singularName": "", "namespaced": resource.namespaced}
    if sub.group_version != resource.group_version:
        group, _, version = sub.group_version.rpartition("/")
        value |= {"group": group, "version": version} if group else {"version": version}
    return value | {"kind": sub.kind, "verbs": sub.verbs}


def storage_version_hash(stored: Resource[Any], version: str = "") -> str:
    """Changes when objects are stored in another version; `version` if it is not that of the resource."""
    version = version or _STORED_VERSIONS.get((stored.group, stored.kind), stored.version)
    return base64.b64encode(hashlib.sha256(f"{stored.group}/{version}/{stored.kind}".encode()).digest()[:8]).decode()


# -- the aggregated list ------------------------------------------------------------------------------------------


def _discovery_list(groups: Groups) -> dict[str, Any]:
    items = [{"metadata": {"name": name} if name else {}, "versions": [
        {"version": version, "resources": [_discovered(one) for one in served], "freshness": "Current"} if isinstance(served, list) else served
        for version, served in versions.items()]} for name, versions in groups.items()]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovered(served: Served) -> dict[str, Any]:
    resource = served.resource
    own = resource.group_version if served.custom is not None else ""
    value: dict[str, Any] = {
        "resource": resource.plural, "responseKind": _kind(own, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster", "singularResource": resource.singular,
        "verbs": resource.verbs,
    }
    if resource.short_names:
        value["shortNames"] = resource.short_names
    if resource.categories:
        value["categories"] = resource.categories
    if resource.subresources:
        value["subresources"] = [
            {"subresource": sub.name, "verbs": sub.verbs,
             "responseKind": _kind(own if sub.group_version == resource.group_version else sub.group_version, sub.kind)}
            for sub in resource.subresources]
    return value


def _kind(group_version: str, kind: str) -> dict[str, str]:
    group, _, version = group_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}
