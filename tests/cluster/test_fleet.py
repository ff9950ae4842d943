"""Many simulated nodes in one process: each is a node of its own to the API server and to callers of the port."""

from __future__ import annotations

from pathlib import Path

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.resources import LEASES, NODES, PODS
from sampan.apiserver.request import User
from sampan.client.base import Client
from sampan.cluster.fleet import AT_ONCE, EVENT_BURST, EVENT_RATE, Fleet, FleetSettings, OrdinaryEvents
from sampan.control.informer import Informers
from sampan.testing import waiting
from sampan.testing.server import running_server

NAMES = [f"n{number}" for number in range(AT_ONCE + 3)]


def test_every_node_registers_and_runs_its_pods(tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server, Tasks() as tasks:
            # given more nodes than register at a time
            informers = Informers(server.client, clock=clock, identity=server.identity)

            def client_for(node: str) -> Client:
                return server.client_as(User(f"system:node:{node}", groups=("system:nodes",)))
            fleet = Fleet(FleetSettings(NAMES, tmp_path, 10250, "10.244.0.0/16"), client_for, informers, watcher=server.client,
                          clock=clock, identity=server.identity)
            tasks.start(informers.run(), "informers")
            tasks.start(fleet.run(), "fleet")
            while not fleet.ready.is_set():
                await clock.turns(10)
            # when
            for number in range(6):
                pod = {"metadata": {"name": f"p{number}"}, "spec": {"nodeName": NAMES[number * 10], "containers": [{"name": "c", "image": "x"}]}}
                await server.client.create(PODS, codec.convert(PODS.wire, pod), "default")
            await clock.advance(seconds=15)
            # then
            nodes = (await server.client.list(NODES)).items
            assert {node.metadata.name for node in nodes} == set(NAMES)
            addresses = {address.address for node in nodes for address in node.status.addresses if address.type == "InternalIP"}
            assert len(addresses) == len(NAMES)
            assert all(address.startswith("127.") for address in addresses)
            assert len((await server.client.list(LEASES, "kube-node-lease")).items) == len(NAMES)
            pods = (await server.client.list(PODS, "default")).items
            assert [pod.status.phase for pod in pods] == ["Running"] * 6
            assert len({pod.status.podIP for pod in pods}) == 6
            await tasks.stop()

    waiting.run(check())


def test_ordinary_events_are_told_up_to_a_rate_and_trouble_always() -> None:
    async def check() -> None:
        clock = VirtualClock()
        # given the events of two nodes
        ordinary, told = OrdinaryEvents(clock), list[str]()
        first, second = (ordinary.pass_on(lambda _about, _kind, reason, _message: told.append(reason)) for _ in range(2))
        pod = Pod()
        # when they tell more than a burst
        for _ in range(EVENT_BURST):
            first(pod, "Normal", "Started", "")
            second(pod, "Normal", "Started", "")
        # then a burst has been told of both together, and the rest is counted
        assert (len(told), ordinary.left_out) == (EVENT_BURST, EVENT_BURST)
        # but trouble is told
        second(pod, "Warning", "BackOff", "")
        assert told[-1] == "BackOff"
        # when time goes by
        await clock.advance(2)
        for _ in range(100):
            first(pod, "Normal", "Created", "")
        # then as many are told as that time allows
        assert told.count("Created") == int(2 * EVENT_RATE)

    waiting.run(check())
