"""What a pod's requests and limits become for the kernel. Pure.

Source: kubelet `pkg/kubelet/cm/helpers_linux.go`, `pkg/kubelet/qos/policy.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api import quantity
from sampan.api.core.v1 import Container, Pod
from sampan.node.runtimes.spec import Resources

PERIOD_MICROSECONDS = 100_000
LEAST_SHARES, MOST_SHARES, LEAST_QUOTA = 2, 262_144, 1_000


def cpu_shares(milli: int) -> int:
    """Cgroup v1 shares of a request in milli-CPU."""
    return max(LEAST_SHARES, min(milli * 1024 // 1000, MOST_SHARES))


def cpu_quota(milli: int) -> int:
    """Microseconds a period for a limit in milli-CPU; 0: no limit."""
    return max(milli * PERIOD_MICROSECONDS // 1000, LEAST_QUOTA) if milli else 0


def oom_score_adj(pod: Pod, container: Container, node_memory_bytes: int) -> int:
    """How readily the kernel kills it: by quality of service, burstable ones by their share of memory."""
    if pod.spec.priority is not None and pod.spec.priority >= 2_000_000_000:
        return -997
    quality = pod.status.qosClass
    if quality == "Guaranteed":
        return -997
    if quality == "BestEffort" or node_memory_bytes <= 0:
        return 1000
    requested = quantity.integer(container.resources.requests.get("memory", "0"))
    score = 1000 - 1000 * requested // node_memory_bytes
    return min(max(score, 3), 999)


def container_resources(pod: Pod, container: Container, node_memory_bytes: int) -> Resources:
    """Limits of one container."""
    requests, limits = container.resources.requests, container.resources.limits
    cpu = _cpu(limits)
    return Resources(
        cpu_shares=cpu_shares(_cpu(requests) if "cpu" in requests else cpu),
        cpu_quota=cpu_quota(cpu),
        cpu_period=PERIOD_MICROSECONDS,
        memory_bytes=_memory(limits),
        oom_score_adj=oom_score_adj(pod, container, node_memory_bytes),
        hugepages=_hugepages(limits) if limits else {},
    )


def _hugepages(limits: Mapping[str, str]) -> dict[str, int]:
    out = {}
    for name, amount in limits.items():
        if name.startswith("hugepages-"):
            # "2Mi" in the API is "2MB" to the kernel
            out[name.removeprefix("hugepages-").replace("i", "B")] = quantity.integer(amount)
    return out


def pod_resources(pod: Pod) -> Resources:
    """Limits of the pod's own cgroup: sums, where every container has the limit."""
    containers = pod.spec.containers or ()
    request = sum([_cpu(c.resources.requests) for c in containers])
    memory, cpu = [_memory(c.resources.limits) for c in containers], [_cpu(c.resources.limits) for c in containers]
    extra_memory, extra_cpu = _memory(pod.spec.overhead), _cpu(pod.spec.overhead)
    return Resources(
        cpu_shares=cpu_shares(request + extra_cpu),
        cpu_quota=cpu_quota(sum(cpu) + extra_cpu) if all(cpu) else 0,
        cpu_period=PERIOD_MICROSECONDS,
        memory_bytes=sum(memory) + extra_memory if all(memory) else 0,
    )


def _cpu(amounts: Mapping[str, str]) -> int:
    return quantity.milli(amounts["cpu"]) if "cpu" in amounts else 0


def _memory(amounts: Mapping[str, str]) -> int:
    return quantity.integer(amounts["memory"]) if "memory" in amounts else 0


def cgroup_path(root: str, pod: Pod) -> str:
    """`/kubepods/burstable/pod<uid>`; guaranteed pods directly below the root."""
    quality = {"Guaranteed": "", "Burstable": "/burstable"}.get(pod.status.qosClass, "/besteffort")
    return f"{root}{quality}/pod{pod.metadata.uid}"
