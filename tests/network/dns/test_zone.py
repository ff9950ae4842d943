"""Names of Services, endpoints and pods, as the Kubernetes DNS specification has them."""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import Service, ServicePort, ServiceSpec
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from sampan.api.meta.v1 import ObjectMeta
from sampan.network.dns.zone import Directory, Zone


def service(name: str, **spec: Any) -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace="shop"), spec=ServiceSpec(**spec))


HTTP = ServicePort(name="http", port=80, protocol="TCP")
SERVICES = {
    "web": service("web", clusterIP="10.96.0.5", clusterIPs=["10.96.0.5", "fd00::5"], ports=[HTTP]),
    "db": service("db", clusterIP="None", ports=[HTTP]),
    "empty": service("empty", clusterIP="None", ports=[HTTP]),
    "out": service("out", type="ExternalName", externalName="example.com"),
}
SLICE = EndpointSlice(
    metadata=ObjectMeta(namespace="shop", labels={"kubernetes.io/service-name": "db"}), addressType="IPv4",
    ports=[EndpointPort(name="http", port=8080, protocol="TCP")],
    endpoints=[Endpoint(addresses=["10.244.0.2"], hostname="db-0", conditions=EndpointConditions(ready=True)),
               Endpoint(addresses=["10.244.0.3"], conditions=EndpointConditions(ready=True)),
               Endpoint(addresses=["10.244.0.4"], conditions=EndpointConditions(ready=False))])
ZONE = Zone("cluster.local", Directory(
    service=lambda namespace, name: SERVICES.get(name) if namespace == "shop" else None,
    slices=lambda _namespace, name: [SLICE] if name == "db" else [],
    namespace=lambda name: name == "shop",
    services_at=lambda ip: [SERVICES["web"]] if ip == "10.96.0.5" else [],
    slices_at=lambda ip: [SLICE] if ip.startswith("10.244.0.") else [],
), own_address="10.244.0.1")


def ask(name: str, kind: str = "A") -> Any:
    answer = ZONE.answer(name, kind)
    if answer is None:
        return None
    return [record.value for record in answer.records] if answer.exists else "NXDOMAIN"


def test_a_service_has_its_addresses_by_family() -> None:
    assert ask("web.shop.svc.cluster.local") == ["10.96.0.5"]
    assert ask("web.shop.svc.cluster.local", "AAAA") == ["fd00::5"]
    assert ask("web.shop.svc.cluster.local", "TXT") == []


def test_a_headless_service_has_its_ready_endpoints_and_their_names() -> None:
    assert ask("db.shop.svc.cluster.local") == ["10.244.0.2", "10.244.0.3"]
    assert ask("db-0.db.shop.svc.cluster.local") == ["10.244.0.2"]
    assert ask("10-244-0-3.db.shop.svc.cluster.local") == ["10.244.0.3"]
    assert ask("empty.shop.svc.cluster.local") == "NXDOMAIN"


def test_srv_records_lead_to_names_with_addresses_beside_them() -> None:
    assert ask("_http._tcp.web.shop.svc.cluster.local", "SRV") == [(0, 100, 80, "web.shop.svc.cluster.local")]
    answer = ZONE.answer("_http._tcp.db.shop.svc.cluster.local", "SRV")
    assert answer is not None
    assert [r.value for r in answer.records] == [(0, 50, 8080, "db-0.db.shop.svc.cluster.local"), (0, 50, 8080, "10-244-0-3.db.shop.svc.cluster.local")]
    assert [r.value for r in answer.additional] == ["10.244.0.2", "10.244.0.3"]
    assert ask("_nothing._tcp.web.shop.svc.cluster.local", "SRV") == "NXDOMAIN"


def test_an_external_name_is_a_cname_for_every_question() -> None:
    assert ask("out.shop.svc.cluster.local") == ["example.com"]


def test_pods_are_named_by_their_address() -> None:
    assert ask("10-244-0-9.shop.pod.cluster.local") == ["10.244.0.9"]
    assert ask("10-244-0-9.nowhere.pod.cluster.local") == "NXDOMAIN"
    assert ask("word.shop.pod.cluster.local") == "NXDOMAIN"


def test_reverse_names() -> None:
    assert ask("5.0.96.10.in-addr.arpa", "PTR") == ["web.shop.svc.cluster.local"]
    assert ask("2.0.244.10.in-addr.arpa", "PTR") == ["db-0.db.shop.svc.cluster.local"]
    assert ask("1.2.0.192.in-addr.arpa", "PTR") is None


def test_what_is_not_ours_is_somebody_elses() -> None:
    assert ask("example.com") is None
    assert ask("nothing.shop.svc.cluster.local") == "NXDOMAIN"
    assert ask("shop.svc.cluster.local") == []
    assert ask("dns-version.cluster.local", "TXT") == ["1.1.0"]
