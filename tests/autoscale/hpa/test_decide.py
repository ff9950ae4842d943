"""What autoscalers decide, as transcripts. Numbers follow upstream's documentation (algorithm details, behavior)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.autoscaling.v1 import Scale
from sampan.api.autoscaling.v2 import HorizontalPodAutoscaler
from sampan.api.core.v1 import Pod
from sampan.api.quantity import milli
from sampan.api.scalars import Time
from sampan.autoscale.hpa.behavior import History
from sampan.autoscale.hpa.decide import Sampled, Seen, Settings, asks_metrics, decide, rescaled, without_scale
from sampan.autoscale.hpa.measure import Sample, Unmeasured
from sampan.testing.datadriven import Block, run, transcripts

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def metric(text: str) -> dict[str, Any]:
    """`cpu:50%`, `cpu:500m`, `c/cpu:50%` (container), `pods/qps:10`, `object/Ingress/qps:10` (`~10` a pod), `external/jobs:10` (`~10`)."""
    what, wanted = text.rsplit(":", 1)
    kind, _, name = what.partition("/")
    if kind in ("pods", "external", "object"):
        amount = wanted.removeprefix("~")
        target: dict[str, Any] = {"type": "Value", "value": amount} if amount == wanted and kind != "pods" else {"type": "AverageValue", "averageValue": amount}
        source: dict[str, Any] = {"metric": {"name": name.rpartition("/")[2]}, "target": target}
        if kind == "object":
            source["describedObject"] = {"kind": name.partition("/")[0], "name": "main", "apiVersion": "networking.k8s.io/v1"}
        return {"type": kind.capitalize(), kind: source}
    target = {"type": "Utilization", "averageUtilization": int(wanted[:-1])} if wanted.endswith("%") else {"type": "AverageValue", "averageValue": wanted}
    if name:
        return {"type": "ContainerResource", "containerResource": {"name": name, "container": kind, "target": target}}
    return {"type": "Resource", "resource": {"name": kind, "target": target}}


def rules(words: str) -> dict[str, Any]:
    """`window=300 select=Min pods=4/60 percent=10/60 tolerance=0.05`."""
    out: dict[str, Any] = {"policies": [], "selectPolicy": "Max"}
    for word in words.split():
        key, value = word.split("=")
        if key in ("pods", "percent"):
            amount, period = value.split("/")
            out["policies"].append({"type": key.capitalize(), "value": int(amount), "periodSeconds": int(period)})
        else:
            name: Any = {"window": "stabilizationWindowSeconds", "select": "selectPolicy"}.get(key, key)
            out[name] = int(value) if key == "window" else value
    return out


class Play:
    def __init__(self) -> None:
        self.now, self.history = START, History()
        self.hpa = HorizontalPodAutoscaler()
        self.scale, self.pods = Scale(), list[Pod]()
        self.sampled: list[Sampled] = []
        self.unselected: tuple[str, str] | None = None

    def handle(self, block: Block) -> str:
        return getattr(self, block.name)(block)  # type: ignore[no-any-return]

    def hpa_(self, block: Block) -> dict[str, Any]:
        spec: dict[str, Any] = {"minReplicas": block.number("min", 1), "maxReplicas": block.number("max", 10),
                                "metrics": [metric(text) for text in block.get("metrics", "cpu:50%").split(",")],
                                "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}}
        if block.input:
            lines = dict(line.split(" ", 1) for line in block.input.splitlines())
            spec["behavior"] = {"scaleUp": rules(lines.get("up", "window=0 percent=100/15 pods=4/15")),
                                "scaleDown": rules(lines.get("down", "percent=100/15"))}
        return spec

    def given(self, block: Block) -> str:
        """An autoscaler and its scale, anew."""
        self.__init__()  # type: ignore[misc]
        self.hpa = codec.convert(HorizontalPodAutoscaler, {"metadata": {"name": "h", "namespace": "default"}, "spec": self.hpa_(block)})
        self.scale.spec.replicas = self.scale.status.replicas = block.number("replicas", 1)
        return "ok"

    def uses(self, block: Block) -> str:
        """What the metrics say: `pod use [request] [flags]` lines, or `= value` a metric without pods, `! why` for a failure."""
        self.pods, samples = [], dict[str, Sample]()
        values: list[Sampled] = []
        for line in block.input.splitlines():
            name, value, *more = line.split()
            if name == "=":
                values.append(milli(value))
            elif name == "!":
                values.append(Unmeasured(line[2:]))
            else:
                self.pods.append(self.pod(name, more))
                if value != "none":
                    samples[name] = Sample(milli(value), self.now, 60.0)
        if samples or not values:
            values.insert(0, samples)
        self.sampled = values
        return "ok"

    def pod(self, name: str, more: list[str]) -> Pod:
        request = next((word for word in more if word[0].isdigit()), "")
        began = self.now - timedelta(seconds=30 if "new" in more else 3600)
        return codec.convert(Pod, {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": request}} if request else {}}]},
            "status": {"phase": "Pending" if "pending" in more else "Failed" if "failed" in more else "Running", "startTime": Time.of(began), "conditions": [
                {"type": "Ready", "status": "False" if "unready" in more else "True", "lastTransitionTime": Time.of(began + timedelta(seconds=10))}]}})

    def unselect(self, block: Block) -> str:
        self.unselected = (block.words[0], " ".join(block.words[1:]))
        return "ok"

    def lost(self, block: Block) -> str:
        return self.tell(without_scale(self.hpa, " ".join(block.words), self.now))

    def look(self, block: Block) -> str:
        """Look, `after` so many seconds; `refuse` the scale; `replicas` somebody else set."""
        self.now += timedelta(seconds=block.number("after", 15))
        if "replicas" in block.args:
            self.scale.spec.replicas = self.scale.status.replicas = block.number("replicas")
        before = self.scale.spec.replicas
        seen = Seen(self.scale, self.pods, self.sampled, self.unselected) if asks_metrics(self.hpa, self.scale) else Seen(self.scale)
        outcome = decide(self.hpa, seen, self.history, Settings(), self.now)
        if outcome.replicas is not None:
            refused = "it is locked" if block.flag("refuse") else ""
            outcome = rescaled(self.hpa, outcome, self.now, refused)
            if not refused:
                self.history.scaled(before, outcome.replicas or 0, self.hpa.spec.behavior, self.now)
                self.scale.spec.replicas = self.scale.status.replicas = outcome.replicas or 0
        return self.tell(outcome)

    def tell(self, outcome: Any) -> str:
        self.hpa.status = outcome.status
        lines = [f"replicas {outcome.status.currentReplicas} -> {outcome.status.desiredReplicas}",
                 *(f"{one.type}={one.status} {one.reason}: {one.message}" for one in outcome.status.conditions)]
        for one in outcome.status.currentMetrics or ():
            source = one.resource or one.containerResource or one.pods or one.object or one.external
            lines.append("metric " + (codec.encode(source.current).decode() if source is not None else "none"))
        return "\n".join([*lines, *(f"event {one.kind} {one.reason}: {one.message}" for one in outcome.events)])


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)
