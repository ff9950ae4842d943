"""How endpoints are spread over slices, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.api.core.v1 import (
    Container,
    ContainerPort,
    Node,
    NodeCondition,
    Pod,
    PodCondition,
    PodIP,
    Service,
    ServicePort,
)
from sampan.api.discovery.v1 import Endpoint, EndpointSlice
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.scalars import Quantity, Time
from sampan.controllers.endpointslice.decide import decide
from sampan.controllers.endpointslice.hints import Topology
from sampan.kinds.plan import Create, Delete, Update
from sampan.testing.datadriven import Block, run, transcripts


class Play:
    def __init__(self) -> None:
        self.service, self.pods, self.slices, self.made = Service(), list[Pod](), list[EndpointSlice](), 0
        self.topology, self.nodes = Topology(), {"n1": node("n1", "z1")}

    def handle(self, block: Block) -> str:
        return str(getattr(self, block.name.replace("-", "_"))(block))

    def given_service(self, block: Block) -> str:
        labels = {name.removeprefix("label:"): value for name, value in block.args.items() if name.startswith("label:")}
        self.service = Service(metadata=ObjectMeta(name="web", namespace="default", uid=block.args.get("uid", "s"), labels=labels))
        if "mode" in block.args:
            self.service.metadata.annotations["service.kubernetes.io/topology-mode"] = block.args["mode"]
        if block.flag("leaving"):
            self.service.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
        spec = self.service.spec
        spec.ports = [ServicePort(name=name, port=80, protocol="TCP", targetPort=int(port) if port.isdigit() else port)
                      for name, port in (word.split(":") for word in block.words if ":" in word)]
        spec.selector, spec.clusterIP, spec.ipFamilies = {"app": "web"}, "None" if block.flag("headless") else "10.0.0.1", ["IPv4"]
        spec.publishNotReadyAddresses = block.flag("publish")
        spec.trafficDistribution = block.args.get("policy")
        return "ok"

    def nodes_are(self, block: Block) -> str:
        """Lines of `name [zone] [cpu=N] [unready] [role]`."""
        self.nodes = {}
        for text in block.input.splitlines():
            name, *rest = text.split()
            facts = dict(word.partition("=")[::2] for word in rest)
            zone = next((word for word in rest if "=" not in word and word not in ("unready", "role")), "")
            self.nodes[name] = node(name, zone, facts.get("cpu", "4"), ready="unready" not in rest)
            if "role" in rest:
                self.nodes[name].metadata.labels["node-role.kubernetes.io/control-plane"] = ""
        self.topology.learn(self.nodes.values())
        return " ".join(map(str, self.topology.overloaded())) or "nobody is overloaded"

    def a_slice(self, block: Block) -> str:
        """`a-slice NAME [owner=UID] [family=IPv6] [leaving] [ip=IP]`: one that somebody made."""
        meta = ObjectMeta(name=block.words[0], namespace="default", annotations={"note": "kept"}, labels={
            "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "extra": "x"})
        if "owner" in block.args:
            meta.ownerReferences = [OwnerReference(apiVersion="v1", kind="Service", name="web", uid=block.args["owner"])]
        if block.flag("leaving"):
            meta.deletionTimestamp = Time("2026-01-01T00:00:00Z")
        endpoints = [Endpoint(addresses=[block.args["ip"]])] if "ip" in block.args else None
        self.slices.append(EndpointSlice(metadata=meta, addressType=block.args.get("family", "IPv4"), endpoints=endpoints))
        return "ok"

    def pods_are(self, block: Block) -> str:
        """Lines of `name[@node] ip ready|waiting|going [http=PORT]`; `web 1..30` makes many; `@` alone is no node."""
        self.pods = []
        for text in block.input.splitlines():
            name, ip, state, *ports = text.split()
            if ".." in ip:
                first, last = map(int, ip.split(".."))
                self.pods += [self.pod(f"{name}{number}", f"10.1.0.{number}", state, []) for number in range(first, last + 1)]
            else:
                self.pods.append(self.pod(name, ip, state, ports))
        return self.step(block)

    @staticmethod
    def pod(name: str, ip: str, state: str, ports: list[str]) -> Pod:
        name, at, where = name.partition("@")
        pod = Pod(metadata=ObjectMeta(name=name, namespace="default", uid=name))
        pod.spec.nodeName = where if at else "n1"
        pod.spec.containers = [Container(name="c", ports=[ContainerPort(name=word.split("=")[0], containerPort=int(word.split("=")[1]), protocol="TCP") for word in ports])]
        pod.status.podIP, pod.status.podIPs, pod.status.phase = ip, [PodIP(ip=ip)], "Running"
        pod.status.conditions = [PodCondition(type="Ready", status="False" if state == "waiting" else "True")]
        if state == "going":
            pod.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
        return pod

    def step(self, _: Block) -> str:
        decision = decide(self.service, self.pods, self.nodes, self.slices, 10, topology=self.topology)
        lines = []
        for write in decision.plan.writes:
            if isinstance(write, Delete):
                lines.append(f"delete {write.name}")
                self.slices = [one for one in self.slices if one.metadata.name != write.name]
                continue
            assert isinstance(write, Create | Update)
            one: EndpointSlice = write.object
            if isinstance(write, Create):
                self.made += 1
                one.metadata.name = f"web-{self.made}"
            self.slices = [old for old in self.slices if old.metadata.name != one.metadata.name] + [one]
            lines.append(f"{type(write).__name__.lower()} {one.metadata.name} {self.shown(one)}")
        lines += [f"event {event.kind} {event.reason}: {event.message}" for event in decision.plan.events]
        lines += [f"missing: {text}" for text in decision.missing]
        return "\n".join(lines) or "nothing"

    @staticmethod
    def shown(one: EndpointSlice) -> str:
        ports = ",".join(f"{port.name}:{port.port}" for port in one.ports or ()) or "no ports"
        if len(one.endpoints or ()) > 4:
            return f"[{ports}] {len(one.endpoints or ())} endpoints"
        found = []
        for endpoint in one.endpoints or ():
            marks = endpoint.conditions
            states = [name for name in ("ready", "serving", "terminating") if getattr(marks, name)]
            meant = [zone.name for zone in endpoint.hints.forZones] + [one.name for one in endpoint.hints.forNodes] if endpoint.hints else []
            found.append(f"{(endpoint.addresses or ['?'])[0]}({'+'.join(states)}{' for ' + ','.join(meant) if meant else ''})")
        labels = {key: value for key, value in one.metadata.labels.items() if not key.endswith(("/service-name", "/managed-by"))}
        more = f" labels {labels}" if labels else ""
        return f"[{ports}] {' '.join(found) or 'empty'}{more}" + (" annotated" if one.metadata.annotations else "")


def node(name: str, zone: str = "", cpu: str = "4", *, ready: bool = True) -> Node:
    one = Node(metadata=ObjectMeta(name=name, labels={"topology.kubernetes.io/zone": zone} if zone else {}))
    one.status.allocatable, one.status.conditions = {"cpu": Quantity(cpu)}, [NodeCondition(type="Ready", status=str(ready))]
    return one


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)
