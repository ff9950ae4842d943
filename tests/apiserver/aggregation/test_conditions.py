"""The condition Available without asking anybody, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.apiregistration.v1 import APIServiceStatus
from sampan.api.core.v1 import Service
from sampan.api.discovery.v1 import EndpointSlice
from sampan.api.scalars import Time
from sampan.apiserver.aggregation import conditions
from sampan.apiserver.aggregation.table import Target

TARGET = Target("kube-system", "metrics", 443)


def service(**spec: Any) -> Any:
    return codec.convert(Service, {"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"port": 443, "name": "https"}]} | spec})


def endpoints(*, ready: bool | None = True, name: str = "https", port: int | None = 8443) -> Any:
    return codec.convert(EndpointSlice, {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
                                         "ports": [{"name": name} | ({"port": port} if port else {})]})


@pytest.mark.parametrize(("there", "slices", "reason", "message"), [
    (None, [], "ServiceNotFound", 'service/metrics in "kube-system" is not present'),
    (service(ports=[{"port": 80}]), [], "ServicePortError", 'service/metrics in "kube-system" is not listening on port 443'),
    (service(), [], "EndpointsNotFound", 'cannot find endpointslices for service/metrics in "kube-system"'),
    (service(), [endpoints(ready=False)], "MissingEndpoints", 'endpointslices for service/metrics in "kube-system" have no addresses with port name "https"'),
    (service(), [endpoints(name="other")], "MissingEndpoints", 'endpointslices for service/metrics in "kube-system" have no addresses with port name "https"'),
    (service(), [endpoints(port=None)], "MissingEndpoints", 'endpointslices for service/metrics in "kube-system" have no addresses with port name "https"'),
])
def test_nobody_can_be_there(there: Any, slices: list[Any], reason: str, message: str) -> None:
    assert conditions.judge(TARGET, there, slices) == ("False", reason, message)


@pytest.mark.parametrize(("there", "slices"), [
    (service(), [endpoints(ready=False), endpoints()]), (service(), [endpoints(ready=None)]),
    (service(type="ExternalName", externalName="elsewhere", ports=[]), []),
])
def test_one_has_to_ask(there: Any, slices: list[Any]) -> None:
    assert conditions.judge(TARGET, there, slices) is None


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    # given an API server that is not there
    status = APIServiceStatus()
    conditions.put(status, conditions.failed("x"), Time("2026-01-01T00:00:00Z"))
    # when another reason is found, the time stays
    conditions.put(status, conditions.failed("y"), Time("2026-01-02T00:00:00Z"))
    assert [(one.message, one.lastTransitionTime) for one in status.conditions] == [("y", "2026-01-01T00:00:00Z")]
    assert conditions.says(status, conditions.failed("y"))
    assert not conditions.says(status, conditions.PASSED)
    # when it is there, it moves
    conditions.put(status, conditions.PASSED, Time("2026-01-03T00:00:00Z"))
    assert [(one.reason, one.lastTransitionTime) for one in status.conditions] == [("Passed", "2026-01-03T00:00:00Z")]
