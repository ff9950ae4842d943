"""The control loop of horizontal pod autoscalers: each is looked at once a sync period, whatever happens in between.

Owns asking for the scale and the metrics, writing the scale and the status, and what each autoscaler remembers.
Source: kube-controller-manager `podautoscaler/horizontal.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from sampan.api import codec
from sampan.api.autoscaling.v1 import Scale
from sampan.api.autoscaling.v2 import HorizontalPodAutoscaler, MetricSpec
from sampan.api.core.v1 import Pod
from sampan.api.errors import ApiError, Conflict, OtherStatus
from sampan.api.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from sampan.api.selectors import Selector, SelectorError, parse_labels
from sampan.autoscale.hpa import decide as decisions
from sampan.autoscale.hpa.answers import error_of, unreadable
from sampan.autoscale.hpa.behavior import History
from sampan.autoscale.hpa.decide import Outcome, Sampled, Seen, Settings
from sampan.autoscale.hpa.measure import Unmeasured
from sampan.autoscale.hpa.samples import MetricsReader
from sampan.client.base import Answer
from sampan.control.catalog import Catalog
from sampan.control.controller import Context, Controller, Result
from sampan.control.indexes import by_label, by_namespace, selected
from sampan.control.key import Key, key_of

WRITES, WRITE_AGAIN_SECONDS = 5, 0.01
"""How often a scale is written that others write too (client-go `retry.DefaultRetry`)."""


class HorizontalController(Controller):
    """Scales what autoscalers point at."""

    name = "horizontal-pod-autoscaler-controller"
    component = "horizontal-pod-autoscaler"

    def __init__(self, context: Context, settings: Settings = Settings(), *, workers: int = 5, sync_seconds: float = 15.0) -> None:
        super().__init__(context, workers=workers)
        self._settings, self._sync_seconds = settings, sync_seconds
        self._hpas, self._pods = self.informers.of(HORIZONTAL_POD_AUTOSCALERS), self.informers.of(PODS)
        self._by_label, self._by_namespace = self._pods.index(by_label), self._pods.index(by_namespace)
        self._catalog = Catalog(self.informers)
        self._metrics = MetricsReader(self.client, self._catalog)
        self._memory: dict[Key, History] = {}
        self._selectors: dict[str, dict[Key, Selector]] = {}
        self.loop.wait_for(self._hpas, self._pods, self._catalog.definitions)
        self._hpas.on_change(self._changed)

    def _changed(self, old: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> None:
        if new is not None:
            # never at once: a status that was just written would be looked at again and again
            self.loop.queue.add_after(key_of(new), self._sync_seconds)
        elif old is not None:
            self._forget(key_of(old))

    def _forget(self, key: Key) -> None:
        self._memory.pop(key, None)
        if (known := self._selectors.get(key.namespace)) is not None:
            known.pop(key, None)
            if not known:
                del self._selectors[key.namespace]
        self.writer.forget(key)

    async def reconcile(self, key: Key) -> Result | None:
        """See `Controller.reconcile`."""
        hpa = self._hpas.get(key)
        if hpa is None:
            self._forget(key)
            return None
        try:
            scale, path = await self._scale(hpa)
        except ApiError as error:
            await self._apply(hpa, decisions.without_scale(hpa, error.message, self.clock.now()))
            return Result(self._sync_seconds)
        seen = await self._look(key, hpa, scale)
        history = self._memory.setdefault(key, History())
        outcome = decisions.decide(hpa, seen, history, self._settings, self.clock.now())
        if outcome.replicas is not None:
            outcome = await self._rescale(hpa, scale, path, history, outcome)
        await self._apply(hpa, outcome)
        return Result(self._sync_seconds)

    async def _scale(self, hpa: HorizontalPodAutoscaler) -> tuple[Scale, str]:
        """The target's scale and its path.

        Raises:
            ApiError: There is no such kind or object, or it has no scale.
        """
        ref = hpa.spec.scaleTargetRef
        if ref.apiVersion.count("/") > 1:
            raise OtherStatus(f"unexpected GroupVersion string: {ref.apiVersion}", code=400)
        resource = self._catalog.of_kind(ref.apiVersion, ref.kind)
        if resource is None:
            group = ref.apiVersion.rpartition("/")[0]
            raise OtherStatus(f'no matches for kind "{ref.kind}" in group "{group}"', code=404)
        path = resource.path(hpa.metadata.namespace, ref.name, "scale")
        return _scale_of(await self.client.raw("GET", path), f"get {resource.group_resource} {ref.name}"), path

    async def _look(self, key: Key, hpa: HorizontalPodAutoscaler, scale: Scale) -> Seen:
        if not decisions.asks_metrics(hpa, scale):
            return Seen(scale)
        text = scale.status.selector
        if not text:
            return Seen(scale, unselected=("SelectorRequired", "selector is required"))
        try:
            selector = parse_labels(text)
        except SelectorError as error:
            return Seen(scale, unselected=(
                "InvalidSelector", f"couldn't convert selector into a corresponding internal selector object: {error}"))
        self._selectors.setdefault(key.namespace, {})[key] = selector
        pods = self._selected(key.namespace, selector)
        others = self._others(key.namespace, pods)
        if len(others) > 1:
            listed = " ".join(map(str, others))
            return Seen(scale, unselected=("AmbiguousSelector", f"pods by selector {text} are controlled by multiple HPAs: [{listed}]"))
        return Seen(scale, pods, [await self._sample(one, key.namespace, str(selector)) for one in hpa.spec.metrics])

    def _selected(self, namespace: str, selector: Selector) -> list[Pod]:
        required = {one.key: one.values[0] for one in selector.requirements if one.operator in ("=", "==", "in") and len(one.values) == 1}
        pods: list[Pod] = selected(self._by_label, namespace, required) if required else self._by_namespace.get(namespace)
        return [pod for pod in pods if selector.matches(pod.metadata.labels)]

    def _others(self, namespace: str, pods: Sequence[Pod]) -> list[Key]:
        """The autoscalers that any of these pods belongs to."""
        known = self._selectors.get(namespace, {})
        return sorted(key for key, selector in known.items() if any(selector.matches(pod.metadata.labels) for pod in pods))

    async def _sample(self, spec: MetricSpec, namespace: str, selector: str) -> Sampled:
        try:
            return await self._metrics.read(spec, namespace, selector)
        except Unmeasured as error:
            return error

    async def _rescale(self, hpa: HorizontalPodAutoscaler, scale: Scale, path: str, history: History, outcome: Outcome) -> Outcome:
        assert outcome.replicas is not None
        try:
            await self._write_scale(scale, path, outcome.replicas)
        except ApiError as error:
            return decisions.rescaled(hpa, outcome, self.clock.now(), error.message)
        history.scaled(scale.spec.replicas, outcome.replicas, hpa.spec.behavior, self.clock.now())
        return decisions.rescaled(hpa, outcome, self.clock.now())

    async def _write_scale(self, scale: Scale, path: str, replicas: int) -> None:
        """Write the scale; where somebody else wrote first, what they wrote is read and the replicas written into that.

        Raises:
            ApiError: It can't be written, or somebody else always was first.
        """
        for attempt in range(1, WRITES + 1):
            body = codec.encode(replace(scale, spec=replace(scale.spec, replicas=replicas)))
            try:
                _scale_of(await self.client.raw("PUT", path, body=body, headers={"Content-Type": "application/json"}), f"put {path}")
            except Conflict:
                if attempt == WRITES:
                    raise
                scale = _scale_of(await self.client.raw("GET", path), f"get {path}")
                await self.clock.sleep(WRITE_AGAIN_SECONDS)
            else:
                return

    async def _apply(self, hpa: HorizontalPodAutoscaler, outcome: Outcome) -> None:
        for event in outcome.events:
            self.recorder.emit(event)
        if outcome.status == hpa.status:
            return
        try:
            await self.client.update(HORIZONTAL_POD_AUTOSCALERS, replace(hpa, status=outcome.status), subresource="status")
        except ApiError as error:
            self.recorder.record(hpa, "Warning", "FailedUpdateStatus", error.message)
            raise


def _scale_of(answer: Answer, title: str) -> Scale:
    """The Scale in an answer.

    Raises:
        ApiError: The answer is none.
    """
    if answer.code >= 300:
        raise error_of(answer, title)
    try:
        return codec.decode(Scale, answer.body)
    except codec.DecodeError as error:
        raise unreadable("a Scale", error, title) from None
