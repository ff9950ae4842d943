"""What a series of probe answers means: thresholds counted, nothing else. Pure.

Source: kubelet `pkg/kubelet/prober/worker.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from sampan.api.core.v1 import Container, Probe


class Purpose(Enum):
    """What a probe decides: whether the container started, must be killed, may serve."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


@dataclass(frozen=True)
class ProbeState:
    """Answers so far. `verdict` is the result that holds now; None until a threshold was reached once."""

    failure_threshold: int
    success_threshold: int
    verdict: bool | None = None
    last: bool | None = None
    run: int = 0

    def after(self, success: bool) -> ProbeState:
        """The state after one more answer."""
        run = self.run + 1 if self.last == success else 1
        threshold = self.success_threshold if success else self.failure_threshold
        return replace(self, last=success, run=run, verdict=success if run >= threshold else self.verdict)


def initial(probe: Probe) -> ProbeState:
    """The state before the first answer."""
    return ProbeState(failure_threshold=probe.failureThreshold or 3, success_threshold=probe.successThreshold or 1)


def has_probes(container: Container) -> bool:
    """Whether a container has any."""
    return container.startupProbe is not None or container.livenessProbe is not None or container.readinessProbe is not None


def probes_of(container: Container) -> dict[Purpose, Probe]:
    """The probes that a container has."""
    pairs = ((Purpose.STARTUP, container.startupProbe), (Purpose.LIVENESS, container.livenessProbe),
             (Purpose.READINESS, container.readinessProbe))
    return {purpose: probe for purpose, probe in pairs if probe is not None}
