"""Kinds in two versions."""

from __future__ import annotations

from api_asking import Asker, with_server
from sampan.api import codec
from sampan.api.resources import HORIZONTAL_POD_AUTOSCALERS
from sampan.apiserver.conversion import BEHAVIOR, METRICS, hpa_inward, hpa_outward

CORE = "/api/v1/namespaces/default/events"
NEW = "/apis/events.k8s.io/v1/namespaces/default/events"


def test_an_event_is_one_object_under_two_names() -> None:
    async def test(asker: Asker) -> None:
        body = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
                "message": "text", "reason": "Why", "type": "Normal"}
        made = await asker.must("POST", CORE, body)
        seen = await asker.must("GET", f"{NEW}/e")
        assert (seen["apiVersion"], seen["note"], seen["regarding"]["name"]) == ("events.k8s.io/v1", "text", "p")
        assert seen["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert [item["note"] for item in (await asker.must("GET", NEW))["items"]] == ["text"]

    with_server(test)


def test_what_the_old_version_cannot_say_survives_in_annotations() -> None:
    memory = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 60}}}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    value = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": {"name": "h", "annotations": {"own": "x"}},
             "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "metrics": [cpu, memory],
                      "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}}
    new = codec.convert(HORIZONTAL_POD_AUTOSCALERS.wire, value)
    old = hpa_outward(new)
    assert old.spec.targetCPUUtilizationPercentage == 80
    assert set(old.metadata.annotations) == {"own", METRICS, BEHAVIOR}
    assert hpa_inward(old) == new
