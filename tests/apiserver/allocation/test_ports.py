"""Node ports, told from what is stored."""

from __future__ import annotations

from sampan.api import codec
from sampan.api.core.v1 import Service
from sampan.apiserver.allocation.ports import ports_of


def test_the_health_check_port_counts_too() -> None:
    service = codec.convert(Service, {"spec": {"ports": [{"port": 1, "nodePort": 30001}, {"port": 2}], "healthCheckNodePort": 30002}})
    assert ports_of(service) == {30001, 30002}
