"""Extenders: HTTP services that filter, rank and bind beside the plugins.

Source: `kube-scheduler/extender/v1`, `pkg/scheduler/extender.go`. Field names on the wire are Go's, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Node, Pod
from sampan.kinds.core.pod import all_containers
from sampan.lib.errors import ConfigError, SampanError

MOST_PRIORITY = 10
# url, body, seconds, TLS settings → answer; raises ExtenderError
Post = Callable[["Extender", str, bytes], Awaitable[bytes]]
Victims = tuple[Sequence[Pod], int]  # pods, and how many budgets their eviction violates
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9.]+)(ms|s|m|h)")


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
    timeout_seconds: float = 5.0
    tls: Mapping[str, Any] = field(default_factory=dict)
    verify: bool = True

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Extender:
        """From a configuration.

        Raises:
            ConfigError: It has no address or an unfit weight.
        """
        url = str(entry.get("urlPrefix") or "")
        if not url:
            raise ConfigError("an extender needs urlPrefix")
        weight = int(entry.get("weight") or 0)
        if entry.get("prioritizeVerb") and weight <= 0:
            raise ConfigError(f"the extender {url} ranks nodes, so its weight must be positive")
        tls, managed = entry.get("tlsConfig") or {}, entry.get("managedResources") or ()
        return cls(url.rstrip("/"), entry.get("filterVerb") or "", entry.get("prioritizeVerb") or "", entry.get("bindVerb") or "",
                   entry.get("preemptVerb") or "", weight, bool(entry.get("nodeCacheCapable")), bool(entry.get("ignorable")),
                   frozenset(one["name"] for one in managed), frozenset(one["name"] for one in managed if one.get("ignoredByScheduler")),
                   _seconds(entry.get("httpTimeout")), tls, not tls.get("insecure"))

    def interested(self, pod: Pod) -> bool:
        """Whether it manages something that the pod asks for; one that manages nothing in particular sees all pods."""
        if not self.managed:
            return True
        return any(self.managed & ({*one.resources.requests} | {*one.resources.limits}) for one in all_containers(pod.spec))

    async def filter(self, pod: Pod, nodes: Sequence[Node], post: Post) -> tuple[list[str], dict[str, str], dict[str, str]]:
        """(names that fit, name → reason where removing pods may help, name → reason where it does not)."""
        answer = _lower(await self._ask(self.filter_verb, pod, nodes, post))
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
        return {str(one["host"]): float(one["score"]) * scale for one in map(_lower, answer)}

    async def preempt(self, pod: Pod, victims: Mapping[str, Victims], post: Post) -> dict[str, tuple[list[str], int]]:
        """Node → (uids of the victims, violated budgets): those candidates that it agrees with, with fewer or other victims."""
        plain = {node: {"Pods": [{"UID": one.metadata.uid} for one in pods], "NumPDBViolations": violations} for node, (pods, violations) in victims.items()}
        whole = {node: {"Pods": pods, "NumPDBViolations": violations} for node, (pods, violations) in victims.items()}
        body = {"Pod": pod, "NodeNameToVictims": None if self.names_only else whole, "NodeNameToMetaVictims": plain if self.names_only else None}
        answer = _lower(codec.loads(await post(self, f"{self.url}/{self.preempt_verb}", codec.encode(body))))
        out = {}
        for node, said in (answer.get("nodenametometavictims") or {}).items():
            found = _lower(said)
            out[str(node)] = ([str(_lower(one)["uid"]) for one in found.get("pods") or ()], int(found.get("numpdbviolations") or 0))
        return out

    async def bind(self, pod: Pod, node: str, post: Post) -> None:
        """Let it bind in the scheduler's place."""
        meta = pod.metadata
        body = codec.encode({"PodName": meta.name, "PodNamespace": meta.namespace, "PodUID": meta.uid, "Node": node})
        answer = _lower(codec.loads(await post(self, f"{self.url}/{self.bind_verb}", body)))
        if answer.get("error"):
            raise ExtenderError(f"{self.url}: {answer['error']}")

    async def _ask(self, verb: str, pod: Pod, nodes: Sequence[Node], post: Post) -> Any:
        body: dict[str, Any] = {"Pod": pod, "Nodes": None, "NodeNames": None}
        if self.names_only:
            body["NodeNames"] = [node.metadata.name for node in nodes]
        else:
            body["Nodes"] = {"metadata": {}, "items": nodes}
        return codec.loads(await post(self, f"{self.url}/{verb}", codec.encode(body)))


def _lower(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ExtenderError("an extender answered with something else than an object")
    return {str(key).lower(): one for key, one in value.items()}


def _seconds(text: object) -> float:
    found = _DURATION.findall(str(text or ""))
    return sum(float(number) * _SECONDS[unit] for number, unit in found) or 5.0


class HttpPost:
    """`Post` over HTTP; `close` when done."""

    def __init__(self) -> None:
        self._session: Any = None

    async def __call__(self, extender: Extender, url: str, body: bytes) -> bytes:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with self._session.post(url, data=body, headers={"Content-Type": "application/json"}, ssl=_tls(extender),
                                          timeout=aiohttp.ClientTimeout(total=extender.timeout_seconds)) as answer:
                if answer.status != 200:
                    raise ExtenderError(f"{url} answered {answer.status}")
                found: bytes = await answer.read()
                return found
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ExtenderError(f"{url} did not answer: {error or type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _tls(extender: Extender) -> Any:
    import base64
    import ssl

    if not extender.url.startswith("https:"):
        return True
    tls = extender.tls
    data = base64.b64decode(tls["caData"]).decode() if tls.get("caData") else None
    context = ssl.create_default_context(cafile=tls.get("caFile") or None, cadata=data)
    if not extender.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls.get("certFile") and tls.get("keyFile"):
        context.load_cert_chain(tls["certFile"], tls["keyFile"])
    return context
