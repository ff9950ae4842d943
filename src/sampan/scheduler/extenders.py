"""Extenders: HTTP services that filter, rank and bind beside the plugins.

Source: `kube-scheduler/extender/v1`, `pkg/scheduler/extender.go`. Field names on the wire are Go's, in any case.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Node, Pod
from sampan.client.connections import Connections
from sampan.client.kubeconfig import Access
from sampan.client.tls import tls_context
from sampan.kinds.core.pod import all_containers
from sampan.lib.errors import ConfigError, SampanError
from sampan.scheduler.configtypes import ExtenderEntry, TLSConfig

MOST_PRIORITY = 10
# url, body, seconds, TLS settings → answer; raises ExtenderError
Post = Callable[["Extender", str, bytes], Awaitable[bytes]]
Victims = tuple[Sequence[Pod], int]  # pods, and how many budgets their eviction violates
DEFAULT_SECONDS = 5.0


class ExtenderError(SampanError):
    """An extender did not answer as it should."""


@dataclass(frozen=True)
class Extender:
    """One entry of `extenders`."""

    url: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    bind_verb: str = ""
    preempt_verb: str = ""
    weight: int = 1
    names_only: bool = False
    ignorable: bool = False
    managed: frozenset[str] = frozenset()
    unchecked: frozenset[str] = frozenset()  # those of them that NodeResourcesFit leaves to it
    timeout_seconds: float = DEFAULT_SECONDS
    access: Access = Access("")

    @classmethod
    def of(cls, entry: ExtenderEntry, seconds: float) -> Extender:
        """From a configuration; `seconds`: for an answer, 0 for the default.

        Raises:
            ConfigError: Its certificates or keys cannot be used.
        """
        managed = entry.managedResources
        return cls(entry.urlPrefix.rstrip("/"), entry.filterVerb, entry.prioritizeVerb, entry.bindVerb, entry.preemptVerb, entry.weight,
                   entry.nodeCacheCapable, entry.ignorable, frozenset(one.name for one in managed),
                   frozenset(one.name for one in managed if one.ignoredByScheduler), seconds or DEFAULT_SECONDS, _access(entry))

    def interested(self, pod: Pod) -> bool:
        """Whether it manages something that the pod asks for; one that manages nothing in particular sees all pods."""
        if not self.managed:
            return True
        return any(self.managed & ({*one.resources.requests} | {*one.resources.limits}) for one in all_containers(pod.spec))

    async def filter(self, pod: Pod, nodes: Sequence[Node], post: Post) -> tuple[list[str], dict[str, str], dict[str, str]]:
        """(names that fit, name → reason where removing pods may help, name → reason where it does not)."""
        found = await self._ask(self.filter_verb, pod, nodes, post)
        with self._understood():
            answer = _lower(found)
            if answer.get("error"):
                raise ExtenderError(f"{self.url}: {answer['error']}")
            if answer.get("nodenames") is not None:
                names = [str(name) for name in answer["nodenames"]]
            else:
                names = [str(one["metadata"]["name"]) for one in (answer.get("nodes") or {}).get("items") or ()]
            return names, dict(answer.get("failednodes") or {}), dict(answer.get("failedandunresolvablenodes") or {})

    async def prioritize(self, pod: Pod, nodes: Sequence[Node], post: Post) -> dict[str, float]:
        """Name → score, weighted, on the scale of the plugins' sum."""
        answer = await self._ask(self.prioritize_verb, pod, nodes, post)
        if not isinstance(answer, list):
            raise ExtenderError(f"{self.url}: no list of priorities")
        scale = self.weight * (100 // MOST_PRIORITY)
        with self._understood():
            return {str(one["host"]): float(one["score"]) * scale for one in map(_lower, answer)}

    async def preempt(self, pod: Pod, victims: Mapping[str, Victims], post: Post) -> dict[str, tuple[list[str], int]]:
        """Node → (uids of the victims, violated budgets): those candidates that it agrees with, with fewer or other victims."""
        plain = {node: {"Pods": [{"UID": one.metadata.uid} for one in pods], "NumPDBViolations": violations} for node, (pods, violations) in victims.items()}
        whole = {node: {"Pods": pods, "NumPDBViolations": violations} for node, (pods, violations) in victims.items()}
        body = {"Pod": pod, "NodeNameToVictims": None if self.names_only else whole, "NodeNameToMetaVictims": plain if self.names_only else None}
        answer = await self._posted(self.preempt_verb, body, post)
        out = {}
        with self._understood():
            for node, said in (_lower(answer).get("nodenametometavictims") or {}).items():
                found = _lower(said)
                out[str(node)] = ([str(_lower(one)["uid"]) for one in found.get("pods") or ()], int(found.get("numpdbviolations") or 0))
        return out

    async def bind(self, pod: Pod, node: str, post: Post) -> None:
        """Let it bind in the scheduler's place."""
        meta = pod.metadata
        body = {"PodName": meta.name, "PodNamespace": meta.namespace, "PodUID": meta.uid, "Node": node}
        answer = _lower(await self._posted(self.bind_verb, body, post))
        if answer.get("error"):
            raise ExtenderError(f"{self.url}: {answer['error']}")

    async def _ask(self, verb: str, pod: Pod, nodes: Sequence[Node], post: Post) -> Any:
        body: dict[str, Any] = {"Pod": pod, "Nodes": None, "NodeNames": None}
        if self.names_only:
            body["NodeNames"] = [node.metadata.name for node in nodes]
        else:
            body["Nodes"] = {"metadata": {}, "items": nodes}
        return await self._posted(verb, body, post)

    async def _posted(self, verb: str, body: dict[str, Any], post: Post) -> Any:
        answer = await post(self, f"{self.url}/{verb}", codec.encode(body))
        try:
            return codec.loads(answer)
        except codec.DecodeError as error:
            raise ExtenderError(f"{self.url}/{verb} answered no JSON: {error}") from None

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ExtenderError(f"{self.url}: an answer that cannot be read: {type(error).__name__} {error}") from None


def _lower(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ExtenderError("an extender answered with something else than an object")
    return {str(key).lower(): one for key, one in value.items()}


def _access(entry: ExtenderEntry) -> Access:
    """How an extender is reached: whom it must prove to be, and as whom it is asked.

    With enableHTTPS and no authority its certificate is not looked at, as upstream has it.

    Raises:
        ConfigError: A file or a text cannot be read, or both an authority and `insecure` are given.
    """
    said, path = entry.tlsConfig or TLSConfig(), f"the extender {entry.urlPrefix}"
    authority = _material(said.caFile, said.caData, f"{path}: caData")
    certificate, key = _material(said.certFile, said.certData, f"{path}: certData"), _material(said.keyFile, said.keyData, f"{path}: keyData")
    if said.insecure and authority:
        raise ConfigError(f"{path}: specifying a root certificates file with the insecure flag is not allowed", hint="leave out one of the two")
    if bool(certificate) != bool(key):
        raise ConfigError(f"{path}: a client certificate needs its key, and a key its certificate", hint="give certFile and keyFile, or certData and keyData")
    access = Access(entry.urlPrefix.rstrip("/"), authority, said.insecure or (entry.enableHTTPS and not authority), said.serverName, certificate, key)
    try:
        tls_context(access)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"{path}: its certificates cannot be used: {error}") from None
    return access


def _material(file: str, data: str, what: str) -> bytes:
    """PEM of a file, or of base64 as configurations have it; what is given in place wins."""
    try:
        return base64.b64decode(data, validate=True) if data else Path(file).read_bytes() if file else b""
    except binascii.Error:
        raise ConfigError(f"{what} is no base64") from None
    except OSError as error:
        raise ConfigError(f"{what.rsplit(':', 1)[0]}: {error}") from None


class HttpPost:
    """`Post` over HTTP; `close` when done."""

    def __init__(self) -> None:
        self._connections: dict[str, Connections] = {}

    async def __call__(self, extender: Extender, url: str, body: bytes) -> bytes:
        known = self._connections.get(extender.url)
        if known is None:
            access = extender.access
            known = self._connections[extender.url] = Connections(extender.url, tls_context(access), access.server_name)
        try:
            answer = await known.ask("POST", url.removeprefix(extender.url), {"Content-Type": "application/json"}, body, extender.timeout_seconds)
        except (OSError, TimeoutError) as error:
            raise ExtenderError(f"{url} did not answer: {str(error) or type(error).__name__}") from error
        if answer.code != HTTPStatus.OK:
            raise ExtenderError(f"{url} answered {answer.code}")
        return answer.body

    async def close(self) -> None:
        """End all connections."""
        while self._connections:
            self._connections.popitem()[1].close()
