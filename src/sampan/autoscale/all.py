"""The autoscalers, by upstream's name. Listed here, nowhere else; importing this list imports no controller.

Source: kubernetes `cmd/kube-controller-manager/names/controller_names.go`, `app/autoscaling.go` (service account).
"""

from __future__ import annotations

from sampan.autoscale.settings import AutoscaleSettings
from sampan.control.controller import Component, Context, ControllerEntry


def _horizontal(context: Context, settings: AutoscaleSettings) -> Component:
    from sampan.autoscale.hpa.controller import HorizontalController
    from sampan.autoscale.hpa.decide import Settings

    return HorizontalController(context, Settings(
        downscale_stabilization_seconds=settings.horizontal_pod_autoscaler_downscale_stabilization,
        cpu_initialization_seconds=settings.horizontal_pod_autoscaler_cpu_initialization_period,
        initial_readiness_seconds=settings.horizontal_pod_autoscaler_initial_readiness_delay,
        tolerance=settings.horizontal_pod_autoscaler_tolerance,
    ), workers=settings.concurrent_horizontal_pod_autoscaler_syncs, sync_seconds=settings.horizontal_pod_autoscaler_sync_period)


ALL: tuple[ControllerEntry, ...] = (
    ControllerEntry("horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler", _horizontal),
)
