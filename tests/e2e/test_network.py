"""Services and names on the real network: pods, the node, the kernel's rules and the cluster's DNS."""

from __future__ import annotations

import socket
import subprocess
import urllib.request

import dnslib
import pytest

from e2e.real import Space, pod, service, web
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = pytest.mark.e2e


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return answer.read().decode().strip()


def _ask(server: str, name: str, kind: str) -> dnslib.DNSRecord:
    return dnslib.DNSRecord.parse(dnslib.DNSRecord.question(name, kind).send(server, 53, timeout=PATIENCE_SECONDS))


def test_a_service_is_reached_by_every_way(space: Space) -> None:
    # given
    space.run(web("page"), service("page", "page", type="NodePort"), pod("caller"))
    found = until_true(lambda: space.get("service", "page"), "the service")
    ip, port = found["spec"]["clusterIP"], found["spec"]["ports"][0]["nodePort"]
    host = space.get("pod", "page")["status"]["hostIP"]
    # then from the machine and from a pod
    until_true(lambda: space.kubectl("exec", "caller", "--", "wget", "-q", "-O", "-", "http://page/", check=False).stdout == "hello\n", "the page by name")
    assert _page(f"http://{ip}/") == "hello"
    assert _page(f"http://{host}:{port}/") == "hello"
    for url in (f"http://{ip}/", f"http://page.{space.name}/", f"http://page.{space.name}.svc.cluster.local/", f"http://{host}:{port}/"):
        assert space.exec("caller", "wget", "-q", "-O", "-", url) == "hello\n", url
    # and a pod reaches itself through its own Service
    assert space.exec("page", "wget", "-q", "-O", "-", f"http://{ip}/") == "hello\n"


def test_session_affinity_keeps_to_one_pod(space: Space) -> None:
    space.run(web("a", "a", labels={"app": "same"}), web("b", "b", labels={"app": "same"}),
              service("sticky", "same", sessionAffinity="ClientIP"), service("free", "same"), pod("caller"))
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do wget -q -O - http://{}/; done"
    until_true(lambda: set(space.sh("caller", script.format("free"), check=False).split()) == {"a", "b"}, "both serve")
    assert len(set(space.sh("caller", script.format("sticky")).split())) == 1


def test_a_service_without_pods_refuses(space: Space) -> None:
    # given
    space.apply(service("nobody", "nobody"))
    ip = space.get("service", "nobody")["spec"]["clusterIP"]

    def refused() -> bool:
        with socket.socket() as one:
            one.settimeout(2)
            return one.connect_ex((ip, 80)) == 111
    # then, as soon as the proxy has it
    until_true(refused, "the connection is refused")


def test_names_of_services_without_an_address_lead_to_pods(space: Space) -> None:
    # given
    first, second, _ = space.run(web("one", labels={"app": "set"}), web("two", labels={"app": "set"}),
                                 service("set", "set", clusterIP="None"), pod("named", hostname="host", subdomain="set"),
                                 service("elsewhere", "x", type="ExternalName", externalName="example.org"))
    dns = space.cluster.config.dns_ip
    addresses = {first["status"]["podIP"], second["status"]["podIP"]}
    name = f"set.{space.name}.svc.cluster.local"
    # then A, SRV, CNAME, and pods by their address
    until_true(lambda: {str(record.rdata) for record in _ask(dns, name, "A").rr} == addresses, "both addresses")
    services = _ask(dns, f"_http._tcp.{name}", "SRV")
    assert {record.rdata.port for record in services.rr if record.rtype == dnslib.QTYPE.SRV} == {8080}
    assert str(_ask(dns, f"elsewhere.{space.name}.svc.cluster.local", "CNAME").rr[0].rdata) == "example.org."
    dashed = first["status"]["podIP"].replace(".", "-")
    assert str(_ask(dns, f"{dashed}.{space.name}.pod.cluster.local", "A").rr[0].rdata) == first["status"]["podIP"]
    assert _ask(dns, f"nosuch.{space.name}.svc.cluster.local", "A").header.rcode == dnslib.RCODE.NXDOMAIN
    assert first["status"]["podIP"] in space.exec("named", "nslookup", name)


def test_a_pod_has_the_names_of_its_spec(space: Space) -> None:
    space.run(pod("named", hostname="host", subdomain="set", hostAliases=[{"ip": "192.0.2.77", "hostnames": ["alias"]}],
                  dnsConfig={"options": [{"name": "timeout", "value": "3"}], "searches": ["extra.example"]}))
    assert space.exec("named", "hostname").strip() == "host"
    hosts = space.exec("named", "cat", "/etc/hosts")
    assert f"host.set.{space.name}.svc.cluster.local\thost" in hosts
    assert "192.0.2.77\talias" in hosts
    resolv = space.exec("named", "cat", "/etc/resolv.conf").splitlines()
    assert f"nameserver {space.cluster.config.dns_ip}" in resolv
    assert f"search {space.name}.svc.cluster.local svc.cluster.local cluster.local" in " ".join(resolv)
    assert "extra.example" in " ".join(resolv)


def test_pods_reach_each_other_and_the_machine_with_their_own_addresses(space: Space) -> None:
    found, _ = space.run(web("target"), pod("source"))
    source = space.get("pod", "source")["status"]["podIP"]
    assert space.exec("source", "wget", "-q", "-O", "-", f"http://{found['status']['podIP']}:8080/") == "hello\n"
    listening = socket.create_server(("0.0.0.0", 0))
    listening.settimeout(10)
    caller = space.cluster.start_kubectl("-n", space.name, "exec", "source", "--", "nc", found["status"]["hostIP"], str(listening.getsockname()[1]))
    connection, peer = listening.accept()
    connection.close()
    listening.close()
    caller.communicate(timeout=PATIENCE_SECONDS)
    assert peer[0] == source


def test_traffic_to_an_unused_address_of_a_range_never_leaves_the_machine(space: Space) -> None:
    number = space.cluster.config.index
    for address in (f"10.{96 + number}.255.250", f"10.{244 + number}.77.7"):
        said = subprocess.run(["ip", "route", "get", address], capture_output=True, text=True, check=False)
        assert "default" not in said.stdout
        assert " via " not in said.stdout, said.stdout
