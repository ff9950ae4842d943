"""What the cluster's names mean: Services, endpoints and pods as DNS records. Pure.

Source: the Kubernetes DNS specification 1.1.0; CoreDNS `plugin/kubernetes` for what the specification leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, NamedTuple

from sampan.api.core.v1 import Service
from sampan.api.discovery.v1 import Endpoint, EndpointSlice

RecordType = Literal["A", "AAAA", "SRV", "CNAME", "TXT", "PTR", "NS", "SOA"]


class Record(NamedTuple):
    """One record; `value` is an address, a name, a text, or for SRV "weight priority port target" as a tuple."""

    name: str
    type: RecordType
    value: str | tuple[int, int, int, str]


class Answer(NamedTuple):
    """`exists` is false for a name that is not there (NXDOMAIN); `additional` has the addresses of SRV targets."""

    exists: bool
    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Directory:
    """Where the zone looks things up, each by index."""

    service: Callable[[str, str], Service | None]  # namespace, name
    slices: Callable[[str, str], Iterable[EndpointSlice]]  # of that Service
    namespace: Callable[[str], bool]
    services_at: Callable[[str], Iterable[Service]]  # by cluster IP
    slices_at: Callable[[str], Iterable[EndpointSlice]]  # by endpoint address


NOT_FOUND = Answer(False)
EMPTY = Answer(True)


def _kind(address: str) -> Literal["A", "AAAA"]:
    return "AAAA" if ":" in address else "A"


def _dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


class Zone:
    """Answers for one cluster domain and for the reverse of its addresses."""

    def __init__(self, domain: str, directory: Directory, own_address: str = "") -> None:
        self.domain, self._directory, self._own = domain.strip(".").lower(), directory, own_address

    def covers(self, name: str) -> bool:
        """Whether this zone, and nobody else, answers for the name."""
        return name == self.domain or name.endswith(f".{self.domain}")

    def answer(self, name: str, kind: str) -> Answer | None:
        """The answer to one question (`name` in lower case, without the last dot); None: ask somebody else."""
        if name.endswith((".in-addr.arpa", ".ip6.arpa")):
            return self._reverse(name)
        if not self.covers(name):
            return None
        labels = name.removesuffix(self.domain).rstrip(".").split(".") if name != self.domain else []
        return _of_kind(self._forward(name, labels), kind)

    def _forward(self, name: str, labels: list[str]) -> Answer:
        if not labels:
            return Answer(True, (Record(name, "NS", f"ns.dns.{self.domain}"), Record(name, "SOA", f"ns.dns.{self.domain}")))
        if labels == ["dns-version"]:
            return Answer(True, (Record(name, "TXT", "1.1.0"),))
        if labels == ["ns", "dns"]:
            return Answer(True, (Record(name, _kind(self._own), self._own),) if self._own else ())
        if labels[-1] == "svc":
            return self._service(name, labels[:-1])
        if labels[-1] == "pod":
            return self._pod(name, labels[:-1])
        return EMPTY if labels == ["dns"] else NOT_FOUND

    def _pod(self, name: str, labels: list[str]) -> Answer:
        if not labels:
            return EMPTY
        if not self._directory.namespace(labels[-1]):
            return NOT_FOUND
        if len(labels) == 1:
            return EMPTY
        if len(labels) != 2:
            return NOT_FOUND
        for text in (labels[0].replace("-", "."), labels[0].replace("-", ":")):
            try:
                address = str(ip_address(text))
            except ValueError:
                continue
            return Answer(True, (Record(name, _kind(address), address),))
        return NOT_FOUND

    def _service(self, name: str, labels: list[str]) -> Answer:
        if not labels:
            return EMPTY
        if not self._directory.namespace(labels[-1]):
            return NOT_FOUND
        if len(labels) == 1:
            return EMPTY
        namespace, service_name, rest = labels[-1], labels[-2], labels[:-2]
        service = self._directory.service(namespace, service_name)
        if service is None:
            return NOT_FOUND
        if service.spec.type == "ExternalName":
            return Answer(True, (Record(name, "CNAME", service.spec.externalName.rstrip(".")),)) if not rest else NOT_FOUND
        headless = service.spec.clusterIP == "None"
        if not rest:
            addresses = self._addresses(service, headless)
            records = tuple(Record(name, _kind(a), a) for a in addresses)
            # a headless Service without endpoints does not exist for DNS
            return Answer(bool(records) or not headless, records + self._srv_all(name, service, headless))
        if rest[-1].startswith("_") and len(rest) <= 2:
            return self._srv(name, service, headless, port=rest[0] if len(rest) == 2 else "", protocol=rest[-1])
        if len(rest) == 1 and headless:
            found = tuple(Record(name, _kind(a), a) for host, a, _ in self._endpoints(service) if host == rest[0])
            return Answer(bool(found), found)
        return NOT_FOUND

    def _addresses(self, service: Service, headless: bool) -> list[str]:
        if headless:
            return list(dict.fromkeys(address for _, address, _ in self._endpoints(service)))
        return list(service.spec.clusterIPs) or [service.spec.clusterIP]

    def _endpoints(self, service: Service) -> Iterator[tuple[str, str, EndpointSlice]]:
        """(host name, address, slice) of each endpoint that may be published."""
        meta = service.metadata
        for entry in self._directory.slices(meta.namespace, meta.name):
            if entry.addressType == "FQDN":
                continue
            for endpoint in entry.endpoints or ():
                if endpoint.conditions.ready is False and not service.spec.publishNotReadyAddresses:
                    continue
                for address in endpoint.addresses or ():
                    yield endpoint_name(endpoint, address), address, entry

    def _srv_all(self, name: str, service: Service, headless: bool) -> tuple[Record, ...]:
        base = name
        return tuple(record for record in self._srv_records(name, base, service, headless, None, None)[0])

    def _srv(self, name: str, service: Service, headless: bool, *, port: str, protocol: str) -> Answer:
        meta = service.metadata
        base = f"{meta.name}.{meta.namespace}.svc.{self.domain}"
        wanted = port[1:] if port.startswith("_") else None
        if port and wanted is None:
            return NOT_FOUND
        records, additional = self._srv_records(name, base, service, headless, wanted, protocol[1:])
        return Answer(bool(records), records, additional)

    def _srv_records(self, name: str, base: str, service: Service, headless: bool, port: str | None,
                     protocol: str | None) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        found: list[tuple[int, str, str]] = []  # port, target, address
        if headless:
            for host, address, entry in self._endpoints(service):
                found += [(p.port, f"{host}.{base}", address) for p in entry.ports or ()
                          if p.port is not None and _matches(p.name or "", p.protocol or "TCP", port, protocol)]
        else:
            for address in service.spec.clusterIPs or [service.spec.clusterIP]:
                found += [(p.port, base, address) for p in service.spec.ports
                          if _matches(p.name, p.protocol or "TCP", port, protocol)]
        targets = list(dict.fromkeys((number, target) for number, target, _ in found))
        weight = max(1, 100 // len(targets)) if targets else 100
        records = tuple(Record(name, "SRV", (0, weight, number, target)) for number, target in targets)
        additional = tuple(dict.fromkeys(Record(target, _kind(address), address) for _, target, address in found))
        return records, additional

    def _reverse(self, name: str) -> Answer | None:
        address = _address_of(name)
        if address is None:
            return None
        for service in self._directory.services_at(address):
            target = f"{service.metadata.name}.{service.metadata.namespace}.svc.{self.domain}"
            return Answer(True, (Record(name, "PTR", target),))
        names = []
        for entry in self._directory.slices_at(address):
            service_name = entry.metadata.labels.get("kubernetes.io/service-name", "")
            service_found = self._directory.service(entry.metadata.namespace, service_name) if service_name else None
            if service_found is None or service_found.spec.clusterIP != "None":
                continue
            names += [f"{endpoint_name(e, address)}.{service_name}.{entry.metadata.namespace}.svc.{self.domain}"
                      for e in entry.endpoints or () if address in (e.addresses or ())]
        return Answer(True, tuple(Record(name, "PTR", target) for target in dict.fromkeys(names))) if names else None


def _matches(name: str, protocol: str, port: str | None, wanted_protocol: str | None) -> bool:
    return (port is None or name.lower() == port) and (wanted_protocol is None or protocol.lower() == wanted_protocol)


def endpoint_name(endpoint: Endpoint, address: str) -> str:
    """The label an endpoint has below its Service: its host name, or its address with dashes."""
    return (endpoint.hostname or _dashed(address)).lower()


def _of_kind(answer: Answer, kind: str) -> Answer:
    if not answer.exists:
        return answer
    records = tuple(r for r in answer.records if kind == "ANY" or r.type in (kind, "CNAME"))
    return Answer(True, records, answer.additional if kind in ("SRV", "ANY") else ())


def _address_of(name: str) -> str | None:
    """The address that a reverse name stands for."""
    if name.endswith(".in-addr.arpa"):
        text = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
    else:
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        text = ":".join(digits[i : i + 4] for i in range(0, len(digits), 4))
    try:
        return str(ip_address(text))
    except ValueError:
        return None
