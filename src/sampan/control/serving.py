"""Pure questions about which pods serve a Service, shared by the loops that publish endpoints.

Source: `k8s.io/endpointslice` (utils.go), kube-controller-manager `util/endpoint`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from sampan.api.core.v1 import Container, Pod, Service, ServicePort
from sampan.api.scalars import Time
from sampan.api.selectors import of_set
from sampan.control.indexes import candidates
from sampan.control.informer import Index
from sampan.control.key import Key, key_of
from sampan.control.pods import is_terminal, is_terminating, ready_condition

HEADLESS_LABEL = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


def is_headless(service: Service) -> bool:
    """It has no address of its own."""
    return service.spec.clusterIP == "None"


def has_endpoints(service: Service) -> bool:
    """Whether its endpoints are made from pods: it selects some and is no mere name."""
    return bool(service.spec.selector) and service.spec.type != "ExternalName"


def belongs(pod: Pod, *, terminating: bool) -> bool:
    """Whether the pod is an endpoint at all; `terminating`: those being deleted count."""
    if is_terminal(pod) or not (pod.status.podIP or pod.status.podIPs):
        return False
    return terminating or not is_terminating(pod)


def addresses(pod: Pod, family: str) -> list[str]:
    """The pod's addresses of "IPv4" or "IPv6"."""
    all_ips = [one.ip for one in pod.status.podIPs] or [pod.status.podIP]
    return [ip for ip in all_ips if (":" in ip) == (family == "IPv6")]


def families(service: Service) -> list[str]:
    """The address families that the Service wants endpoints of."""
    if service.spec.ipFamilies:
        return list(service.spec.ipFamilies)
    if service.spec.clusterIP and not is_headless(service):
        return ["IPv6" if ipaddress.ip_address(service.spec.clusterIP).version == 6 else "IPv4"]
    return ["IPv4", "IPv6"]


def target_port(pod: Pod, port: ServicePort) -> int | None:
    """The pod's port behind a port of the Service; None: it has none of that name."""
    if isinstance(port.targetPort, int):
        return port.targetPort or port.port
    sidecars = [one for one in pod.spec.initContainers if one.restartPolicy == "Always"]
    containers: Iterable[Container] = [*(pod.spec.containers or ()), *sidecars]
    for container in containers:
        for one in container.ports:
            if one.name == port.targetPort and (one.protocol or "TCP") == (port.protocol or "TCP"):
                return one.containerPort
    return None


def hostname(pod: Pod, service: Service) -> str:
    """The name under which a headless Service knows the pod; empty: none."""
    return pod.spec.hostname if pod.spec.subdomain == service.metadata.name else ""


class TriggerTimes:
    """What made endpoints change, by Service: the earliest of the times that are new since it was last asked.

    Readiness of pods and the making of Services have such times; a deletion has none, and what is written then says none.
    Source: endpointslice `util/trigger_time_tracker.go`.
    """

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Time | None, dict[str, Time]]] = {}

    def since_last(self, service: Service, pods: Iterable[Pod]) -> str:
        """The time, empty if nothing that has one changed; a Service seen for the first time began with itself."""
        began = service.metadata.creationTimestamp
        times = {pod.metadata.name: found.lastTransitionTime for pod in pods
                 if (found := ready_condition(pod)) is not None and found.lastTransitionTime is not None}
        key = key_of(service)
        known, self._known[key] = self._known.get(key), (began, times)
        if known is None:
            return began or ""
        before, seen = known
        new = [time for name, time in times.items() if time > seen.get(name, "")]
        new += [began] if began is not None and began > (before or "") else []
        return min(new, default="")

    def forget(self, key: Key) -> None:
        """The Service is gone."""
        self._known.pop(key, None)


def _relevant(pod: Pod) -> tuple[Any, ...]:
    found = ready_condition(pod)
    # not its node: it has one before it has an address
    return (pod.metadata.labels, pod.status.podIP, pod.status.podIPs, is_terminal(pod), pod.metadata.deletionTimestamp,
            found is not None and found.status == "True", pod.spec.hostname, pod.spec.subdomain)


def services_of(selectors: Index[Service]) -> Callable[[Pod | None, Pod | None], set[Key]]:
    """The Services that a pod's change concerns; none when nothing changed that endpoints show."""
    def keys(old: Pod | None, new: Pod | None) -> set[Key]:
        if old is not None and new is not None and _relevant(old) == _relevant(new):
            return set()
        found: set[Key] = set()
        for pod in (old, new):
            if pod is not None:
                labels = pod.metadata.labels
                found |= {key_of(service) for service in candidates(selectors, pod.metadata.namespace, labels)
                          if of_set(service.spec.selector).matches(labels)}
        return found

    return keys
