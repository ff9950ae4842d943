"""The settings of autoscalers, by upstream's flag names: what `all` reads of the controllers' settings."""

from __future__ import annotations

from typing import Protocol


class AutoscaleSettings(Protocol):
    """Durations in seconds."""

    @property
    def concurrent_horizontal_pod_autoscaler_syncs(self) -> int:
        """Autoscalers that are looked at at once."""
        ...

    @property
    def horizontal_pod_autoscaler_sync_period(self) -> float:
        """How often each is looked at."""
        ...

    @property
    def horizontal_pod_autoscaler_downscale_stabilization(self) -> float:
        """For how long the highest recommendation counts, unless the autoscaler says otherwise."""
        ...

    @property
    def horizontal_pod_autoscaler_cpu_initialization_period(self) -> float:
        """After its start a pod's CPU use counts only while it is ready."""
        ...

    @property
    def horizontal_pod_autoscaler_initial_readiness_delay(self) -> float:
        """A pod that became unready this soon after its start has never been ready."""
        ...

    @property
    def horizontal_pod_autoscaler_tolerance(self) -> float:
        """The ratio of use to target may be off by so much, unless the autoscaler says otherwise."""
        ...
