"""One loop a probe of a running container; tells when a verdict changes.

Source: kubelet `pkg/kubelet/prober/prober_manager.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Container, Pod, Probe
from sampan.node.probes.check import ExecSync, Outcome, check, network_port
from sampan.node.probes.state import Purpose, initial, probes_of
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import RuntimeFault, Timeout

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What is probed."""

    pod: Pod
    container: Container
    container_id: str
    pod_ip: str


class Prober:
    """All probes of one node."""

    def __init__(self, runtime: Runtime, tasks: Tasks, *, clock: AsyncClock, changed: Callable[[str], None],
                 event: Callable[[Pod, str, str, str], None]) -> None:
        self._runtime, self._tasks, self._clock = runtime, tasks, clock
        self._changed, self._event = changed, event  # `changed` is called with the pod's uid
        self._loops: dict[tuple[str, Purpose], asyncio.Task[None]] = {}
        self._verdicts: dict[tuple[str, Purpose], bool | None] = {}
        self._started: dict[str, asyncio.Event] = {}

    def watch(self, subject: Subject) -> None:
        """Probe this container until `forget`; asking again changes nothing."""
        for purpose, probe in probes_of(subject.container).items():
            key = (subject.container_id, purpose)
            if key not in self._loops:
                self._started.setdefault(subject.container_id, asyncio.Event())
                self._loops[key] = self._tasks.start(
                    self._loop(subject, purpose, probe), f"{purpose.value} probe {subject.container_id[:12]}", keep_going=True)

    def forget(self, container_id: str) -> None:
        """The container has ended."""
        if container_id not in self._started:  # it was never watched
            return
        for purpose in Purpose:
            if (task := self._loops.pop((container_id, purpose), None)) is not None:
                task.cancel()
            self._verdicts.pop((container_id, purpose), None)
        self._started.pop(container_id, None)

    def verdict(self, purpose: Purpose, container_id: str) -> bool | None:
        """What holds now; None until the first threshold is reached."""
        return self._verdicts.get((container_id, purpose))

    async def _loop(self, subject: Subject, purpose: Purpose, probe: Probe) -> None:
        started = self._started[subject.container_id]
        if purpose is not Purpose.STARTUP and subject.container.startupProbe is not None:
            await started.wait()
        state = initial(probe)
        await self._clock.sleep(probe.initialDelaySeconds or 0)
        while True:
            outcome = await self._ask(subject, probe)
            if not outcome.success:
                self._event(subject.pod, "Warning", "Unhealthy", f"{purpose.value} probe failed: {outcome.message}")
            elif outcome.warning:
                self._event(subject.pod, "Warning", "ProbeWarning", f"{purpose.value} probe warning: {outcome.message}")
            before, state = state.verdict, state.after(outcome.success)
            if state.verdict != before:
                self._verdicts[subject.container_id, purpose] = state.verdict
                self._changed(subject.pod.metadata.uid)
            if purpose is Purpose.STARTUP and state.verdict:
                started.set()
                return
            await self._clock.sleep(probe.periodSeconds or 10)

    async def _ask(self, subject: Subject, probe: Probe) -> Outcome:
        port = network_port(probe, subject.container)
        if port is not None and (answers := self._runtime.answers(subject.container_id, port)) is not None:
            # pods of this runtime have no network: their addresses are nobody's, or worse, somebody else's
            return Outcome(answers, "" if answers else f"dial tcp {subject.pod_ip}:{port}: connect: connection refused")
        return await check(probe, subject.pod, subject.container, subject.pod_ip, self._exec(subject.container_id))

    def _exec(self, container_id: str) -> ExecSync:
        async def run(command: list[str], timeout: float) -> tuple[int, bytes]:
            try:
                result = await self._runtime.exec_sync(container_id, command, timeout)
            except Timeout as error:
                raise TimeoutError(str(error)) from error
            except RuntimeFault as error:
                raise OSError(str(error)) from error
            return result.exit_code, result.stdout + result.stderr

        return run
