"""What a Service gets besides what it asks for: IP families, cluster IPs, node ports, a health check port.

Owns `ServiceHook`, which runs after the kind's strategy has carried over what an update leaves out, and before validation:
what can't be given out is told of first and alone. Source: kubernetes `pkg/registry/core/service/storage/alloc.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sampan.api import field
from sampan.api.core.v1 import Service
from sampan.api.errors import ApiError, FieldError, InternalError, Invalid, OtherStatus
from sampan.apiserver.allocation.addresses import Addresses, Unavailable
from sampan.apiserver.allocation.ports import Ports, ports_of
from sampan.apiserver.hooks import Claim
from sampan.kinds.core import service_validate
from sampan.kinds.core.service_questions import (
    NO_CLUSTER_IP,
    allocates_node_ports,
    needs_cluster_ip,
    needs_health_check,
    needs_node_port,
)

_POLICY = "spec.ipFamilyPolicy"
_OTHER = {"IPv4": "IPv6", "IPv6": "IPv4"}


class ServiceHook:
    """Claims for one write at a time."""

    def __init__(self, addresses: Addresses, ports: Ports) -> None:
        self._addresses, self._ports = addresses, ports

    def create(self, obj: Service, *, dry_run: bool) -> Claim:
        del dry_run
        return self._claimed(obj, None)

    def update(self, new: Service, old: Service, *, dry_run: bool) -> Claim:
        del dry_run
        return self._claimed(new, old)

    def _claimed(self, new: Service, old: Service | None) -> Claim:
        claim = Claim()
        try:
            if old is None or not _prefers_both_as_before(new, old):
                self._families(new, old)
                self._give_addresses(new, old, claim)
            self._give_ports(new, old, claim)
        except BaseException:
            claim.release()
            raise
        return claim

    def delete(self, obj: Service) -> Claim:
        claim = Claim()
        if needs_cluster_ip(obj) and not _headless(obj):
            for text in obj.spec.clusterIPs:
                self._addresses.release(text, claim)
        for port in sorted(ports_of(obj)):
            self._ports.release(port, claim)
        return claim

    # -- families -------------------------------------------------------------------------------------------------

    def _families(self, new: Service, old: Service | None) -> None:
        spec, known = new.spec, self._addresses.families
        if not needs_cluster_ip(new):
            return
        is_anywhere = spec.clusterIP == NO_CLUSTER_IP and not spec.selector  # somebody else gives it endpoints, of whatever family
        if spec.ipFamilyPolicy is None:
            before = old.spec.ipFamilyPolicy if old is not None else None
            spec.ipFamilyPolicy = before or ("RequireDualStack" if is_anywhere else "SingleStack")
        _refuse(new, service_validate.cluster_ips(new, old))
        _refuse(new, [*_reduced(new, old), *_too_many(new), *self._inferred(new)])
        if not is_anywhere:
            _refuse(new, self._unknown_families(new))
        spec.ipFamilies = spec.ipFamilies or [known[0]]
        if spec.ipFamilyPolicy != "SingleStack" and len(spec.ipFamilies) == 1 and (is_anywhere or len(known) > 1):
            spec.ipFamilies = [*spec.ipFamilies, _OTHER[spec.ipFamilies[0]]]

    def _inferred(self, service: Service) -> list[FieldError]:
        """Take families from the addresses that none is named for; those that the cluster lacks are findings."""
        spec, found = service.spec, []
        for index, text in enumerate(spec.clusterIPs):
            if text == NO_CLUSTER_IP:
                break
            family = "IPv6" if ":" in text else "IPv4"
            if index < len(spec.ipFamilies):
                continue
            if family in self._addresses.families:
                spec.ipFamilies = [*spec.ipFamilies, family]
            else:
                found.append(field.invalid(f"spec.clusterIPs[{index}]", spec.clusterIPs, f"{family} is not configured on this cluster"))
        return found

    def _unknown_families(self, service: Service) -> list[FieldError]:
        spec, known = service.spec, self._addresses.families
        found = []
        if spec.ipFamilyPolicy == "RequireDualStack" and len(known) < 2:
            found.append(field.invalid(_POLICY, spec.ipFamilyPolicy, "this cluster is not configured for dual-stack services"))
        return [*found, *(field.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
                          for index, family in enumerate(spec.ipFamilies) if family not in known)]

    # -- addresses ------------------------------------------------------------------------------------------------

    def _give_addresses(self, new: Service, old: Service | None, claim: Claim) -> None:
        if old is None or (needs_cluster_ip(new) and not needs_cluster_ip(old)):
            if needs_cluster_ip(new) and not _headless(new):
                for index in range(len(new.spec.ipFamilies)):
                    self._give_address(new, index, claim)
                new.spec.clusterIP = new.spec.clusterIPs[0]
            return
        if not needs_cluster_ip(old) or _headless(old):
            return
        now, was = new.spec, old.spec
        if not needs_cluster_ip(new):
            for text in was.clusterIPs:
                self._addresses.release(text, claim)
        elif len(was.ipFamilies) == 1 and len(now.ipFamilies) == 2:
            self._give_address(new, 1, claim)
        elif len(was.ipFamilies) == 2 and len(now.ipFamilies) == 1:
            self._addresses.release(was.clusterIPs[1], claim)

    def _give_address(self, service: Service, index: int, claim: Claim) -> None:
        """The one that is named there, or any of the family."""
        spec = service.spec
        if index == len(spec.clusterIPs):
            spec.clusterIPs = [*spec.clusterIPs, ""]
        text = spec.clusterIPs[index]
        try:
            if text:
                self._addresses.claim(text, service, claim)
            else:
                found = self._addresses.next(spec.ipFamilies[index], service, claim)
                spec.clusterIPs = [*spec.clusterIPs[:index], found, *spec.clusterIPs[index + 1:]]
        except Unavailable as error:
            if not text:
                raise InternalError(f'failed to allocate a serviceIP for Service "{service.metadata.name}": {error}') from None
            shown = field.invalid("spec.clusterIPs", spec.clusterIPs, f"failed to allocate IP {text}: {error}")
            raise Invalid.of("Service", "", service.metadata.name, [shown]) from None

    # -- ports ----------------------------------------------------------------------------------------------------

    def _give_ports(self, new: Service, old: Service | None, claim: Claim) -> None:
        before = set(_node_ports(old)) if old is not None else set()
        if needs_node_port(new):
            if old is None:
                self._first_node_ports(new, claim)
            else:
                self._changed_node_ports(new, before, claim)
            before.difference_update(_node_ports(new))
        for port in sorted(before):
            self._ports.release(port, claim)
        had = old is not None and needs_health_check(old)
        if needs_health_check(new) and not had:
            self._health_port(new, claim)
        elif old is not None and had and not needs_health_check(new):
            self._ports.release(old.spec.healthCheckNodePort, claim)

    def _first_node_ports(self, service: Service, claim: Claim) -> None:
        """Ports of one number share a node port, whatever their protocols, unless they name different ones."""
        given: dict[int, int] = {}
        ports = service.spec.ports
        for index, port in enumerate(ports):
            if not port.nodePort and not allocates_node_ports(service):
                continue
            shared = given.get(port.port, 0)
            if not shared:
                asked = next((one.nodePort for one in ports if one.port == port.port and one.nodePort), 0)
                if asked:
                    self._claim_port(service, index, asked, claim)
                port.nodePort = given[port.port] = asked or self._next_port(claim)
            elif not port.nodePort:
                port.nodePort = shared
            elif port.nodePort != shared:
                self._claim_port(service, index, port.nodePort, claim)

    def _changed_node_ports(self, service: Service, before: set[int], claim: Claim) -> None:
        known, seen = set(before), set[tuple[str, int]]()
        for index, port in enumerate(service.spec.ports):
            if not port.nodePort and not allocates_node_ports(service):
                continue
            if not port.nodePort:
                port.nodePort = self._next_port(claim)
            elif port.nodePort not in known:
                self._claim_port(service, index, port.nodePort, claim)
                known.add(port.nodePort)
            if (port.protocol, port.nodePort) in seen:
                raise OtherStatus(f"duplicate nodePort: {{{port.protocol} {port.nodePort}}}", code=500)
            seen.add((port.protocol, port.nodePort))

    def _health_port(self, service: Service, claim: Claim) -> None:
        wanted = service.spec.healthCheckNodePort

        def taken(why: str) -> ApiError:
            return InternalError(f"failed to allocate requested HealthCheck NodePort {wanted}: {why}")

        try:
            if wanted:
                self._ports.claim(wanted, claim, taken)
            else:
                service.spec.healthCheckNodePort = self._ports.next(claim)
        except Unavailable as error:
            if wanted:
                raise taken(str(error)) from None
            raise InternalError(f"failed to allocate a HealthCheck NodePort {wanted}: {error}") from None

    def _next_port(self, claim: Claim) -> int:
        try:
            return self._ports.next(claim)
        except Unavailable as error:
            raise InternalError(f"failed to allocate a nodePort: {error}") from None

    def _claim_port(self, service: Service, index: int, port: int, claim: Claim) -> None:
        def taken(why: str) -> ApiError:
            return Invalid.of("Service", "", service.metadata.name, [field.invalid(f"spec.ports[{index}].nodePort", port, why)])

        try:
            self._ports.claim(port, claim, taken)
        except Unavailable as error:
            raise taken(str(error)) from None


def _refuse(service: Service, found: list[FieldError]) -> None:
    if found:
        raise Invalid.of("Service", "", service.metadata.name, found)


def _reduced(new: Service, old: Service | None) -> Iterable[FieldError]:
    """Only SingleStack lets go of the second address and family."""
    policy = new.spec.ipFamilyPolicy
    if old is None or policy == "SingleStack":
        return
    for name, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        if 0 < len(getattr(new.spec, name)) < len(getattr(old.spec, name)):
            yield field.invalid(_POLICY, policy, f"must be 'SingleStack' to release the secondary {what}")


def _too_many(service: Service) -> Iterable[FieldError]:
    spec = service.spec
    for count, what in ((len(spec.clusterIPs), "cluster IPs"), (len(spec.ipFamilies), "IP families")):
        if spec.ipFamilyPolicy == "SingleStack" and count == 2:
            yield field.invalid(_POLICY, spec.ipFamilyPolicy,
                                f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified")


def _prefers_both_as_before(new: Service, old: Service) -> bool:
    """A service that prefers two families keeps what it has, whatever the cluster has by now."""
    now, was = new.spec, old.spec
    return (now.type == was.type in ("ClusterIP", "NodePort", "LoadBalancer")
            and now.ipFamilyPolicy == "PreferDualStack" and was.ipFamilyPolicy in (None, "PreferDualStack")
            and now.clusterIPs == was.clusterIPs and now.ipFamilies == was.ipFamilies)


def _headless(service: Service) -> bool:
    return service.spec.clusterIPs[:1] == [NO_CLUSTER_IP]


def _node_ports(service: Service) -> list[int]:
    return [port.nodePort for port in service.spec.ports if port.nodePort]
