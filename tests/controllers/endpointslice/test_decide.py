"""How endpoints are spread over slices, as transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.api.core.v1 import Container, ContainerPort, Node, Pod, PodCondition, PodIP, Service, ServicePort
from sampan.api.discovery.v1 import EndpointSlice
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.controllers.endpointslice.decide import decide
from sampan.kinds.plan import Create, Delete, Update
from sampan.testing.datadriven import Block, run, transcripts


class Play:
    def __init__(self) -> None:
        self.service, self.pods, self.slices, self.made = Service(), list[Pod](), list[EndpointSlice](), 0

    def handle(self, block: Block) -> str:
        return str(getattr(self, block.name.replace("-", "_"))(block))

    def given_service(self, block: Block) -> str:
        self.service = Service(metadata=ObjectMeta(name="web", namespace="default", uid="s", labels=dict(block.args) if block.flag("labelled") else {}))
        spec = self.service.spec
        spec.ports = [ServicePort(name=name, port=80, protocol="TCP", targetPort=int(port) if port.isdigit() else port)
                      for name, port in (word.split(":") for word in block.words if ":" in word)]
        spec.selector, spec.clusterIP, spec.ipFamilies = {"app": "web"}, "None" if block.flag("headless") else "10.0.0.1", ["IPv4"]
        spec.publishNotReadyAddresses = block.flag("publish")
        spec.trafficDistribution = "PreferSameZone" if block.flag("zones") else None
        return "ok"

    def pods_are(self, block: Block) -> str:
        """Lines of `name ip ready|waiting|going [http=PORT]`; `web 1..30` makes many."""
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
        pod = Pod(metadata=ObjectMeta(name=name, namespace="default", uid=name))
        pod.spec.nodeName = "n1"
        pod.spec.containers = [Container(name="c", ports=[ContainerPort(name=word.split("=")[0], containerPort=int(word.split("=")[1]), protocol="TCP") for word in ports])]
        pod.status.podIP, pod.status.podIPs, pod.status.phase = ip, [PodIP(ip=ip)], "Running"
        pod.status.conditions = [PodCondition(type="Ready", status="False" if state == "waiting" else "True")]
        if state == "going":
            pod.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
        return pod

    def step(self, _: Block) -> str:
        node = Node(metadata=ObjectMeta(name="n1", labels={"topology.kubernetes.io/zone": "z1"}))
        plan = decide(self.service, self.pods, {"n1": node}, self.slices, 10)
        lines = []
        for write in plan.writes:
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
        return "\n".join(lines) or "nothing"

    @staticmethod
    def shown(one: EndpointSlice) -> str:
        ports = ",".join(f"{port.name}:{port.port}" for port in one.ports or ()) or "no ports"
        if len(one.endpoints or ()) > 3:
            return f"[{ports}] {len(one.endpoints or ())} endpoints"
        found = []
        for endpoint in one.endpoints or ():
            marks = endpoint.conditions
            states = [name for name in ("ready", "serving", "terminating") if getattr(marks, name)]
            zones = [zone.name for zone in endpoint.hints.forZones] if endpoint.hints else []
            found.append(f"{(endpoint.addresses or ['?'])[0]}({'+'.join(states)}{' for ' + ','.join(zones) if zones else ''})")
        return f"[{ports}] {' '.join(found) or 'empty'}"


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)
