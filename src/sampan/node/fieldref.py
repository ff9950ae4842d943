"""The downward API: what `fieldRef` and `resourceFieldRef` stand for. Pure.

Source: kubelet `pkg/fieldpath`, `pkg/api/v1/resource`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction

from sampan.api import quantity
from sampan.api.core.v1 import Container, Pod, ResourceFieldSelector


@dataclass(frozen=True)
class NodeFacts:
    """What a pod can learn about the node it runs on. CPU in milli-CPU, memory and storage in bytes."""

    name: str
    ips: tuple[str, ...]
    allocatable: dict[str, int]


class UnknownField(ValueError):
    """A reference that the downward API does not have."""


_SUBSCRIPT = re.compile(r"metadata\.(annotations|labels)\['(.+)'\]")


def quoted_map(values: dict[str, str]) -> str:
    """`key="value"` a line, sorted: how annotations and labels look in a file."""
    return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(values.items()))


def field_value(pod: Pod, path: str, node: NodeFacts) -> str:
    """The text of `fieldPath`, with the status as the agent knows it now.

    Raises:
        UnknownField: The downward API has no such path.
    """
    meta = pod.metadata
    if match := _SUBSCRIPT.fullmatch(path):
        return (meta.annotations if match[1] == "annotations" else meta.labels).get(match[2], "")
    simple = {
        "metadata.name": lambda: meta.name,
        "metadata.namespace": lambda: meta.namespace,
        "metadata.uid": lambda: meta.uid,
        "metadata.annotations": lambda: quoted_map(meta.annotations),
        "metadata.labels": lambda: quoted_map(meta.labels),
        "spec.nodeName": lambda: pod.spec.nodeName,
        "spec.serviceAccountName": lambda: pod.spec.serviceAccountName,
        "status.hostIP": lambda: node.ips[0] if node.ips else "",
        "status.hostIPs": lambda: ",".join(node.ips),
        "status.podIP": lambda: pod.status.podIP,
        "status.podIPs": lambda: ",".join(entry.ip for entry in pod.status.podIPs),
    }
    if path not in simple:
        raise UnknownField(f"unsupported fieldPath: {path}")
    return simple[path]()


def resource_value(container: Container, selector: ResourceFieldSelector, node: NodeFacts) -> str:
    """The text of a `resourceFieldRef`: a whole number of divisors, rounded up; limits default to the node's.

    Raises:
        UnknownField: The reference names no resource of a container.
    """
    kind, _, name = selector.resource.partition(".")
    if kind not in ("limits", "requests") or not name:
        raise UnknownField(f"unsupported container resource: {selector.resource}")
    given = (container.resources.limits if kind == "limits" else container.resources.requests).get(name)
    if given is None and kind == "limits":
        have = node.allocatable.get(name, 0)
        amount = Fraction(have, 1000) if name == "cpu" else Fraction(have)
    else:
        amount = Fraction(quantity.milli(given or "0"), 1000)
    divisor = Fraction(quantity.milli(selector.divisor), 1000) if selector.divisor != "0" else Fraction(1)
    return str(-(-amount // divisor))
