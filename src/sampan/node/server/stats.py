"""`/stats/summary`: what the node and its pods use, in the kubelet's form (rates from two readings).

Source: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`.
"""

from __future__ import annotations

from typing import Any

from sampan.api.scalars import Time
from sampan.node.agent import NodeAgent
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.status import ContainerStats, SandboxStats
from sampan.node.specs import POD_NAME, POD_NAMESPACE, POD_UID


def container_entry(stats: ContainerStats) -> dict[str, Any]:
    """One container."""
    at = Time.of(stats.at)
    entry: dict[str, Any] = {
        "name": stats.name,
        "cpu": {"time": at, "usageCoreNanoSeconds": stats.cpu_nanoseconds},
        "memory": {"time": at, "usageBytes": stats.memory_usage_bytes, "workingSetBytes": stats.memory_working_set_bytes,
                   "rssBytes": stats.memory_rss_bytes, "pageFaults": stats.page_faults, "majorPageFaults": stats.major_page_faults},
    }
    if stats.filesystem is not None:
        entry["rootfs"] = {"time": at, "usedBytes": stats.filesystem.used_bytes, "inodesUsed": stats.filesystem.inodes_used}
    return entry


def pod_entry(stats: SandboxStats) -> dict[str, Any]:
    """One pod."""
    at = Time.of(stats.at)
    return {
        "podRef": {"name": stats.labels.get(POD_NAME, ""), "namespace": stats.labels.get(POD_NAMESPACE, ""), "uid": stats.labels.get(POD_UID, "")},
        "containers": [container_entry(container) for container in stats.containers],
        "cpu": {"time": at, "usageCoreNanoSeconds": stats.cpu_nanoseconds},
        "memory": {"time": at, "usageBytes": stats.memory_usage_bytes, "workingSetBytes": stats.memory_working_set_bytes,
                   "rssBytes": stats.memory_rss_bytes},
        "network": {"time": at, "name": stats.network_interface, "rxBytes": stats.received_bytes, "txBytes": stats.sent_bytes},
        "process_stats": {"process_count": stats.process_count},
    }


async def summary(agent: NodeAgent, runtime: Runtime) -> dict[str, Any]:
    """Everything at once."""
    pods = [pod_entry(stats) for stats in await runtime.stats()]
    return {"node": {"nodeName": agent.settings.name}, "pods": pods}
