"""Which form the client wants its answer in, and which form its body has.

Owns reading `Accept` and `Content-Type`. Source: `k8s.io/apiserver/pkg/endpoints/handlers/negotiation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sampan.api.errors import NotAcceptable, UnsupportedMediaType
from sampan.lib.memo import LONGEST

SERVED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
PROTOBUF = SERVED[2]


@dataclass(frozen=True, slots=True)
class Form:
    """How the answer is written. `shape` is "", Table, PartialObjectMetadata or PartialObjectMetadataList."""

    yaml: bool = False
    shape: str = ""
    version: str = "v1"
    pretty: bool = False
    protobuf: bool = False

    @property
    def plain(self) -> bool:
        """Whether stored bytes can leave as they are."""
        return not (self.yaml or self.shape or self.pretty or self.protobuf)


Where = Literal["route", "collection", "page"]
"""Who refuses: the router, which knows what an endpoint can give (a collection streams too), or the page itself."""
PLAIN = Form()
_STREAMS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
_SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class _Clause:
    type: str
    parameters: dict[str, str]
    weight: float


def _clauses(accept: str) -> list[_Clause]:
    found = []
    for text in accept.split(","):
        head, *rest = text.split(";")
        parameters = dict(part.strip().partition("=")[::2] for part in rest)
        try:
            weight = float(parameters.get("q", "1"))
        except ValueError:
            weight = 0.0
        found.append(_Clause(head.strip().lower(), parameters, weight))
    return sorted(found, key=lambda clause: -clause.weight)


def _matches(kind: str, offered: Sequence[str]) -> str:
    """The type, where it is offered; `application/*` names none."""
    if kind in ("*/*", ""):
        return offered[0]
    return kind if kind in offered else ""


def accepted(accept: str, pretty: str = "", *, shapes: bool = True, custom: bool = False, where: Where = "route") -> Form:
    """The form that `Accept` asks for; without `shapes` it can only be the thing itself.

    Custom resources have no protobuf but for their metadata, Tables have none at all. `where` matters to a refusal only.

    Raises:
        NotAcceptable: Nothing that is asked for can be given.
    """
    if len(accept) + len(pretty) > LONGEST:
        return _accepted(accept, pretty, shapes, custom, where)
    return _remembered(accept, pretty, shapes, custom, where)


def _accepted(accept: str, pretty: str, shapes: bool, custom: bool, where: Where) -> Form:
    wants_pretty = pretty not in ("", "false", "0") if pretty else False
    if not accept or accept == "application/json":
        return Form(pretty=True) if wants_pretty else PLAIN
    known = False
    for clause in _clauses(accept):
        kind = _matches(clause.type, SERVED)
        known = known or bool(kind)
        if not kind:
            continue
        shape = clause.parameters.get("as", "")
        if shape and (not shapes or shape not in _SHAPES or clause.parameters.get("g") != "meta.k8s.io"
                      or clause.parameters.get("v") not in ("v1", "v1beta1")):
            continue
        if kind == PROTOBUF and (shape == "Table" or (custom and not shape)):
            continue
        return Form(kind == "application/yaml", shape, clause.parameters.get("v", "v1"), wants_pretty, kind == PROTOBUF)
    if not known and where != "page":
        raise NotAcceptable("406: Not Acceptable\n\nAvailable representations: " + ", ".join(
            (*SERVED, *(_STREAMS if where == "collection" else ()))), details={})
    raise NotAcceptable("only the following media types are accepted: " + ", ".join(SERVED))


_remembered = lru_cache(maxsize=512)(_accepted)


def body_kind(content_type: str) -> str:
    """`json`, `yaml` or `protobuf`.

    Raises:
        UnsupportedMediaType: None of them.
    """
    if content_type in ("", "application/json"):
        return "json"  # as nearly everybody says it
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", "application/json"):
        return "json"
    if kind == "application/yaml":
        return "yaml"
    if kind == PROTOBUF:
        return "protobuf"
    raise UnsupportedMediaType("the body of the request was in an unknown format - accepted media types include: "
                               + ", ".join(SERVED))
