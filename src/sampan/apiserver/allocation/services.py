"""What a Service gets besides what it asks for: IP families, cluster IPs, node ports, a health check port.

Owns `ServiceHook`. Source: kubernetes `pkg/registry/core/service/storage/{alloc,storage}.go`.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from sampan.api import field
from sampan.api.errors import ApiError, FieldError, InternalError, Invalid
from sampan.apiserver.allocation.addresses import Addresses, Unavailable
from sampan.apiserver.allocation.ports import Ports, ports_of
from sampan.apiserver.hooks import Claim

NONE = "None"
WITH_ADDRESS = ("ClusterIP", "NodePort", "LoadBalancer")


def needs_address(service: Any) -> bool:
    return bool(service.spec.type in WITH_ADDRESS)


def is_headless(service: Any) -> bool:
    return bool(service.spec.clusterIP == NONE or service.spec.clusterIPs[:1] == [NONE])


def wants_node_ports(service: Any) -> bool:
    spec = service.spec
    return bool(spec.type == "NodePort" or (spec.type == "LoadBalancer" and spec.allocateLoadBalancerNodePorts is not False))


def has_node_ports(service: Any) -> bool:
    return bool(service.spec.type in ("NodePort", "LoadBalancer"))


def needs_health_port(service: Any) -> bool:
    return bool(service.spec.type == "LoadBalancer" and service.spec.externalTrafficPolicy == "Local")


class ServiceHook:
    """Claims for one write at a time."""

    def __init__(self, addresses: Addresses, ports: Ports) -> None:
        self._addresses, self._ports = addresses, ports

    def create(self, obj: Any, *, dry_run: bool) -> Claim:
        del dry_run
        claim = Claim()
        normalize(obj, None)
        try:
            self._families(obj, None)
            self._allocate_addresses(obj, None, claim)
            self._allocate_ports(obj, None, claim)
        except BaseException:
            claim.release()
            raise
        return claim

    def update(self, new: Any, old: Any, *, dry_run: bool) -> Claim:
        del dry_run
        claim = Claim()
        normalize(new, old)
        keep_allocated(new, old)
        try:
            self._families(new, old)
            self._allocate_addresses(new, old, claim)
            self._allocate_ports(new, old, claim)
            for port in sorted(ports_of(old) - ports_of(new)):
                self._ports.release(port, claim)
        except BaseException:
            claim.release()
            raise
        return claim

    def delete(self, obj: Any) -> Claim:
        claim = Claim()
        for text in addresses_of(obj):
            self._addresses.release(text, claim)
        for port in sorted(ports_of(obj)):
            self._ports.release(port, claim)
        return claim

    # -- families -------------------------------------------------------------------------------------------------

    def _families(self, new: Any, old: Any) -> None:
        spec = new.spec
        if not needs_address(new):
            if old is not None and needs_address(old):
                spec.ipFamilies, spec.ipFamilyPolicy = [], None
            return
        known = self._addresses.families
        named = [_family(text) for text in spec.clusterIPs if text and text != NONE]
        spec.ipFamilies = spec.ipFamilies or named
        found = self._family_errors(new, old)
        if spec.ipFamilyPolicy is None:
            several = len(spec.ipFamilies) > 1 or len(named) > 1
            spec.ipFamilyPolicy = "SingleStack" if not several else "RequireDualStack"
            if several:
                found.append(field.invalid("spec.ipFamilyPolicy", None, "must be RequireDualStack or PreferDualStack when "
                                                                        "multiple IP families are specified"))
            if is_headless(new) and not spec.selector and not spec.ipFamilies:
                spec.ipFamilyPolicy = "RequireDualStack"  # somebody else gives it endpoints, of whatever family
        if found:
            raise Invalid.of("Service", "", new.metadata.name, found)
        spec.ipFamilies = spec.ipFamilies or [known[0]]
        wants_both = spec.ipFamilyPolicy in ("PreferDualStack", "RequireDualStack")
        if wants_both and len(spec.ipFamilies) == 1 and (len(known) > 1 or (is_headless(new) and not spec.selector)):
            spec.ipFamilies = [*spec.ipFamilies, "IPv4" if spec.ipFamilies[0] == "IPv6" else "IPv6"]
        if spec.ipFamilyPolicy == "SingleStack" and old is not None and len(spec.ipFamilies) > 1:
            spec.ipFamilies, spec.clusterIPs = spec.ipFamilies[:1], spec.clusterIPs[:1]

    def _family_errors(self, new: Any, old: Any) -> list[FieldError]:
        del old
        spec, known = new.spec, self._addresses.families
        found: list[FieldError] = []
        if is_headless(new) and not spec.selector:
            return found
        for index, family in enumerate(spec.ipFamilies):
            if family in ("IPv4", "IPv6") and family not in known:
                found.append(field.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
        if spec.ipFamilyPolicy == "RequireDualStack" and len(known) < 2:
            found.append(field.invalid("spec.ipFamilyPolicy", spec.ipFamilyPolicy, "this cluster is not configured for dual-stack services"))
        return found

    # -- addresses ------------------------------------------------------------------------------------------------

    def _allocate_addresses(self, new: Any, old: Any, claim: Claim) -> None:
        before = addresses_of(old) if old is not None else []
        if not needs_address(new) or is_headless(new):
            for text in before:
                self._addresses.release(text, claim)
            return
        spec = new.spec
        wanted = list(spec.clusterIPs)
        for index, family in enumerate(spec.ipFamilies):
            text = wanted[index] if index < len(wanted) else ""
            if text and text in before:
                continue
            found = self._address(new, text, family, claim)
            if index < len(wanted):
                wanted[index] = found
            else:
                wanted.append(found)
        spec.clusterIPs = wanted
        spec.clusterIP = wanted[0] if wanted else ""
        for text in before:
            if text not in wanted:
                self._addresses.release(text, claim)

    def _address(self, service: Any, text: str, family: str, claim: Claim) -> str:
        try:
            if not text:
                return self._addresses.next(family, service, claim)
            if not _valid(text):
                return text  # validation says so in its words
            self._addresses.claim(text, service, claim)
            return text
        except Unavailable as error:
            if not text:
                raise InternalError(f"failed to allocate a serviceIP: {error}") from None
            shown = field.invalid("spec.clusterIPs", [text], f"failed to allocate IP {text}: {error}")
            raise Invalid.of("Service", "", service.metadata.name, [shown]) from None

    # -- ports ----------------------------------------------------------------------------------------------------

    def _allocate_ports(self, new: Any, old: Any, claim: Claim) -> None:
        before = ports_of(old) if old is not None else set()
        if has_node_ports(new):
            self._node_ports(new, before, claim)
        spec = new.spec
        if not needs_health_port(new):
            return
        if spec.healthCheckNodePort:
            if spec.healthCheckNodePort not in before:
                def taken(why: str) -> ApiError:
                    return InternalError(f"failed to allocate requested HealthCheck NodePort {spec.healthCheckNodePort}: {why}")

                try:
                    self._ports.claim(spec.healthCheckNodePort, claim, taken)
                except Unavailable as error:
                    raise taken(str(error)) from None
            return
        try:
            spec.healthCheckNodePort = self._ports.next(claim)
        except Unavailable as error:
            raise InternalError(f"failed to allocate a HealthCheck NodePort {spec.healthCheckNodePort}: {error}") from None

    def _node_ports(self, new: Any, before: set[int], claim: Claim) -> None:
        """Ports of one service may share a node port when they share the port and differ in the protocol."""
        claimed: dict[int, set[str]] = {}
        by_port: dict[int, int] = {}
        for index, port in enumerate(new.spec.ports):
            if not port.nodePort:
                if not wants_node_ports(new):
                    continue
                port.nodePort = self._matching(new, port, by_port) or self._next_port(claim)
                by_port[port.port] = port.nodePort
                claimed.setdefault(port.nodePort, set()).add(port.protocol)
                continue
            protocols = claimed.setdefault(port.nodePort, set())
            fresh = not protocols
            if (fresh and port.nodePort not in before) or port.protocol in protocols:
                self._claim_port(new, index, port.nodePort, claim)
            protocols.add(port.protocol)
            by_port.setdefault(port.port, port.nodePort)

    @staticmethod
    def _matching(new: Any, port: Any, by_port: dict[int, int]) -> int:
        found = by_port.get(port.port, 0)
        taken = any(other is not port and other.nodePort == found and other.protocol == port.protocol for other in new.spec.ports)
        return 0 if taken else found

    def _next_port(self, claim: Claim) -> int:
        try:
            return self._ports.next(claim)
        except Unavailable as error:
            raise InternalError(f"failed to allocate a nodePort: {error}") from None

    def _claim_port(self, new: Any, index: int, port: int, claim: Claim) -> None:
        def taken(why: str) -> ApiError:
            return Invalid.of("Service", "", new.metadata.name, [field.invalid(f"spec.ports[{index}].nodePort", port, why)])

        try:
            self._ports.claim(port, claim, taken)
        except Unavailable as error:
            raise taken(str(error)) from None


def addresses_of(service: Any) -> list[str]:
    """The cluster IPs that the service holds."""
    if not needs_address(service) or is_headless(service):
        return []
    return [text for text in service.spec.clusterIPs if text and text != NONE]


def normalize(new: Any, old: Any) -> None:
    """`clusterIP` and `clusterIPs[0]` say the same; who sets only one of them means both."""
    spec = new.spec
    if old is None:
        if spec.clusterIP and not spec.clusterIPs:
            spec.clusterIPs = [spec.clusterIP]
        return
    was = old.spec
    if spec.clusterIP != was.clusterIP:
        if not spec.clusterIP and spec.clusterIPs == was.clusterIPs:
            spec.clusterIPs = []
        elif spec.clusterIP and spec.clusterIPs == was.clusterIPs:
            spec.clusterIPs = [spec.clusterIP, *spec.clusterIPs[1:]]
        elif spec.clusterIP and not spec.clusterIPs:
            spec.clusterIPs = [spec.clusterIP]
    elif spec.clusterIP and not spec.clusterIPs:
        spec.clusterIPs = [spec.clusterIP]


def keep_allocated(new: Any, old: Any) -> None:
    """A client that leaves out what was given to a service keeps it."""
    spec, was = new.spec, old.spec
    if needs_address(new) and needs_address(old):
        spec.clusterIP = spec.clusterIP or was.clusterIP
        if not spec.clusterIPs and spec.clusterIP == was.clusterIP:
            spec.clusterIPs = list(was.clusterIPs)
        spec.ipFamilies = spec.ipFamilies or list(was.ipFamilies)
        spec.ipFamilyPolicy = spec.ipFamilyPolicy or was.ipFamilyPolicy
    if wants_node_ports(new) and has_node_ports(old):
        used = {port.nodePort for port in spec.ports if port.nodePort}
        for port in spec.ports:
            if port.nodePort:
                continue
            same = [one for one in was.ports if one.protocol == port.protocol and one.port == port.port and one.nodePort]
            if same and same[0].nodePort not in used:
                port.nodePort = same[0].nodePort
                used.add(port.nodePort)
    if needs_health_port(new) and needs_health_port(old) and not spec.healthCheckNodePort:
        spec.healthCheckNodePort = was.healthCheckNodePort


def _valid(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _family(text: str) -> str:
    return "IPv6" if ":" in text else "IPv4"
